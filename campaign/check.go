package campaign

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
	"github.com/sapa-crm/sapa/segment"
)

// Check reads one campaign file and checks it against the company's schema; templates are read from files, where a name
// is that below templates/. It reports every problem that it finds; the Campaign is nil when there is one. base is
// customers.where, parsed.
func Check(name, text string, files fs.FS, schema *customer.Schema, base *segment.Rule) (*Campaign, diag.List) {
	return check(name, text, files, schema, base, &segment.Names{})
}

// check is Check for a campaign among others: names are what its rules may name.
func check(name, text string, files fs.FS, schema *customer.Schema, base *segment.Rule, names *segment.Names) (*Campaign, diag.List) {
	f, problems := strictyaml.Parse(name, text)
	if len(problems) > 0 {
		return nil, problems
	}
	k := &checker{f: f, files: files, names: names, c: &Campaign{File: f, schema: schema, base: base, Files: map[string]string{}}}
	k.add(f.Decode(&k.c.Definition)...)
	k.wellFormed = len(k.problems) == 0
	k.check()
	if len(k.problems) > 0 {
		return nil, k.problems
	}
	k.c.Content.Safeguards, k.c.Content.Seeds = k.c.safeguards(), k.c.seeds()
	k.c.Content.Limits = k.c.sendLimits()
	return k.c, nil
}

type checker struct {
	f          *strictyaml.File
	files      fs.FS
	names      *segment.Names
	c          *Campaign
	wellFormed bool // the keys are right, so that what is missing is not just misspelt
	problems   diag.List
	shortLinks int // that the content has so far
}

func (k *checker) add(p ...diag.Problem) { k.problems = append(k.problems, p...) }

// problem is about the value at a path.
func (k *checker) problem(at, hint, format string, args ...any) {
	k.add(k.f.Problem(at, hint, format, args...))
}

// problemIn is about length bytes of the text at a path, which is of one line.
func (k *checker) problemIn(at string, offset, length int, hint, format string, args ...any) {
	text, _, _ := k.f.Scalar(at)
	p := k.f.Problem(at, hint, format, args...)
	p.Span = k.f.At(at, utf8.RuneCountInString(text[:offset]), utf8.RuneCountInString(text[offset:offset+length]))
	k.add(p)
}

func (k *checker) check() {
	if root, ok := k.f.Root(); ok {
		k.checkEmpty("", root)
	}
	k.checkName()
	k.checkChannels()
	k.checkTopic()
	k.checkLadder()
	k.checkThen()
	k.checkSchedule()
	k.checkTrigger()
	k.checkSeeds()
	k.checkLimits()
	k.checkBudget()
	if k.checkEach() { // otherwise the names in rules and templates would be reported, too
		k.checkRules()
		k.checkContent()
	}
}

// checkEmpty reports text without a letter, which no key takes.
func (k *checker) checkEmpty(key string, n strictyaml.Node) {
	for _, e := range n.Entries() {
		k.checkEmpty(e.Key, e.Value)
	}
	for _, item := range n.Items() {
		k.checkEmpty(key, item)
	}
	if n.Kind() != strictyaml.Text || strings.TrimSpace(n.Text()) != "" {
		return
	}
	p := n.Problem("write a value, or leave the line out", "%q has no value", key)
	if !slices.ContainsFunc(k.problems, func(other diag.Problem) bool { return other.Span == p.Span }) {
		k.add(p)
	}
}

// maxName is how long a name is at most.
const maxName = 60

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (k *checker) checkName() {
	d := &k.c.Definition
	k.checkForm("$.topic", "a topic's name", d.Topic)
	k.checkStem("$.campaign", "campaign", d.Campaign)
}

// checkStem compares the name of what a file defines with the file's.
func (k *checker) checkStem(at, what, name string) {
	if !k.checkForm(at, "a "+what+"'s name", name) {
		return
	}
	base := path.Base(k.f.Source.Name)
	stem := strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
	if stem != base && stem != name {
		k.problem(at, fmt.Sprintf("name the file %s.yaml, or the %s %s", name, what, stem),
			"the %s %s stands in the file of another name, %s", what, name, base)
	}
}

// checkForm says whether there is a name and it is of the right form.
func (k *checker) checkForm(at, what, name string) bool {
	if strings.TrimSpace(name) == "" {
		return false
	}
	if nameForm.MatchString(name) && len(name) <= maxName {
		return true
	}
	k.problem(at, fmt.Sprintf("such as %s: lower-case letters, digits and single hyphens, at most %d", slug(name), maxName), "%q can't be %s", name, what)
	return false
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// slug is what a name could be.
func slug(name string) string {
	s := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if s == "" || len(s) > maxName {
		return "oil-change"
	}
	return s
}

var eachForm = regexp.MustCompile(`^\s*customer\.(\w+)(?:\s+as\s+([A-Za-z_]\w*))?\s*$`)

const eachHint = "such as  each: customer.vehicles as vehicle"

// checkEach finds the relation that the audience goes through. False: it is wrong.
func (k *checker) checkEach() bool {
	a := &k.c.Definition.Audience
	k.c.scope = segment.NewScope(k.c.schema).WithNames(k.names).WithEvent(k.c.event)
	if a.Merge != "" && a.Merge != "customer" {
		k.problem("$.audience.merge", "write  merge: customer", "unknown merge %q", a.Merge)
	}
	if strings.TrimSpace(a.Each) == "" {
		if a.Merge != "" && k.wellFormed {
			k.add(k.f.KeyProblem("$.audience.merge", "leave the line out; or go through rows, "+eachHint,
				"merge needs each: without it every customer has one message anyway"))
		}
		return !k.f.Has("$.audience.each")
	}
	m := eachForm.FindStringSubmatchIndex(a.Each)
	if m == nil {
		k.problem("$.audience.each", eachHint, "expected a relation of the customer and a word for one of its rows")
		return false
	}
	rel, ok := k.relation(a.Each[m[2]:m[3]], m[2])
	if !ok {
		return false
	}
	k.c.each, k.c.eachName = rel, customer.Singular(rel.Name)
	if m[4] >= 0 {
		k.c.eachName = a.Each[m[4]:m[5]]
	}
	if slices.Contains(reserved(), k.c.eachName) {
		k.problemIn("$.audience.each", max(m[2], m[4]), len(k.c.eachName), "choose another word, as in  each: customer."+rel.Name+" as row",
			"%q means something else already", k.c.eachName)
		return false
	}
	k.c.scope = k.c.scope.WithEach(rel, k.c.eachName)
	return true
}

// reserved are words that rules or templates have a meaning for.
func reserved() []string {
	words := []string{
		"customer", "campaign", "run", "message", "event", "today", "locale", "forloop", "unsubscribe_url", "preferences_url", "confirm_url",
		"true", "false", "nil", "and", "or", "not", "in", "contains", "matches",
	}
	for _, f := range segment.Functions() {
		words = append(words, f.Name)
	}
	return words
}

func (k *checker) relation(name string, offset int) (*customer.Relation, bool) {
	var many []string
	for _, r := range k.c.schema.Customer.Relations {
		if !r.One {
			many = append(many, r.Name)
		}
	}
	problem := func(hint, format string) {
		k.problemIn("$.audience.each", offset, len(name), hint, format, name)
	}
	rel, ok := k.c.schema.Customer.Relation(name)
	switch {
	case !ok && len(many) == 0:
		problem("in sapa.yaml, below customers:, map it under  relations:", "unknown relation %q")
	case !ok:
		problem(diag.DidYouMean(name, many), "unknown relation %q")
	case rel.One:
		problem("leave  each:  out, and use customer."+name+" in rules and templates", "%q is one row of each customer; there is nothing to go through")
	case rel.Target.Key == "":
		problem("in sapa.yaml, give the relation its  key:", "the relation %q has no key, by which its rows are told apart")
	default:
		return rel, true
	}
	return nil, false
}
