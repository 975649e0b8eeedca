package campaign

import (
	"time"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Ready says what the campaigns' rules can't be asked now although they are right: holidays whose dates are not known.
func (p *Project) Ready(now time.Time) diag.List {
	var problems diag.List
	for _, c := range p.Campaigns {
		problems = append(problems, c.ready(now)...)
	}
	return problems
}

func (c *Campaign) ready(now time.Time) diag.List {
	if c.where == nil {
		return nil
	}
	clock := c.clock(now, now)
	clock.Today = date(now.In(clock.Zone))
	return inYAML(c.File, "$.audience.where", c.Definition.Audience.Where, c.where.Ready(clock))
}
