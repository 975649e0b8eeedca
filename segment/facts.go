package segment

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Fact is a condition about the customer that only Sapa's own tables know. SQL asks them there and then. Where a Program
// decides, the same SQL has been asked for the candidate, and the Program reads the answer from its Row:
//
//	Row{"customer": row, FactsKey: map[string]bool{`received("spring-sale", days(30))`: true}}
//
// by the fact's String. Query and Candidates load it so.
type Fact struct {
	Name    string // received, opened, clicked, replied, converted, subscribed, has_channel
	Of      string // the campaign, topic or channel
	Channel string // of subscribed: "" for any
	within  period // back from now(); the zero period: ever
}

// FactsKey is the place of facts in a Row.
const FactsKey = "facts()"

// String is the fact as a rule could say it. Equal facts have equal texts.
func (f Fact) String() string {
	text := f.Name + "(" + strconv.Quote(f.Of)
	if f.Channel != "" {
		text += ", " + strconv.Quote(f.Channel)
	}
	if f.within != (period{}) {
		text += ", " + f.within.rule()
	}
	return text + ")"
}

// rule is the period as a rule could write it.
func (p period) rule() string {
	switch {
	case p.micros != 0 && p.micros%3600e6 == 0:
		return fmt.Sprintf("hours(%d)", p.micros/3600e6)
	case p.micros != 0:
		return fmt.Sprintf("duration(%q)", strconv.FormatInt(p.micros, 10)+"us")
	case p.months == 0:
		return fmt.Sprintf("days(%d)", p.days)
	case p.days == 0:
		return fmt.Sprintf("months(%d)", p.months)
	}
	return fmt.Sprintf("months(%d) + days(%d)", p.months, p.days)
}

// fact is a Fact in a rule's tree. It is about the root "customer", wherever it stands.
type fact struct {
	base
	Fact
	of *variable // the customer
}

// Facts are the facts that the rule asks for, each once, by their text.
func (r *Rule) Facts() []Fact {
	found := map[string]Fact{}
	collectFacts(r.root, func(f *fact) { found[f.String()] = f.Fact })
	var list []Fact
	for _, key := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[key])
	}
	return list
}

func collectFacts(n node, visit func(*fact)) {
	if f, ok := n.(*fact); ok {
		visit(f)
	}
	for _, c := range children(n) {
		collectFacts(c, visit)
	}
}

// fact reads what was asked for the row.
func (c compiler) fact(n *fact) testFunc {
	key := n.String()
	return func(f *frame) bool {
		holds, ok := f.facts[key]
		if !ok && f.err == nil {
			f.err = fmt.Errorf("%s was not asked for this row", key)
		}
		return holds
	}
}

// factColumns are the rules' facts as columns of a select list, in the order of their keys.
func (q *Query) factColumns() (keys, columns []string, err error) {
	asked := map[string]bool{}
	for _, rule := range q.rules {
		e := newEmitter(rule, q.Args, q.clock, q.Aliases)
		collectFacts(rule.root, func(f *fact) {
			key := f.String()
			if asked[key] {
				return
			}
			asked[key] = true
			keys, columns = append(keys, key), append(columns, "(("+e.fact(f, true)+") is true)")
		})
		if e.err != nil {
			return nil, nil, e.err
		}
	}
	return keys, columns, nil
}

// addFacts gives the candidates what was asked of Sapa's tables, from column at on.
func (d *decision) addFacts(candidates []Row, rows [][]any, at int) {
	if len(d.facts) == 0 {
		return
	}
	for i, row := range rows {
		known := make(map[string]bool, len(d.facts))
		for j, key := range d.facts {
			known[key] = isTrue(row[at+j])
		}
		candidates[i][FactsKey] = known
	}
}
