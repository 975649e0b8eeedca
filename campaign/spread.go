package campaign

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

// What quiet hours and spreading do to a plan: a message's moment, which the schedule or the hand gives it, is moved to the
// end of quiet hours in which it lies; with spread: the messages of each zone are dealt to slots of whole minutes over the
// time from there on in which it is not quiet.

// The messages of a zone have one slot for each ten of them, at most one a minute, and at most so many: each slot is a
// batch, or several, and wakes a worker.
const (
	slotLeast = 10
	slotsMost = 240
)

// slots are when the messages of a zone go: at evenly many moments from start on that are not quiet, and before end. Where
// the time until end is shorter than length, they are as much closer.
func slots(n int, start time.Time, length time.Duration, end *time.Time, quiet []customer.Window, zone *time.Location) []time.Time {
	spans := awakeSpans(start, length, end, quiet, zone)
	total := time.Duration(0)
	for _, s := range spans {
		total += s.length
	}
	count := max(1, min(n/slotLeast, int(total/time.Minute), slotsMost))
	list := make([]time.Time, count)
	for i := range list {
		list[i] = within(spans, (total * time.Duration(i) / time.Duration(count)).Truncate(time.Minute))
	}
	return list
}

// span is a time in which it is not quiet.
type span struct {
	from   time.Time
	length time.Duration
}

// awakeSpans is the time from start on in which it is not quiet, of a length in all, and before end. It is never empty.
func awakeSpans(start time.Time, length time.Duration, end *time.Time, quiet []customer.Window, zone *time.Location) []span {
	var list []span
	for at := until(start, quiet, zone); length > 0; {
		next := at.Add(length)
		for _, w := range quiet {
			if begin := w.Next(at, zone); begin.Before(next) {
				next = begin
			}
		}
		if end != nil && !next.Before(*end) {
			next = *end
		}
		if !next.After(at) {
			break
		}
		list = append(list, span{at, next.Sub(at)})
		length -= next.Sub(at)
		at = until(next, quiet, zone)
	}
	if len(list) == 0 {
		return []span{{from: until(start, quiet, zone)}}
	}
	return list
}

func until(at time.Time, quiet []customer.Window, zone *time.Location) time.Time {
	for _, w := range quiet {
		at = w.Until(at, zone)
	}
	return at
}

// within is the moment after so much of some spans.
func within(spans []span, after time.Duration) time.Time {
	for _, s := range spans {
		if after < s.length {
			return s.from.Add(after)
		}
		after -= s.length
	}
	last := spans[len(spans)-1]
	return last.from.Add(last.length)
}

// moment is when a run's messages may go first in a zone, and their end there; nil: none.
func (w window) moment(now, tick time.Time, zone *time.Location) (from time.Time, end *time.Time) {
	if !w.byZone {
		if where, err := time.LoadLocation(w.zone); err == nil {
			zone = where
		}
	}
	from = now
	if !w.atOnce {
		from = instant(tick, zone)
	}
	if w.until != nil {
		at := instant(*w.until, zone)
		end = &at
	}
	return from, end
}

// spreadSlots fills table slots of table fresh: for each zone the moments to which its messages are dealt.
func (p *Planner) spreadSlots(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	rows, _ := tx.Query(ctx, `
		select coalesce(z.name, $1), count(distinct f.customer_key) from fresh f left join zones z on z.name = f.zone group by 1 order by 1`, c.schema.Zone)
	type people struct {
		Zone string
		N    int
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[people])
	if err != nil {
		return fmt.Errorf("count customers by zone: %w", err)
	}
	var zones []string
	var number, of []int
	var at []time.Time
	w, l := c.window(r), c.Limits()
	for _, z := range list {
		where, err := time.LoadLocation(z.Zone)
		if err != nil { // the database knows zones that we do not
			where = c.clock(r.Tick, r.AsOf).Zone
		}
		from, end := w.moment(p.Now(), r.Tick, where)
		moments := slots(z.N, from, c.spread(), end, l.Quiet, where)
		for i, moment := range moments {
			zones, number, of, at = append(zones, z.Zone), append(number, i), append(of, len(moments)), append(at, moment)
		}
	}
	_, err = tx.Exec(ctx, `create temporary table slots (zone text, number int, of int, at timestamptz) on commit drop`)
	if err == nil {
		_, err = tx.Exec(ctx, `insert into slots select * from unnest($1::text[], $2::int[], $3::int[], $4::timestamptz[])`, zones, number, of, at)
	}
	if err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	return nil
}

// paced is what quiet hours and spreading add to draftSQL: steps after its judged, the step that it goes on from, and the
// zones that it keeps of customers.
func (c *Campaign) paced() (steps, from, zone string) {
	quiet := c.Limits().Quiet
	switch {
	case c.spread() > 0:
		return dealtSQL, "dealt", "coalesce(p.zone, @default_zone)"
	case len(quiet) > 0:
		return fmt.Sprintf(rungSQL, delivery.QuietUntil("j.not_before", "j.zone", quiet)), "rung", "coalesce(p.zone, @default_zone)"
	case c.Channel() == "calls": // the list asks for the hours of the day
		return "", "judged", "coalesce(p.zone, @default_zone)"
	}
	return "", "judged", "null"
}

const rungSQL = `, rung as (
	select j.customer_key, j.occasion, j.row_key, j.address_id, %s as not_before, j.not_after, j.occasions, j.lane, j.zone, j.channel, j.reason
	from judged j
)`

// Customers are dealt in an order that has nothing to do with their keys, and another with each run, so that nobody is
// always the last.
const dealtSQL = `, ordered as (
	select j.*, row_number() over (partition by j.reason is null, j.zone order by hashtextextended(j.customer_key, @seed), j.customer_key) - 1 as place,
	       count(*) over (partition by j.reason is null, j.zone) as many
	from judged j
), dealt as (
	select o.customer_key, o.occasion, o.row_key, o.address_id, coalesce(s.at, o.not_before) as not_before, o.not_after, o.occasions, o.lane, o.zone, o.channel, o.reason
	from ordered o left join slots s on s.zone = o.zone and s.number = o.place * s.of / o.many
)`

// seed orders the customers of a run for spreading.
func (r *Run) seed() int64 { return int64(r.CampaignID)<<32 ^ r.Tick.Unix() }

// readPace counts what quiet hours put off, and in a dry run what caps would stop if it went when it may.
func (p *Planner) readPace(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan) error {
	l, w := c.Limits(), c.window(r)
	if len(l.Quiet) > 0 || c.spread() > 0 {
		moment := "case when @at_once::boolean then @now::timestamptz else @tick::timestamp at time zone case when @by_zone::boolean then coalesce(zone, @default_zone) else @zone end end"
		err := tx.QueryRow(ctx, `
			select count(*) filter (where `+delivery.QuietUntil("moment", "coalesce(zone, @default_zone)", l.Quiet)+` > moment), min(not_before), max(not_before)
			from (select not_before, zone, `+moment+` as moment from drafts where reason is null) d`,
			pgx.NamedArgs{"at_once": w.atOnce, "now": p.Now(), "tick": r.Tick, "by_zone": w.byZone, "default_zone": c.schema.Zone, "zone": w.zone}).
			Scan(&plan.PutOff, &plan.First, &plan.Last)
		if err != nil {
			return fmt.Errorf("count the plan: %w", err)
		}
	}
	if r.ID > 0 || !l.Capped() {
		return nil
	}
	plan.OnCap = map[bool]string{false: "skip", true: "postpone"}[l.Postpone]
	var err error
	plan.Capped, err = delivery.CountCapped(ctx, tx, l, "select n, customer_key, greatest(not_before, now) as at from drafts, (values ($4::timestamptz)) v(now) where reason is null", p.Now())
	return err
}
