package strictyaml

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sapa-crm/sapa/internal/diag"
)

const (
	quoteTemplate = `put the whole value in quotes, as in subject: "{{ customer.name }}"`
	quoteValue    = "put the whole value in quotes, or on a line of its own below |"
)

// characters finds bytes that are no text and characters that an editor does not show but YAML acts upon.
func (f *File) characters() diag.List {
	var problems diag.List
	for i, line := range f.lines {
		for j, r := range line {
			if what := badCharacter(r); what != "" {
				problems.Add(f.Source, diag.Span{Line: i + 1, Col: j + 1, Len: 1}, "delete it", "%s", what)
				break
			}
		}
	}
	if len(problems) == 0 || utf8.ValidString(f.Source.Text) {
		return problems
	}
	for i := range problems {
		problems[i].Hint = "save the file as UTF-8"
	}
	return problems[:1]
}

func badCharacter(r rune) string {
	switch {
	case r == utf8.RuneError:
		return "a character that is not UTF-8"
	case r == '\u0085', r == '\u2028', r == '\u2029':
		return fmt.Sprintf("an invisible line separator (U+%04X)", r)
	case r == '\r':
		return "a carriage return in the middle of a line"
	case r < ' ' && r != '\t', r >= 0x7f && r < 0xa0, r == '\uFEFF', r == '\uFFFE', r == '\uFFFF':
		return fmt.Sprintf("an invisible character (U+%04X)", r)
	}
	return ""
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxProblem turns the parser's first error, whose line is often that of an enclosing block, into a problem on the
// line that is wrong, with the remedy for the mistakes that authors of rules and templates make.
func (f *File) syntaxProblem(err error) diag.Problem {
	number, words := 1, err.Error()
	if m := yamlError.FindStringSubmatch(words); m != nil {
		words = m[2]
		if m[1] != "" {
			number, _ = strconv.Atoi(m[1])
		}
	}
	if found := f.brokenLine(); found > 0 {
		number = found
	}
	number = min(number, len(f.lines))
	if p, ok := f.knownMistake(number, words); ok {
		return p
	}
	return diag.Problem{Source: f.Source, Span: f.lineSpan(number), Message: "not valid YAML: " + words}
}

// maxBisected bounds the work of brokenLine, which parses once per line.
const maxBisected = 1000

// brokenLine is the first line with which the file can't be read any more, however it goes on: the one after the
// longest beginning of the file that is valid. 0 when the file is too long to try.
func (f *File) brokenLine() int {
	if len(f.lines) > maxBisected {
		return 0
	}
	beginning := f.Source.Text
	for number := len(f.lines); number > 0; number-- {
		beginning = strings.TrimSuffix(beginning, "\n")
		beginning = beginning[:strings.LastIndexByte(beginning, '\n')+1]
		if _, err := documents(beginning); err == nil {
			return f.skipBlank(strings.Count(beginning, "\n") + 1)
		}
	}
	return 1
}

func (f *File) skipBlank(number int) int {
	for number < len(f.lines) && strings.TrimSpace(string(f.line(number))) == "" {
		number++
	}
	return number
}

// valueOn splits a line into what stands before a value (indentation, dashes, a key) and the value.
var valueOn = regexp.MustCompile(`^([ ]*(?:- +)*(?:[^\s'"{}\[\]:#-][^:]*:\s+)?)(\S.*)$`)

// bareVariable is a ${ that no quote precedes.
var bareVariable = regexp.MustCompile(`(?:^|[\s:,{\[])\$\{`)

func (f *File) knownMistake(number int, words string) (diag.Problem, bool) {
	line := string(f.line(number))
	at := func(offset, length int, hint, message string) (diag.Problem, bool) {
		span := diag.Span{Line: number, Col: utf8.RuneCountInString(line[:offset]) + 1, Len: max(1, length)}
		return diag.Problem{Source: f.Source, Span: span, Message: message, Hint: hint}, true
	}
	if lead := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(lead, "\t") {
		return at(strings.Index(lead, "\t"), 1, "indent with spaces", "a tab in the indentation")
	}
	m := valueOn.FindStringSubmatch(line)
	if m == nil {
		return diag.Problem{}, false
	}
	before, value := len(m[1]), m[2]
	switch first := value[0]; {
	case strings.HasPrefix(value, "{{"), strings.HasPrefix(value, "{%"):
		return at(before, 2, quoteTemplate, fmt.Sprintf("text that begins with %s needs quotes", value[:2]))
	case bareVariable.MatchString(value) && (first == '{' || first == '['):
		i := bareVariable.FindStringIndex(value)[1] - 2
		return at(before+i, 2, `write "${NAME}" in quotes there`, "${ needs quotes inside { } and [ ]")
	case first == '"' || first == '\'':
		return f.quoteMistake(number, before, value, words)
	case strings.ContainsRune("@`%&*!|>", rune(first)):
		return at(before, 1, quoteValue, fmt.Sprintf("a value that begins with %c needs quotes", first))
	case strings.HasPrefix(words, "mapping values") && strings.Contains(value, ": "):
		return at(before+strings.Index(value, ": "), 1, quoteValue, `a value that contains ": " needs quotes`)
	case strings.HasPrefix(words, "mapping values"), strings.HasPrefix(words, "did not find expected key"):
		return at(len(line)-len(strings.TrimLeft(line, " ")), len([]rune(strings.TrimSpace(line))),
			"keys of one group begin in the same column", "this line is indented neither like its neighbours nor like a new group")
	}
	return diag.Problem{}, false
}

// quoteMistake is text after a closing quote ("vip" in customer.tags), or a quote that is never closed.
func (f *File) quoteMistake(number, before int, value, words string) (diag.Problem, bool) {
	runes := []rune(value)
	closed := quotedLength(runes)
	col := utf8.RuneCountInString(string(f.line(number))[:before]) + 1
	p := diag.Problem{Source: f.Source, Span: diag.Span{Line: number, Col: col, Len: 1}}
	switch rest := strings.TrimSpace(string(runes[closed:])); {
	case strings.Contains(words, "unexpected end of stream"):
		p.Message, p.Hint = "this quote is never closed", ""
	case rest != "" && !strings.HasPrefix(rest, "#"):
		p.Span = diag.Span{Line: number, Col: col + closed, Len: len(runes) - closed}
		p.Message = "text after the closing quote"
		p.Hint = quoteRule(value)
	default:
		return diag.Problem{}, false
	}
	return p, true
}

// quoteRule shows how the value would be written.
func quoteRule(value string) string {
	if !strings.Contains(value, "'") {
		return "put the whole value in single quotes: '" + value + "'"
	}
	return "put the value on a line of its own below |"
}

// startsTemplate recognises {{ … }} without quotes, which YAML reads as a map whose key is a map: n is the inner one.
func (f *File) startsTemplate(n *yaml.Node) bool { return f.standsAt(n.Line, n.Column-1, "{{") }
