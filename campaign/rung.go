package campaign

import "time"

// climbAfter is how long a rung waits; nil: there is no ladder.
func (c *Campaign) climbAfter() *time.Duration {
	if !c.climbs() {
		return nil
	}
	after := time.Duration(c.Definition.Then.After)
	return &after
}

// firstLook is how long after its moment a batch is looked at at the latest: mostly it is given back before, and looked at then.
func (c *Campaign) firstLook() *time.Duration {
	after := c.climbAfter()
	if after != nil {
		*after += time.Hour
	}
	return after
}
