package campaign

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// A campaign with several channels takes for each customer the first that reaches them, in the customer's order: the
// campaign's, with the channel that they prefer first. With then: it has further rungs. docs/campaigns.md has the semantics,
// docs/delivery.md what happens in the ledger.

// Then says when a customer is written to by the next channel.
type Then struct {
	After  Wait   `yaml:"after,required" jsonschema:"required" jsonschema_description:"How long a message that was sent waits for a response, such as 2d; one that failed, or could not be delivered, does not wait"`
	Unless string `yaml:"unless" jsonschema:"enum=delivered,enum=opened,enum=clicked,enum=replied" jsonschema_description:"The response that ends the ladder: delivered (the default: any sign that it arrived), opened, clicked or replied"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*Then) KeyHint(key string) string {
	return hint(key, nil, map[string]string{
		"":         "such as  then: {after: 2d, unless: opened}",
		"after":    "such as  after: 2d",
		"channel":  "the next channel is the next of  channels:",
		"channels": "the next channel is the next of  channels:",
		"if":       "write what ends the ladder:  unless: opened",
	})
}

// JSONSchemaExtend adds the form of the time.
func (Then) JSONSchemaExtend(s *jsonschema.Schema) {
	property(s, "after").Type, property(s, "after").Pattern, property(s, "after").Examples = "string", waitForm, []any{"2d", "6h"}
}

// Wait is how long a rung waits, in minutes, hours, days or weeks.
type Wait time.Duration

const waitForm = `^[1-9][0-9]{0,3}(min|h|d|w)$`

var waitPattern = regexp.MustCompile(`^([1-9][0-9]{0,3})(min|h|d|w)$`)

// maxWait is how long a rung may wait.
const maxWait = 90 * 24 * time.Hour

// UnmarshalScalar reads 2d.
func (w *Wait) UnmarshalScalar(text string) error {
	m := waitPattern.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a length of time such as 30min, 6h, 2d or 1w")
	}
	n, err := strconv.Atoi(m[1])
	units := map[string]time.Duration{"min": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	*w = Wait(time.Duration(n) * units[m[2]])
	return err
}

// JSONSchema is the form of a Wait.
func (Wait) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: waitForm, Examples: []any{"2d", "6h"}}
}

// String is the time in words that a person would write: 2d.
func (w Wait) String() string {
	d := time.Duration(w)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}} {
		if d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%dmin", d/time.Minute)
}

// Channels are the channels that the campaign uses, in the order in which they are tried.
func (c *Campaign) Channels() []string {
	if len(c.channels) == 0 {
		return []string{c.channel}
	}
	return c.channels
}

// laddered says whether the channel is chosen for each customer.
func (c *Campaign) laddered() bool { return len(c.channels) > 1 }

// climbs says whether the campaign goes on to another channel when nothing comes back.
func (c *Campaign) climbs() bool { return c.Definition.Then != nil && c.laddered() }

// uses says whether a channel is one of the campaign's.
func (c *Campaign) uses(channel string) bool { return slices.Contains(c.Channels(), channel) }

// By is the campaign as if it used one of its channels alone.
func (c *Campaign) By(channel string) *Campaign {
	one := *c
	one.channel, one.channels = channel, nil
	return &one
}

// unless is the response that ends the campaign's ladder.
func (c *Campaign) unless() string {
	if then := c.Definition.Then; then != nil && then.Unless != "" {
		return then.Unless
	}
	return "delivered"
}

// evidence are the kinds of responses that end a ladder: the one that is asked for, and those that show it, too. Who clicks
// has opened, and what was opened has arrived. Only people's responses count.
func evidence(unless string) []string {
	spoken := []string{"reply", "call_reached", "call_interested", "call_order", "call_back"}
	switch unless {
	case "clicked":
		return []string{"click"}
	case "replied":
		return spoken
	case "opened":
		return append([]string{"open", "read", "click"}, spoken...)
	}
	return append([]string{"delivered", "open", "read", "click"}, spoken...)
}

// proves says whether anything can come back by a channel that ends a ladder.
func proves(channel, unless string) bool {
	var kinds []string
	switch channel {
	case "email":
		kinds = []string{"delivered", "opened", "clicked"}
	case "sms":
		kinds = []string{"delivered", "opened", "clicked", "replied"} // a click or an answer shows that it was read
	case "whatsapp":
		kinds = []string{"delivered", "opened", "clicked", "replied"}
	case "voice", "calls":
		kinds = []string{"delivered", "opened", "replied"}
	case "letter":
		kinds = []string{"delivered", "opened", "clicked"}
	}
	return slices.Contains(kinds, unless)
}

// checkThen checks what leads from rung to rung.
func (k *checker) checkThen() {
	then := k.c.Definition.Then
	if then == nil || !k.wellFormed {
		return
	}
	const unless = "$.then.unless"
	switch {
	case then.Unless != "" && !slices.Contains([]string{"delivered", "opened", "clicked", "replied"}, then.Unless):
		k.problem(unless, "write delivered, opened, clicked or replied", "unknown unless %q", then.Unless)
		return
	case time.Duration(then.After) > maxWait:
		k.problem("$.then.after", "", "a rung waits for %s at most", Wait(maxWait))
	case !k.c.laddered():
		k.add(k.f.KeyProblem("$.then", "name several, such as  channels: [whatsapp, sms, letter], or leave the line out",
			"there is no other channel to go on to"))
		return
	}
	mute := slices.DeleteFunc(slices.Clone(k.c.channels[:len(k.c.channels)-1]), func(name string) bool { return proves(name, k.c.unless()) })
	if len(mute) > 0 {
		at := "$.then"
		if k.f.Has(unless) {
			at = unless
		}
		k.warn(at, "docs/campaigns.md has what each channel can show",
			"nothing comes back by %s that counts as %s: everybody who got such a message goes on to the next channel", strings.Join(mute, " or "), k.c.unless())
	}
}

// checkLadder refuses what can't be with several channels.
func (k *checker) checkLadder() {
	if k.c.laddered() && k.c.Confirms() {
		k.problem(strictyaml.Index("$.channels", 1), "leave it out; for the other write a campaign of its own",
			"a campaign that asks for confirmations goes by one channel")
	}
}
