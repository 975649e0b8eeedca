package campaign

import (
	"errors"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
	"github.com/sapa-crm/sapa/segment"
)

func (k *checker) checkRules() {
	const where, occasion = "$.audience.where", "$.audience.occasion"
	a := &k.c.Definition.Audience
	if strings.TrimSpace(a.Where) != "" {
		rule, problems := segment.ParseRule(segment.Text(a.Where), k.c.scope)
		k.addRule(where, a.Where, problems)
		if k.c.where = rule; rule != nil {
			k.keepSegments(rule.Segments())
		}
	}
	k.joinTrigger()
	for i, text := range a.Occasion {
		at := occasion
		if k.f.Has(strictyaml.Index(at, i)) { // a list; otherwise one text
			at = strictyaml.Index(at, i)
		}
		if strings.TrimSpace(text) != "" {
			k.checkOccasion(at, text)
		}
	}
	if k.f.Has(occasion) && k.wellFormed && len(a.Occasion) == 0 {
		k.problem(occasion, "such as [vehicle.id, vehicle.next_service_on]; or leave the line out", "no expression is named")
	}
}

func (k *checker) checkOccasion(at, text string) {
	v, problems := segment.ParseValue(segment.Text(text), k.c.scope)
	k.addRule(at, text, problems)
	if v == nil {
		return
	}
	k.c.occasion = append(k.c.occasion, v)
	k.keepSegments(v.Segments())
	q, err := segment.Audience(k.c.scope, nil, nil, &segment.Args{}, anyClock())
	if err == nil {
		_, err = v.SQL(q.Args, k.anyClock(), q.Aliases)
	}
	if err != nil {
		k.problem(at, "leave that part out", "campaigns can't use this yet: %v", errors.Unwrap(err))
	}
}

// addRule adds the problems of a rule that stands at a path, with hints that a rule by itself can't know.
func (k *checker) addRule(at, text string, problems diag.List) {
	var own diag.List
	for _, p := range problems {
		if p.Source.Text != text { // of a segment, in its own file
			k.add(p)
			continue
		}
		if p.Span.Line > 0 {
			p.Hint = k.ruleHint(at, text, p)
		}
		own = append(own, p)
	}
	k.add(inYAML(k.f, at, text, own)...)
}

func (k *checker) ruleHint(at, text string, p diag.Problem) string {
	if k.cutShort(at, text) {
		return cutHint
	}
	runes := []rune(text)
	from := offset(text, p.Span)
	word := string(runes[from:min(len(runes), from+p.Span.Len)])
	if from > 0 && runes[from-1] == '.' || k.c.each != nil {
		return p.Hint
	}
	for _, r := range k.c.schema.Customer.Relations {
		if one := customer.Singular(r.Name); !r.One && (word == r.Name || word == one) {
			return "add to the audience  each: customer." + r.Name + " as " + one
		}
	}
	return p.Hint
}

const cutHint = `YAML takes " #" for the beginning of a comment: put the whole value in quotes`

// commented says that a comment follows a value without quotes on its line.
func (k *checker) commented(at string) bool {
	text, place, ok := k.f.Scalar(at)
	if !ok || place.Col == 0 || place.Block {
		return false
	}
	line := []rune(strings.Split(k.f.Source.Text, "\n")[place.Line-1])
	rest := string(line[min(len(line), place.Col-1+len([]rune(text))):])
	return strings.HasPrefix(strings.TrimLeft(rest, " \t"), "#") && strings.HasPrefix(rest, " ")
}

// cutShort says that a comment seems to have cut a rule within a text.
func (k *checker) cutShort(at, text string) bool {
	odd := strings.Count(text, `"`)%2 == 1 || strings.Count(text, "'")%2 == 1
	for _, pair := range []string{"()", "[]", "{}"} {
		odd = odd || strings.Count(text, pair[:1]) > strings.Count(text, pair[1:])
	}
	return odd && k.commented(at)
}

// anyClock is that of the campaign's rules.
func (k *checker) anyClock() segment.Clock {
	clock := anyClock()
	clock.Event = k.c.anyEvent(clock.Now)
	return clock
}

// anyClock is for asking how a rule translates, not what it means today.
func anyClock() segment.Clock {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return segment.Clock{Today: day, Now: day, Zone: time.UTC, Given: segment.Pretended()}
}
