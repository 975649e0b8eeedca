package segment

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
)

// peopleFunctions ask what Sapa itself knows of a customer.
func peopleFunctions() []*Function {
	return []*Function{
		{
			Name: "segment", Usage: `segment("name")`, form: formSegment, Result: typeBool,
			Sentence: "True when the customer is in the segment of that name, a file in segments/.",
			Example:  `segment("regulars") && customer.city == "Solo"`,
		},
		aboutCampaign("received", "True when a message of the campaign was handed over to the customer; the period is back from now().",
			`!received("spring-sale", days(30))`),
		aboutCampaign("opened", "True when the customer, and no machine, opened a message of the campaign for the first time within the period.",
			`opened("newsletter", days(60))`),
		aboutCampaign("clicked", "True when the customer, and no machine, followed a link of a message for the first time within the period.",
			`clicked("newsletter", days(60))`),
		aboutCampaign("replied", "True when the customer first answered a message of the campaign within the period.",
			`replied("oil-change")`),
		aboutCampaign("converted", "True when a message of the campaign first led to its goal within the period.",
			`!converted("spring-sale", days(14))`),
		{
			Name: "subscribed", Usage: `subscribed("topic") or subscribed("topic", "channel")`, form: formSubscribed, Result: typeBool,
			Sentence: "True when the customer may be sent the topic: on that channel, or on any.",
			Example:  `subscribed("newsletter") && customer.city == "Solo"`,
		},
		{
			Name: "has_channel", Usage: `has_channel("channel")`, form: formHasChannel, Result: typeBool,
			Sentence: "True when the customer has an address on the channel that can be used and is not suppressed.",
			Example:  `has_channel("sms") && !has_channel("email")`,
		},
	}
}

// aboutCampaign is a fact about what a campaign did and what came back.
func aboutCampaign(name, sentence, example string) *Function {
	return &Function{
		Name: name, Usage: name + `("campaign") or ` + name + `("campaign", period)`, form: formCampaignFact, Result: typeBool,
		Sentence: sentence, Example: example,
	}
}

func (c *checker) newFact(at span, f Fact) node {
	return &fact{condition(at), f, c.roots[0]}
}

// formCampaignFact is received("spring-sale", days(30)) and its like.
func formCampaignFact(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 && len(args) != 2 {
		return c.argumentCount(fn, at)
	}
	f := Fact{Name: fn.Name}
	name, where, ok := c.nameArgument(fn, args[0])
	if len(args) == 2 {
		within, fits := c.withinArgument(fn, args[1])
		f.within, ok = within, ok && fits
	}
	if !ok || !c.hasNames(fn, at) || !c.knowsCampaign(fn, name, where) {
		return nil
	}
	f.Of = name
	return c.newFact(at, f)
}

// knowsCampaign looks for the campaign among those of the project and the ledger.
func (c *checker) knowsCampaign(fn *Function, name string, at span) bool {
	known := c.scope.names.Campaigns
	switch {
	case known == nil:
	case len(known) == 0:
		c.problem(at, "make it as campaigns/"+name+".yaml", "there is no campaign %q, nor any other", name)
		return false
	case !slices.Contains(known, name):
		c.problem(at, diag.DidYouMean(name, known), "unknown campaign %q", name)
		return false
	case fn.Name == "converted" && !slices.Contains(c.scope.names.Goals, name):
		c.problem(at, "ask for what they did, such as any(customer.orders, .ordered_at > ago(days(14)))",
			"the campaign %s has no goal, so that nobody converts", name)
		return false
	}
	return true
}

// withinArgument is a period back from now().
func (c *checker) withinArgument(fn *Function, arg ast.Node) (period, bool) {
	a := c.expr(arg)
	if a == nil {
		return period{}, false
	}
	hint := "for example " + fn.Example
	if t := a.typ(); t != typePeriod && t != typeDuration {
		if t.isNumber() {
			hint = fmt.Sprintf("write days(%s)", c.words(a))
		}
		c.problem(a.at(), hint, "%s takes a period back from now(), but %s is %s", fn.Name, c.words(a), t)
		return period{}, false
	}
	v, ok := fixedValue(a)
	p, isPeriod := v.(period)
	if !ok || !isPeriod || p.months < 0 || p.days < 0 || p.micros < 0 || p == (period{}) {
		c.problem(a.at(), hint, "the period must be written out and longer than nothing")
		return period{}, false
	}
	return p, true
}

// formSubscribed is subscribed("newsletter") or subscribed("newsletter", "sms").
func formSubscribed(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 && len(args) != 2 {
		return c.argumentCount(fn, at)
	}
	f := Fact{Name: fn.Name}
	topic, where, ok := c.nameArgument(fn, args[0])
	var channelAt span
	if len(args) == 2 {
		var named bool
		f.Channel, channelAt, named = c.nameArgument(fn, args[1])
		ok = ok && named
	}
	if !ok || !c.hasNames(fn, at) || !c.knowsTopic(topic, where) {
		return nil
	}
	if f.Channel != "" || len(args) == 2 {
		if !c.knowsChannel(f.Channel, channelAt) {
			return nil
		}
		if why := c.scope.Schema.Unchoosable(topic, f.Channel); why != "" {
			return c.problem(channelAt, "", "%s", why)
		}
	}
	f.Of = topic
	return c.newFact(at, f)
}

func (c *checker) knowsTopic(name string, at span) bool {
	known := c.scope.names.Topics
	if known == nil || slices.Contains(known, name) {
		return true
	}
	hint := diag.DidYouMean(name, known)
	if len(known) == 0 {
		hint = "in sapa.yaml, below topics:, write  " + name + ": {}"
	}
	c.problem(at, hint, "unknown topic %q", name)
	return false
}

// formHasChannel is has_channel("sms").
func formHasChannel(c *checker, fn *Function, at span, args []ast.Node) node {
	if len(args) != 1 {
		return c.argumentCount(fn, at)
	}
	name, where, ok := c.nameArgument(fn, args[0])
	if !ok || !c.hasNames(fn, at) || !c.knowsChannel(name, where) {
		return nil
	}
	return c.newFact(at, Fact{Name: fn.Name, Of: name})
}

// knowsChannel says whether customers have addresses on the channel.
func (c *checker) knowsChannel(name string, at span) bool {
	if !slices.Contains(customer.Reachable(), name) {
		message := "unknown channel %q"
		if slices.Contains(customer.Channels(), name) {
			message = "the channel %q is not available yet"
		}
		c.problem(at, diag.DidYouMean(name, customer.Reachable()), message, name)
		return false
	}
	if _, ok := c.scope.Schema.Address(name); !ok {
		column := "phone"
		if name == "email" {
			column = "email"
		}
		c.problem(at, "in sapa.yaml, below customers:, write  "+column+": name_of_the_column", "no column is mapped for the address of channel %s", name)
		return false
	}
	return true
}
