package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"
	"github.com/jackc/pgx/v5"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Limits bound what a campaign may do before a person looks at it, and when and how often it writes to a customer.
type Limits struct {
	MaxAudience customer.Count   `yaml:"max_audience" jsonschema_description:"A run never plans more messages than this: one by hand is refused, one of the schedule waits for sapa resume"`
	PauseIf     customer.PauseIf `yaml:"pause_if" jsonschema_description:"Shares of messages with an outcome beyond which a run pauses"`

	QuietHours  customer.QuietHours `yaml:"quiet_hours" jsonschema_description:"When nothing is sent, in each customer's own time zone; beside those of sapa.yaml, or none to lift these"`
	Cap         customer.Cap        `yaml:"cap" jsonschema_description:"How many messages a customer gets at most within a time, of all campaigns and channels; beside that of sapa.yaml, or none: not limited, and not counted"`
	OnCap       string              `yaml:"on_cap" jsonschema:"enum=skip,enum=postpone" jsonschema_description:"What happens to a message beyond the cap: skip (the default), or postpone until the cap allows it"`
	Spread      customer.Span       `yaml:"spread" jsonschema_description:"The messages of a run are spread evenly over so long, such as 4h"`
	Budget      customer.Money      `yaml:"budget" jsonschema_description:"What the messages of a run may cost together, such as 500000 IDR, by the costs of the channels in sapa.yaml; who is beyond it is skipped"`
	GiveUpAfter customer.Span       `yaml:"give_up_after" jsonschema_description:"A message that is refused for now is not tried again after this time, such as 6h"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*Limits) KeyHint(key string) string {
	switch key {
	case "bounces", "failures", "unsubscribes", "content", "after":
		return "it belongs below  pause_if:"
	}
	if h := customer.GroupHint(key); h != "" {
		return h
	}
	return hint(key, []string{"rate", "holdout"}, map[string]string{
		"":         "such as  limits: {max_audience: 5000, pause_if: {bounces: 5%}}",
		"priority": "it belongs at the beginning of a line, not inside something else",
	})
}

// limits are the campaign's own, and where it says nothing those of sapa.yaml.
func (c *Campaign) limits() Limits {
	var own Limits
	if c.Definition.Limits != nil {
		own = *c.Definition.Limits
	}
	rails := c.schema.Rails
	return Limits{MaxAudience: cmp.Or(own.MaxAudience, rails.MaxAudience), PauseIf: own.PauseIf.Or(rails.PauseIf)}
}

// asksApproval says whether the campaign, or sapa.yaml for all campaigns, asks that a second person approves a version.
func (c *Campaign) asksApproval() bool {
	return bool(c.Definition.Approval || c.schema.Rails.Approval)
}

// safeguards are what sending watches.
func (c *Campaign) safeguards() delivery.Safeguards {
	p := c.limits().PauseIf.Or(customer.PauseIf{Content: customer.DefaultContent, After: customer.DefaultAfter})
	return delivery.Safeguards{Bounces: p.Bounces, Failures: p.Failures, Unsubscribes: p.Unsubscribes, Content: p.Content, After: int(p.After)}
}

// seeds are the addresses that get a copy of each run, by channel: the campaign's own, and those of sapa.yaml.
func (c *Campaign) seeds() map[string][]string {
	list := map[string][]string{}
	for _, channel := range c.Channels() {
		for _, s := range slices.Concat(c.Definition.Seeds, c.schema.Rails.Seeds) {
			if seeded(channel, s) && !slices.Contains(list[channel], s.Address) {
				list[channel] = append(list[channel], s.Address)
			}
		}
	}
	return list
}

// seeded says whether a seed gets what goes by a channel. What people hand over themselves has no copies.
func seeded(channel string, s customer.Seed) bool {
	switch f := FormOf(channel); {
	case channel == "email":
		return !s.Phone
	case channel == "sms":
		return s.Phone
	case f == nil || channel == calls.Name:
		return false
	case s.Phone:
		return f.Address == channels.PhoneAddress
	default:
		return f.Address == channels.MailAddress
	}
}

// checkSeeds refuses the same seed twice, which most likely was meant to be another.
func (k *checker) checkSeeds() {
	seen := map[customer.Seed]bool{}
	for i, s := range k.c.Definition.Seeds {
		if s.Address != "" && seen[s] {
			k.problem(fmt.Sprintf("$.seeds[%d]", i), "leave one of them out", "%s stands here already", s.Address)
		}
		seen[s] = true
	}
	if k.f.Has("$.seeds") && k.wellFormed && len(k.c.Definition.Seeds) == 0 {
		k.problem("$.seeds", "write  seeds: [you@your-company.example], or leave the line out", "no seed is named")
	}
}

// ErrTooMany says that a run by hand would have passed max_audience; nothing of it was kept.
var ErrTooMany = errors.New("the run is larger than max_audience")

// tooMany is an ErrTooMany with its numbers.
type tooMany struct {
	campaign     string
	planned, max int
	own          bool // the campaign's own limit, not that of sapa.yaml
}

func (e *tooMany) Error() string {
	where := "limits: max_audience in campaigns/" + e.campaign + ".yaml, and sapa apply"
	if !e.own {
		where = "rails: max_audience in sapa.yaml, or a limit of the campaign's own"
	}
	return fmt.Sprintf("%s would send %s messages, and max_audience is %s; nothing was kept\nif the rule means the right people, raise %s; see: sapa run %[1]s --dry-run",
		e.campaign, thousands(e.planned), thousands(e.max), where)
}

func (e *tooMany) Is(target error) bool { return target == ErrTooMany }

// checkSize says what stands in the way of sending so many messages: an ErrTooMany refuses the run; hold is why it is
// planned but waits for a person, "" when it does not.
func (p *Planner) checkSize(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, planned int) (hold string, err error) {
	if most := int(c.limits().MaxAudience); most > 0 && planned > most {
		if !r.Scheduled {
			return "", &tooMany{campaign: r.Campaign, planned: planned, max: most, own: c.Definition.Limits != nil && c.Definition.Limits.MaxAudience > 0}
		}
		return fmt.Sprintf("%s messages are more than max_audience, %s", thousands(planned), thousands(most)), nil
	}
	if r.confirmed || planned <= unusual {
		return "", nil
	}
	return p.unusual(ctx, tx, r, planned)
}

// A run is unusually large when it has more than `unusual` messages and more than `growth` times what the largest of the
// campaign's last `lately` runs handed over; the campaign's first one when it has more than `firstRun`.
const (
	unusual  = 1000
	growth   = 3
	lately   = 10
	firstRun = 10_000
)

func (p *Planner) unusual(ctx context.Context, tx pgx.Tx, r *Run, planned int) (string, error) {
	var largest, runs int
	err := tx.QueryRow(ctx, `
		select coalesce(max(n), 0), count(*) from (
			select n from (
				select r.id, (select sum(t.delta) from run_totals t where t.run_id = r.id and t.state in ('sent', 'failed', 'unknown')) as n
				from (select id from runs where campaign_id = $1 and id <> $2 and planned_at is not null order by id desc limit 200) r
			) earlier
			where n > 0 order by id desc limit $3) last`, r.CampaignID, r.ID, lately).Scan(&largest, &runs)
	if err != nil {
		return "", fmt.Errorf("look at earlier runs of %s: %w", r.Campaign, err)
	}
	switch {
	case runs == 0 && planned > firstRun:
		return fmt.Sprintf("%s messages are many for the campaign's first run", thousands(planned)), nil
	case runs > 0 && planned > growth*largest:
		return fmt.Sprintf("%s messages are more than %d times the largest of its last runs, %s", thousands(planned), growth, thousands(largest)), nil
	}
	return "", nil
}

// forget takes back a run by hand that was refused.
func (p *Planner) forget(ctx context.Context, r *Run, actor string) error {
	return pg.InTx(context.WithoutCancel(ctx), p.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `delete from runs where id = $1 and state = 'planning' and planned_at is null`, r.ID); err != nil {
			return fmt.Errorf("take run %d back: %w", r.ID, err)
		}
		return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "refuse run", Subject: fmt.Sprintf("run %d", r.ID), Detail: map[string]any{"campaign": r.Campaign, "reason": "max_audience"}})
	})
}

// judgeSize asks checkSize about a plan; a dry run only shows the answer.
func (p *Planner) judgeSize(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan) (err error) {
	if r.event != nil {
		plan.Hold, err = p.holdEvents(ctx, tx, r, c, plan.Planned)
		return err
	}
	hold, err := p.checkSize(ctx, tx, r, c, plan.Planned)
	if refused := (*tooMany)(nil); r.ID == 0 && errors.As(err, &refused) {
		plan.Refused, err = refused.Error(), nil
	}
	plan.Hold = hold
	return err
}

// held is the reason of a run that waits for a person.
func held(why string, run int) string {
	return fmt.Sprintf("%s; send them with: sapa resume %d, or end it with: sapa cancel %[2]d", why, run)
}

func thousands(n int) string { return message.NewPrinter(language.English).Sprintf("%d", n) }

// railsSchema is the JSON Schema of the types that campaigns share with sapa.yaml.
func railsSchema(t reflect.Type) *jsonschema.Schema {
	switch reflect.New(t).Interface().(type) {
	case *customer.Share:
		return &jsonschema.Schema{Type: "string", Pattern: `^[0-9]{1,3}(\.[0-9]{1,3})? ?%$`, Examples: []any{"5%", "0.5%"}}
	case *customer.Count:
		return &jsonschema.Schema{Type: "integer", Minimum: "1", Examples: []any{5000}}
	case *customer.Approval:
		return &jsonschema.Schema{Type: "string", Enum: []any{"required"}}
	case *customer.QuietHours:
		return &jsonschema.Schema{Type: "string", Pattern: customer.QuietForm, Examples: []any{"20:00-07:00", "none"}}
	case *customer.Cap:
		return &jsonschema.Schema{Type: "string", Pattern: customer.CapForm, Examples: []any{"2 per 7d", "none"}}
	case *customer.Money:
		return &jsonschema.Schema{Type: "string", Pattern: customer.MoneyForm, Examples: []any{"500000 IDR"}}
	case *customer.Span:
		return &jsonschema.Schema{Type: "string", Pattern: customer.SpanForm, Examples: []any{"4h", "2d"}}
	case *customer.Seed:
		return &jsonschema.Schema{Type: "string", Pattern: `@|^\+`, Examples: []any{"ani@bengkel.example", "+628111234567"}}
	}
	return nil
}
