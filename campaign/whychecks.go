package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
)

// askLedger asks what Sapa knows itself, in a plan's order. Every question is asked, so that all that stands in the way is
// said, not only the first.
func (q *inquiry) askLedger(ctx context.Context) error {
	erased, err := customer.ErasedAt(ctx, q.tx, q.out.CustomerKey)
	if err != nil {
		return err
	}
	if !erased.IsZero() {
		q.check("erasure", false, "they were erased on %s", q.day(erased))
		return nil
	}
	asks := []func(context.Context) error{q.askOccasions, q.askAddress, q.askConsent, q.askCooldown, q.askTime, q.askRails}
	if q.c.laddered() {
		asks = append([]func(context.Context) error{q.askOccasions, q.askChannels}, asks[3:]...)
	}
	for _, ask := range asks {
		if err := ask(ctx); err != nil {
			return err
		}
	}
	return nil
}

// day is a moment's date in the company's calendar.
func (q *inquiry) day(t time.Time) string { return t.In(q.clock.Zone).Format(time.DateOnly) }

func (q *inquiry) moment(t time.Time) string {
	return t.In(q.clock.Zone).Format("2006-01-02 15:04 MST")
}

const earlierMost = 5

func (q *inquiry) askOccasions(ctx context.Context) error {
	rows, _ := q.tx.Query(ctx, `
		select o.occasion, coalesce(m.state::text, '') as state, coalesce(m.reason, '') as reason, coalesce(m.run_id, 0) as run,
		       coalesce(s.at, o.planned_at) as at, o.spent
		from ( -- of a ladder the last rung
			select distinct on (o.occasion) * from occasions o
			where o.campaign_id = $1 and o.customer_key = $2
			order by o.occasion, o.spent desc, o.step desc
		) o
		left join messages m on m.id = o.message_id
		left join lateral (select a.at from attempts a where a.message_id = m.id and m.state = 'sent' order by a.number desc limit 1) s on true
		order by o.planned_at desc, o.occasion`, q.r.CampaignID, q.out.CustomerKey)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Earlier])
	if err != nil {
		return fmt.Errorf("read earlier messages of %s: %w", q.out.Campaign, err)
	}
	q.out.Earlier = list[:min(len(list), earlierMost)]
	open, had := 0, Earlier{}
	for i := range q.out.Rows {
		switch row := &q.out.Rows[i]; row.Outcome {
		case "planned", "skipped":
			open++
		case "already":
			for _, e := range list {
				if e.Occasion == row.Occasion {
					had = e
				}
			}
		}
	}
	switch {
	case had.Occasion == "":
		q.check("occasion", true, "%s", earlierText(list))
	case open > 0:
		q.check("occasion", true, "not had before for all that is meant; %s", q.hadText(had))
	default:
		q.check("occasion", false, "%s", q.hadText(had))
	}
	return nil
}

func earlierText(list []Earlier) string {
	if len(list) == 0 {
		return "no message of this campaign before"
	}
	return "not had before"
}

// hadText says what became of an earlier message with the same occasion.
func (q *inquiry) hadText(e Earlier) string {
	run := ""
	if e.Run > 0 {
		run = fmt.Sprintf(" (run %d)", e.Run)
	}
	switch e.State {
	case "sent":
		return "they had it already, sent " + q.moment(e.At) + run
	case "unknown":
		return "it was handed over on " + q.day(e.At) + run + ", and whether it arrived is unknown"
	case "":
		return "they had it already, on " + q.day(e.At)
	}
	return "it is " + strings.ReplaceAll(e.State, "_", " ") + " already, since " + q.moment(e.At) + run
}

// oneLine is an address with its lines in one: those of the post have several, and some may be empty.
func oneLine(address string) string {
	lines := strings.FieldsFunc(address, func(r rune) bool { return r == '\n' })
	return strings.Join(lines, ", ")
}

func (q *inquiry) askAddress(ctx context.Context) error {
	if addressless(q.c.Channel()) {
		q.check("address", true, "none is needed: it does not go to the customer")
		return nil
	}
	field, _ := q.c.schema.Address(q.c.Channel())
	if q.who.raw == "" {
		q.check("address", false, "there is no address in your column %s", field.Column)
		return nil
	}
	region := q.who.region
	a, err := customer.Normalise(q.c.Channel(), q.who.raw, region)
	if err != nil {
		return err
	}
	if !a.Usable() {
		q.check("address", false, "the address %s can't be used: %s", oneLine(q.who.raw), a.Reason)
		return nil
	}
	q.check("address", true, "%s", oneLine(a.Normalised))
	s, suppressed, err := customer.Suppressed(ctx, q.tx, q.c.Channel(), a.Normalised)
	if err != nil {
		return err
	}
	if suppressed {
		q.check("suppression", false, "the address is suppressed since %s: %s (%s)", q.day(s.At), s.Reason, s.Source)
		return nil
	}
	q.check("suppression", true, "the address is not suppressed")
	return nil
}

func (q *inquiry) askConsent(ctx context.Context) error {
	if internal(q.c.Channel()) {
		q.check("consent", true, "none is needed: people of the company read it, and the customer never")
		return nil
	}
	ledger, err := customer.ReadLedger(ctx, q.tx, q.out.CustomerKey)
	if err != nil {
		return err
	}
	c := q.c
	st := c.schema.Standing(ledger, q.who.optedIn, c.Channel(), c.Topic(), q.r.AsOf)
	switch text := q.standingText(st); dissenting(c, st) {
	case "":
		q.check("consent", true, "%s", text)
	case "no request to confirm":
		q.check("consent", false, "there is no request for %s to confirm", c.Topic())
	case "paused":
		q.paused = true
		q.wait(st.Entry.Until)
		q.check("consent", false, "%s", text)
	default:
		q.check("consent", false, "%s", text)
	}
	return nil
}

// wait notes that something stands in the way until a moment.
func (q *inquiry) wait(until time.Time) {
	if until.After(q.until) {
		q.until = until
	}
}

// standingText says what decides on consent.
func (q *inquiry) standingText(st customer.Standing) string {
	about := fmt.Sprintf("%s by %s", st.Topic, channelWord(st.Channel))
	switch {
	case st.From == customer.FromColumn && st.Granted:
		return fmt.Sprintf("they want %s, says your column %s", about, st.Column)
	case st.From == customer.FromColumn:
		return fmt.Sprintf("they do not want %s, says your column %s", about, st.Column)
	case st.From == customer.FromDefault && st.Granted:
		return fmt.Sprintf("nobody has said anything about %s, and the default is yes", about)
	case st.From == customer.FromDefault:
		return fmt.Sprintf("nobody has said yes to %s", about)
	}
	e := st.Entry
	since := fmt.Sprintf("on %s (%s)", q.day(e.At), e.Source)
	switch {
	case st.Paused():
		return fmt.Sprintf("they paused messages until %s, said %s", q.day(e.Until), since)
	case e.Pending:
		return fmt.Sprintf("%s was asked for %s, and is not confirmed yet", about, since)
	case e.Granted:
		return fmt.Sprintf("they said yes to %s %s", about, since)
	}
	return fmt.Sprintf("they said no to %s %s", about, since)
}

func channelWord(channel string) string {
	if word, ok := map[string]string{"email": "e-mail", "sms": "text message"}[channel]; ok {
		return word
	}
	return channel
}

// askCooldown asks for the last message whose occasion was spent, as draftSQL does.
func (q *inquiry) askCooldown(ctx context.Context) error {
	cooldown := time.Duration(q.c.Definition.Audience.Cooldown)
	if cooldown <= 0 {
		return nil
	}
	var last time.Time
	err := q.tx.QueryRow(ctx, `
		select planned_at from occasions where campaign_id = $1 and customer_key = $2 and spent order by planned_at desc limit 1`,
		q.r.CampaignID, q.out.CustomerKey).Scan(&last)
	switch over := last.Add(cooldown); {
	case errors.Is(err, pgx.ErrNoRows):
		q.check("cooldown", true, "no message of this campaign before")
	case err != nil:
		return fmt.Errorf("ask for the cooldown of %s: %w", q.out.Campaign, err)
	case over.After(q.r.AsOf):
		q.wait(over)
		q.check("cooldown", false, "they had this campaign on %s, and its cooldown lasts until %s", q.day(last), q.day(over))
	default:
		q.check("cooldown", true, "the last message was on %s; the cooldown was over on %s", q.day(last), q.day(over))
	}
	return nil
}

// askTime says when the message would go, or that it is too late.
func (q *inquiry) askTime(context.Context) error {
	w := q.c.window(q.r)
	if w.atOnce {
		return nil
	}
	late := false
	for _, row := range q.out.Rows {
		late = late || row.Reason == "too late"
	}
	if late && w.until != nil && !q.quiets() {
		q.check("time", false, "it is after %s, when nothing is sent any more %s", w.until.Format("15:04"), q.out.Day)
	}
	return nil
}

// askRails asks what stops the whole campaign.
func (q *inquiry) askRails(ctx context.Context) error {
	if err := q.askLimits(ctx); err != nil {
		return err
	}
	quarantine, err := readQuarantine(ctx, q.tx, q.r.CampaignID)
	if err == nil && quarantine != nil {
		q.check("quarantine", false, "the campaign is in quarantine since run %d: %s", quarantine.Run, quarantine.Reason)
	}
	return err
}
