package strictyaml

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

var variable = regexp.MustCompile(`\$?\$\{([^}]*)\}`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Expand replaces ${NAME} in every value by what env says; $${NAME} stands for ${NAME} itself. A variable that is
// unset or empty is a problem, and nothing more is said about a value that has one. Messages go on showing the values as written.
func (f *File) Expand(env func(name string) string) diag.List {
	var problems diag.List
	if f.root != nil {
		f.expand(f.root, env, &problems)
	}
	return problems
}

func (f *File) expand(n *yaml.Node, env func(string) string, problems *diag.List) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			f.expand(n.Content[i], env, problems)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			f.expand(item, env, problems)
		}
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "${") {
			f.expandScalar(n, env, problems)
		}
	}
}

func (f *File) expandScalar(n *yaml.Node, env func(string) string, problems *diag.List) {
	written, before := n.Value, len(*problems)
	value := variable.ReplaceAllStringFunc(written, func(match string) string {
		if strings.HasPrefix(match, "$$") {
			return match[1:]
		}
		name := match[2 : len(match)-1]
		switch {
		case !variableName.MatchString(name):
			problems.Add(f.Source, f.variableSpan(n, match), "write it as ${NAME}", "%q is no name of an environment variable", name)
		case env(name) == "":
			problems.Add(f.Source, f.variableSpan(n, match), "set it before starting, as in export "+name+"=…",
				"the environment variable %s is not set", name)
		default:
			return env(name)
		}
		return match
	})
	n.Value = value
	f.refused[n] = len(*problems) > before
	f.written[n] = written
}

// variableSpan is the place of one ${NAME} in a scalar that is not expanded yet.
func (f *File) variableSpan(n *yaml.Node, match string) diag.Span {
	if path, ok := f.paths[n]; ok {
		if i := strings.Index(n.Value, match); i >= 0 {
			return f.At(path, len([]rune(n.Value[:i])), len([]rune(match)))
		}
	}
	return f.token(n)
}
