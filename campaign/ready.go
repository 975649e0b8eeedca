package campaign

import (
	"strings"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
	"github.com/sapa-crm/sapa/segment"
)

// Ready says what the project's rules can't be asked now although they are right: holidays whose dates are not known. It
// looks at the rules and occasions of the campaigns, and at all segments, whether a campaign uses them or not.
func (p *Project) Ready(now time.Time) diag.List {
	var problems diag.List
	for _, c := range p.Campaigns {
		problems = append(problems, c.ready(now)...)
	}
	for _, s := range p.Segments.List {
		if s.Rule != nil {
			problems = append(problems, s.place(s.Rule.Ready(clockAt(p.schema, now)))...)
		}
	}
	return problems
}

// BaseReady is Project.Ready for customers.where; base is Base's.
func BaseReady(cfg *customer.Config, schema *customer.Schema, base *segment.Rule, now time.Time) diag.List {
	if base == nil {
		return nil
	}
	return inYAML(cfg.File, "$.customers.where", schema.Where, base.Ready(clockAt(schema, now)))
}

// clockAt is the company's clock.
func clockAt(schema *customer.Schema, now time.Time) segment.Clock {
	clock := (&Campaign{schema: schema}).clock(now, now)
	clock.Today = date(now.In(clock.Zone))
	return clock
}

func (c *Campaign) ready(now time.Time) diag.List {
	a, clock := c.Definition.Audience, clockAt(c.schema, now)
	var problems diag.List
	if c.where != nil {
		problems = inYAML(c.File, "$.audience.where", a.Where, c.where.Ready(clock))
	}
	parts := c.occasion
	for i, text := range a.Occasion {
		if strings.TrimSpace(text) == "" || len(parts) == 0 {
			continue
		}
		at := "$.audience.occasion"
		if c.File.Has(strictyaml.Index(at, i)) {
			at = strictyaml.Index(at, i)
		}
		problems = append(problems, inYAML(c.File, at, text, parts[0].Ready(clock))...)
		parts = parts[1:]
	}
	return problems
}
