package segment

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/sapa-crm/sapa/customer"
)

// peopleAtom draws a condition about what Sapa itself knows.
func (g *generator) peopleAtom(depth int) string {
	text := g.fact()
	switch g.n(6) {
	case 0:
		text = "!" + text
	case 1:
		return "(" + text + oneOf(g, " == ", " != ") + g.boolean(depth-1) + ")"
	}
	return text
}

func (g *generator) fact() string {
	name := oneOf(g, "received", "received", "opened", "clicked", "replied", "converted", "subscribed", "has_channel", "segment", "segment")
	switch name {
	case "segment":
		names := slices.Sorted(maps.Keys(testSegments()))
		if !g.residual {
			names = slices.DeleteFunc(names, func(n string) bool { return n == "spelt" })
		}
		return fmt.Sprintf("segment(%q)", oneOf(g, names...))
	case "has_channel":
		return fmt.Sprintf("has_channel(%q)", oneOf(g, "email", "sms"))
	case "subscribed":
		topic := oneOf(g, testTopics...)
		if g.n(2) == 0 {
			return fmt.Sprintf("subscribed(%q)", topic)
		}
		channel := oneOf(g, "email", "sms")
		if topic == "texts" {
			channel = "sms"
		}
		return fmt.Sprintf("subscribed(%q, %q)", topic, channel)
	}
	campaign := oneOf(g, testCampaigns...)
	if g.n(4) == 0 {
		return fmt.Sprintf("%s(%q)", name, campaign)
	}
	return fmt.Sprintf("%s(%q, %s)", name, campaign, oneOf(g, testPeriods...))
}

// aboutCustomer are the functions to whose calls the third opinion adds the customer.
func aboutCustomer(name string) bool {
	return slices.ContainsFunc(peopleFunctions(), func(f *Function) bool { return f.Name == name })
}

// opinionOnPeople is the third opinion on those functions; known is false for all others. The first argument is the
// customer.
func opinionOnPeople(clock Clock, name string, args []any) (v any, known bool, err error) {
	if !aboutCustomer(name) {
		return nil, false, nil
	}
	row, args := args[0].(map[string]any), args[1:]
	of := args[0].(string)
	if name == "segment" {
		program, err := (&opinion{}).compile(testSegments()[of], clock)
		if err != nil {
			return nil, true, err
		}
		v, err := vm.Run(program, map[string]any{"customer": row})
		return truthy(v), true, err
	}
	about := row[ledgerKey].(aboutLedger)
	channel, now := "", clock.Now.Truncate(time.Microsecond)
	var since time.Time
	if len(args) == 2 {
		switch second := args[1].(type) {
		case string:
			channel = second
		case period:
			m, err := reckon(clock, "-", moment{kind: customer.Timestamptz, t: now}, second)
			if err != nil {
				return nil, true, err
			}
			since = m.(moment).t
		}
	}
	return about.ledger.holds(about.schema, about.row, name, of, channel, since, now), true, nil
}

// ledgerKey is where the opinion's customers have their ledger.
const ledgerKey = "the ledger"

type aboutLedger struct {
	*world
	row map[string]any
}
