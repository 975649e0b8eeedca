package campaign

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/segment"
)

// Trigger says which event sends a campaign's message to the customer whom it is about.
type Trigger struct {
	Event  string      `yaml:"event,required" jsonschema:"required" jsonschema_description:"The name of the event, such as check_in: sapa event NAME --customer KEY, or POST /v1/events"`
	Where  string      `yaml:"where" jsonschema_description:"A rule that must hold besides the audience's: of the customer, and of the event's name, at and data"`
	Within TriggerTime `yaml:"within" jsonschema_description:"Nothing is sent later than so long after the event came, such as 15min or 2h"`
}

// TriggerTime is a length of time such as 15min, 2h or 1d. Zero is without end.
type TriggerTime time.Duration

const triggerTimeForm = `^([1-9][0-9]{0,3})(min|h|d)$`

var triggerTime = regexp.MustCompile(triggerTimeForm)

// UnmarshalScalar reads 15min.
func (t *TriggerTime) UnmarshalScalar(text string) error {
	m := triggerTime.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a length of time such as 15min, 2h or 1d")
	}
	n, err := strconv.Atoi(m[1])
	*t = TriggerTime(time.Duration(n) * map[string]time.Duration{"min": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]])
	return err
}

// JSONSchema is the form of a length of time.
func (TriggerTime) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: triggerTimeForm, Examples: []any{"15min", "2h"}}
}

// KeyHint implements strictyaml.KeyHinter.
func (*Trigger) KeyHint(key string) string {
	return hint(key, nil, map[string]string{
		"":      "such as  trigger: {event: check_in}",
		"event": "such as  event: check_in",
		"data":  "what the data hold is declared in sapa.yaml:  events: {check_in: {data: {gate: text}}}",
	})
}

// JSONSchemaExtend adds the form of the name, and that of the rule.
func (Trigger) JSONSchemaExtend(s *jsonschema.Schema) {
	event := property(s, "event")
	event.Pattern = customer.EventNameForm
	extendRule(s)
}

// Triggered says whether events send the campaign's messages, and not a schedule or a person.
func (c *Campaign) Triggered() bool { return c.event != nil }

// Event is the name of the event that triggers the campaign; "" for none.
func (c *Campaign) Event() string {
	if c.event == nil {
		return ""
	}
	return c.event.Event
}

// checkTrigger checks all of a trigger but its rule, and finds what is known of its event.
func (k *checker) checkTrigger() {
	t := k.c.Definition.Trigger
	if t == nil {
		return
	}
	k.checkAlone()
	switch name := strings.TrimSpace(t.Event); {
	case name == "" && k.wellFormed:
		k.problem("$.trigger", "such as  trigger: {event: check_in}", "a trigger needs the name of an event")
	case name == "":
	case !customer.ValidEventName(t.Event):
		k.problem("$.trigger.event", customer.EventNameHint, "%q can't be the name of an event", t.Event)
	default:
		k.warnUndeclared(t.Event)
	}
	k.c.event = k.c.schema.EventEntity(t.Event)
}

// checkAlone refuses what makes no sense beside a trigger.
func (k *checker) checkAlone() {
	d := &k.c.Definition
	if d.Schedule != nil {
		k.add(k.f.KeyProblem("$.schedule", "keep one of them; for both make two campaigns", "a campaign goes by its schedule, or when its trigger's event comes, not both"))
	}
	if d.Confirms != "" {
		k.add(k.f.KeyProblem("$.trigger", "give it a schedule, such as  schedule: {cron: \"* * * * *\"}", "a campaign with  confirms:  goes to those who asked for the topic, not when an event comes"))
	}
	if d.Limits != nil && d.Limits.Spread > 0 {
		k.add(k.f.KeyProblem("$.limits.spread", "leave the line out", "spread parts the messages of one run; those of events go when the events come"))
	}
}

// warnUndeclared tells of a name that is in none of the declared events, and may be misspelt.
func (k *checker) warnUndeclared(name string) {
	if _, ok := k.c.schema.EventType(name); ok || len(k.c.schema.Events) == 0 {
		return
	}
	p := k.f.Problem("$.trigger.event", "", "sapa.yaml declares no event %q", name)
	if p.Hint = k.c.schema.EventHint(name); !strings.HasPrefix(p.Hint, "did you mean") {
		p.Hint = fmt.Sprintf("declare it there, so that its data are known:  events: {%s: {data: {…}}}", name)
	}
	k.c.Warnings = append(k.c.Warnings, p)
}

// joinTrigger makes one rule of the trigger's and the audience's, each of which was checked by itself.
func (k *checker) joinTrigger() {
	t := k.c.Definition.Trigger
	if t == nil || strings.TrimSpace(t.Where) == "" {
		return
	}
	rule, problems := segment.ParseRule(segment.Text(t.Where), k.c.scope)
	k.addRule("$.trigger.where", t.Where, problems)
	if rule == nil || k.c.where == nil {
		return
	}
	both, problems := segment.ParseRule(segment.Text("("+t.Where+"\n) && ("+k.c.Definition.Audience.Where+"\n)"), k.c.scope)
	if both == nil { // each alone is in order
		k.add(diag.Problem{Source: k.f.Source, Span: k.f.Span("$.trigger.where"), Message: "the rules of the trigger and of the audience are too much together: " + problems[0].Message})
		return
	}
	k.keepSegments(rule.Segments())
	k.c.where = both
}

// anyEvent is an event as it might come; nil where none triggers the campaign.
func (c *Campaign) anyEvent(at time.Time) *segment.Event {
	if c.event == nil {
		return nil
	}
	return segment.ExampleEvent(c.event, at)
}

// window says when the messages of an event may go: at once, and until the end of Within.
func (t *Trigger) window(r *Run, zone *time.Location) window {
	w := window{atOnce: true, zone: zone.String()}
	if t.Within > 0 {
		end := civil(r.AsOf.Add(time.Duration(t.Within)), zone)
		w.until = &end
	}
	return w
}

// ErrTriggered says that a campaign runs when its event comes, not when somebody runs it.
var ErrTriggered = errors.New("the campaign is triggered by an event")

// triggeredError is an ErrTriggered.
type triggeredError struct{ campaign, event string }

func (e *triggeredError) Error() string {
	return fmt.Sprintf("%s goes when the event %s comes, and is not run by hand; send one: sapa event %[2]s --customer KEY", e.campaign, e.event)
}

func (e *triggeredError) Is(target error) bool { return target == ErrTriggered }
