package calldesk

import (
	"context"
	"log/slog"

	"github.com/sapa-crm/sapa/customer"
)

// Stop is why a call must not be made any more that an agent has, or at least not now.
type Stop struct {
	Reason string `json:"reason"` // the message's, as in reports, or run paused, quiet hours, not read
	Text   string `json:"text"`   // a sentence for the agent
}

// Reasons that no message has.
const (
	runPaused = "run paused"
	quietNow  = "quiet hours"
	notRead   = "not read"
)

// stops are the sentences.
var stops = map[string]string{
	runPaused:            "The run is paused; nobody of it is called until somebody resumes it.",
	quietNow:             "At this hour, where they live, nobody is called.",
	notRead:              "The company’s tables can’t be read, so nobody knows whether this customer may be called. Operators see why.",
	"cancelled":          "The run was cancelled.",
	"erased":             "The customer was erased.",
	"too late":           "The time of this campaign is over.",
	"no address":         "There is no number any more.",
	"suppressed":         "The number must not be called any more.",
	"gone":               "The company has no such customer any more.",
	"no consent":         "The customer does not want to be called about this any more.",
	"paused":             "The customer wants a break from this.",
	"no longer eligible": "The campaign is not about this customer any more.",
	"content":            "What this call was about is not there any more.",
}

// stop says why a call must not be made, and takes away what leads to calling.
func (c *Call) stop(reason string) {
	text, ok := stops[reason]
	if !ok {
		text = "It is settled otherwise: " + reason + "."
	}
	c.Stop = &Stop{reason, text}
	c.Phone, c.Reason, c.Offer, c.Script, c.Card = "", "", "", "", []CardLine{}
}

// moved says why a call must not be made that could be made when it was given out: by its message, its run, and the hour.
func (d *Desk) moved(ctx context.Context, c *given) (reason string) {
	now := d.Now()
	switch {
	case c.state != "planned" && c.because != "":
		return c.because
	case c.state != "planned":
		return c.state
	case c.runState == "paused":
		return runPaused
	case c.runState != "sending":
		return c.runState
	case c.notAfter != nil && !c.notAfter.After(now):
		return "too late"
	}
	for _, w := range d.windows(ctx, c.version) {
		if !w.Until(now, d.zone(c.Zone)).Equal(now) {
			return quietNow
		}
	}
	return ""
}

// windows are the hours in which nobody is called for a version: also where that can't be used at this moment, those of the
// list itself.
func (d *Desk) windows(ctx context.Context, version int) []customer.Window {
	closed := []customer.Window{d.Settings.Hours.Closed()}
	content, err := d.Library.Content(ctx, version)
	if err != nil {
		d.log().Warn("the quiet hours of a version can't be read", slog.Int("version", version), slog.Any("error", err))
		return closed
	}
	return append(closed, content.Limits.Quiet...)
}
