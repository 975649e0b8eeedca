package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/delivery"
)

// write turns table due into occasions, messages, batches and totals.
func (p *Planner) write(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan) error {
	// The lock is a statement of its own, so that the next ones see what whoever held it has written.
	if _, err := tx.Exec(ctx, `select from campaigns where id = $1 for no key update`, r.CampaignID); err != nil {
		return fmt.Errorf("lock the campaign: %w", err)
	}
	if err := p.draft(ctx, tx, r, c); err != nil {
		return err
	}
	if err := p.readPlan(ctx, tx, r, c, plan); err != nil {
		return err
	}
	if err := p.readPace(ctx, tx, r, c, plan); err != nil {
		return err
	}
	if err := p.judgeSize(ctx, tx, r, c, plan); err != nil {
		return err
	}
	if r.ID == 0 {
		return nil
	}
	return p.writeLedger(ctx, tx, r, c, plan)
}

// draft makes two temporary tables of due: fresh, the occasions that are not spent, and drafts, the messages, numbered
// 1 … n with those to be sent first, those of a lane together, in the order in which they may go. A draft carries one
// occasion, or with `merge` all that its customer has.
func (p *Planner) draft(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	_, err := tx.Exec(ctx, `
		create temporary table fresh (
			customer_key text collate "C", occasion text collate "C", row_key text collate "C",
			zone text, opted_in boolean, address_id bigint, fault text, domain text, channel text
		) on commit drop;
		create temporary table drafts (
			n bigint, customer_key text collate "C", occasion text collate "C", row_key text collate "C", address_id bigint,
			not_before timestamptz, not_after timestamptz, reason text, occasions int, lane text collate "C", zone text, channel text
		) on commit drop`)
	if err == nil && c.laddered() {
		_, err = tx.Exec(ctx, "alter table fresh add column region text, "+ladderColumns)
	}
	if err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	w := c.window(r)
	args := pgx.NamedArgs{
		"campaign": r.CampaignID, "channel": c.Channel(), "topic": c.Topic(), "granted": c.schema.GrantedByDefault(c.Topic()),
		"column_grants": c.schema.ColumnGrants(c.Topic()), "confirms": c.Confirms(), "internal": internal(c.Channel()),
		"as_of": r.AsOf, "cooldown": time.Duration(c.Definition.Audience.Cooldown),
		"now": p.Now(), "at_once": w.atOnce, "tick": r.Tick, "until": w.until, "by_zone": w.byZone, "zone": w.zone, "default_zone": c.schema.Zone,
		"seed": r.seed(),
	}
	if err := c.budgetArgs(ctx, tx, r.ID, args); err != nil {
		return err
	}
	source, people, reason, from, kept := "due", peopleOne, saidReason, saidFrom, ""
	if c.laddered() { // asked of each channel, before one was chosen
		reason, from, kept = "", "", ladderKept
	}
	if c.each != nil { // two rows may mean the same occasion; a customer's key is unique
		source = "(select distinct on (customer_key, occasion) * from due order by customer_key, occasion, row_key)"
	}
	if c.Merged() {
		people = peopleMerged
	}
	lane := "null"
	if c.laned() { // p.domain is null but for e-mail
		lane = "coalesce((@lanes::text[])[array_position(@domains::text[], p.domain)], '')"
		args["domains"], args["lanes"] = c.lanes()
	}
	steps, paced, zone := c.paced()
	order := c.draftOrder(w.byZone || steps != "")
	afforded, judged := c.affordedSQL()
	for _, s := range []struct{ what, sql string }{
		{"fresh", fmt.Sprintf(freshSQL, kept, source)},
		{"drafts", fmt.Sprintf(draftSQL, people, lane, zone, reason, from, steps, paced, afforded, order, judged)},
	} {
		tag, err := tx.Exec(ctx, s.sql, args)
		if err != nil {
			return fmt.Errorf("find %s: %w", s.what, err)
		}
		if s.what == "fresh" {
			r.fresh = tag.RowsAffected()
		}
		if err := analyze(ctx, tx, s.what); err != nil {
			return err
		}
		if s.what == "fresh" && c.laddered() {
			if err := p.chooseChannels(ctx, tx, c); err != nil {
				return err
			}
		}
		if s.what == "fresh" && c.spread() > 0 {
			if err := p.spreadSlots(ctx, tx, r, c); err != nil {
				return err
			}
		}
	}
	return nil
}

const freshSQL = `
insert into fresh
select d.customer_key, d.occasion, d.row_key, d.zone, d.opted_in, d.address_id, d.fault, d.domain, null%s
from %s d
where not exists (
	select from occasions o
	where o.campaign_id = @campaign and o.customer_key = d.customer_key and o.occasion = d.occasion and o.step = 0 and o.spent
)`

// Who gets a message: of each occasion, or of all occasions of a customer.
const (
	peopleOne = `
	select f.customer_key, f.occasion, f.row_key, z.name as zone, f.opted_in, f.address_id, f.fault, f.domain, f.channel, 1 as occasions
	from fresh f left join zones z on z.name = f.zone`
	peopleMerged = `
	select f.customer_key, null::text as occasion, null::text as row_key, min(z.name) as zone, bool_and(f.opted_in) as opted_in,
	       min(f.address_id) as address_id, min(f.fault) as fault, min(f.domain) as domain, min(f.channel) as channel, count(*) as occasions
	from fresh f left join zones z on z.name = f.zone
	group by f.customer_key`
)

// The reasons of skipping stand in the order in which a person would ask. A customer's own column that says no wins
// over everything; then the ledger's latest word; then, but of a topic with opt_in: double, a column that says yes; then
// the default.
const draftSQL = `
with people as (%s
), latest as (
	select distinct on (c.customer_key) c.customer_key, c.granted, c.pending, c.until is not null as paused
	from consents c
	where c.channel in (@channel, '*') and c.topic in (@topic, '*') and not c.resumes
	  and (c.until is null or c.until > @now::timestamptz and not exists (
	       select from consents r where r.customer_key = c.customer_key and r.resumes and r.id > c.id))
	order by c.customer_key, c.id desc
), judged as (
	select p.customer_key, p.occasion, p.row_key, p.address_id, p.occasions, p.channel, %s as lane, %s as zone,
	       case when @at_once::boolean then @now::timestamptz
	            else @tick::timestamp at time zone case when @by_zone::boolean then coalesce(p.zone, @default_zone) else @zone end
	            end as not_before,
	       @until::timestamp at time zone case when @by_zone::boolean then coalesce(p.zone, @default_zone) else @zone end as not_after,
	       case
	       when p.fault is not null then p.fault -- erased, no address, bad address%s
	       when @cooldown::interval > '0' and exists (
	            select from occasions o
	            where o.campaign_id = @campaign and o.customer_key = p.customer_key and o.spent
	              and o.planned_at > @as_of::timestamptz - @cooldown::interval) then 'cooldown'
	       end as reason
	from people p%s
)%s, timed as (
	select customer_key, occasion, row_key, address_id, not_before, not_after, occasions, lane, zone, channel,
	       coalesce(reason, case when not_after <= @now::timestamptz or not_after <= not_before then 'too late' end) as reason
	from %s
	offset 0 -- or the reason is found out twice, for the order and for the table
)%s
insert into drafts
select row_number() over (order by %s),
       customer_key, occasion, row_key, address_id, not_before, not_after, reason, occasions, lane, nullif(zone, @default_zone), channel
from %s`

// What the ledger says of people, in draftSQL.
const (
	saidReason = `
	       when s.hash is not null then 'suppressed'
	       when not @internal::boolean and not coalesce(case when p.opted_in is false then false end,
	                         case when @confirms::boolean then coalesce(l.pending, false) else l.granted end,
	                         case when @column_grants::boolean then p.opted_in end, @granted)
	            then case when l.paused and p.opted_in is not false then 'paused' else 'no consent' end`
	saidFrom = `
	left join (suppressions s join addresses a on a.hash = s.hash) on s.channel = @channel and a.id = p.address_id
	left join latest l on l.customer_key = p.customer_key`
)

// laned says whether some of the campaign's messages go in lanes of their own: to domains that have a throttle in sapa.yaml.
func (c *Campaign) laned() bool { return c.uses("email") && len(c.schema.Throttles) > 0 }

// lanes are the domains that have a throttle, and the lane of each.
func (c *Campaign) lanes() (domains, lanes []string) {
	for _, t := range c.schema.Throttles {
		for _, domain := range t.Domains {
			domains, lanes = append(domains, domain), append(lanes, t.Lane)
		}
	}
	return domains, lanes
}

// draftOrder is the order of drafts: those to be sent, by lane and moment. Where all have one moment it begins with a text,
// which sorts several times as fast as columns of which the first ones hardly differ.
func (c *Campaign) draftOrder(moments bool) string {
	if c.laddered() {
		return "reason is not null, channel collate \"C\", " + map[bool]string{true: `lane collate "C", `}[c.laned()] + "not_before, customer_key, occasion"
	}
	column, text := "", ""
	if c.laned() {
		column, text = `lane collate "C", `, ` || lane || E'\t'`
	}
	if moments {
		return "reason is not null, " + column + "not_before, customer_key, occasion"
	}
	return `(case when reason is null then '0' else '1' end` + text + ` || customer_key) collate "C", occasion`
}

// window says when the messages of a run may go.
type window struct {
	atOnce bool       // by hand: now, and no end
	byZone bool       // at the tick in each customer's zone
	zone   string     // otherwise in this one
	until  *time.Time // civil time after which it is too late
}

func (c *Campaign) window(r *Run) window {
	if t := c.Definition.Trigger; t != nil {
		return t.window(r, c.clock(r.Tick, r.AsOf).Zone)
	}
	if c.calendar == nil || !r.Scheduled {
		return window{atOnce: true, zone: c.schema.Zone}
	}
	w := window{byZone: c.calendar.customer, zone: c.calendar.zone.String()}
	if c.calendar.until != nil {
		end := date(r.Tick).Add(time.Duration(*c.calendar.until) * time.Minute)
		w.until = &end
	}
	return w
}

func (p *Planner) writeLedger(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan) error {
	// Asked after table fresh was made: an occasion that was free then still is, since only plans and retries of this
	// campaign take one.
	var released bool
	err := tx.QueryRow(ctx, `select exists (select from occasions where campaign_id = $1 and not spent)`, r.CampaignID).Scan(&released)
	if err != nil {
		return fmt.Errorf("look for released occasions: %w", err)
	}
	// Table drafts lies in the order of n, and where no zones differ that is the order of both primary keys: no sort needed.
	carried := "drafts d"
	if c.Merged() {
		carried = "(select f.customer_key, f.occasion, f.row_key, d.n, d.reason from fresh f join drafts d using (customer_key)) d"
	}
	takeOver := ""
	if released { // take over occasions whose earlier message failed or was skipped
		takeOver = `order by 2, 3
			on conflict (campaign_id, customer_key, occasion, step) do update
			set message_id = excluded.message_id, row_key = excluded.row_key, spent = excluded.spent, planned_at = excluded.planned_at
			where not occasions.spent`
	}
	lane, zone := "''", "null"
	if c.laned() {
		lane = "lane"
	}
	if len(c.Limits().Quiet) > 0 {
		zone = "zone"
	}
	channel := "@channel::text"
	if c.laddered() {
		channel = "channel"
	}
	steps := []struct{ what, sql string }{
		{"messages", `
			insert into messages (id, run_id, customer_key, address_id, channel, not_before, not_after, state, reason, occasions, zone)
			select @base::bigint + n, @run::int, customer_key, address_id, ` + channel + `, not_before, not_after,
			       case when reason is null then 'planned' else 'skipped' end::message_state, reason, occasions, ` + zone + `
			from drafts`},
		{"occasions", `
			insert into occasions (campaign_id, customer_key, occasion, message_id, row_key, spent, planned_at)
			select @campaign::int, d.customer_key, d.occasion, @base::bigint + d.n, d.row_key, d.reason is null, @as_of::timestamptz
			from ` + carried + ` ` + takeOver},
		{"batches", `
			insert into batches (run_id, lo, hi, due_at, channel, lane, climb_at, priority, triggered)
			select @run::int, @base::bigint + chunk, @base::bigint + least(chunk + @size::int - 1, hi), not_before, channel, lane, not_before + @climb::interval, @priority::smallint, @triggered::boolean
			from (select not_before, ` + lane + ` as lane, ` + channel + ` as channel, min(n) as lo, max(n) as hi from drafts where reason is null group by 1, 2, 3) d, -- n without gaps
			     generate_series(lo, hi, @size::int) chunk
			order by chunk`},
		{"totals", `
			insert into run_totals (run_id, state, reason, delta)
			select @run::int, t.state, t.reason, t.delta
			from unnest(@states::text[], @reasons::text[], @counts::bigint[]) t(state, reason, delta)
			where t.delta > 0 or t.state = 'audience'`},
	}
	args := pgx.NamedArgs{
		"campaign": r.CampaignID, "run": r.ID, "base": r.messageBase, "channel": c.Channel(), "as_of": r.AsOf, "size": delivery.BatchSize,
		"priority": c.batchPriority(), "triggered": c.Confirms() || c.Triggered(),
	}
	args["states"], args["reasons"], args["counts"] = plan.totals()
	args["climb"] = c.firstLook()
	for _, s := range steps {
		tag, err := tx.Exec(ctx, s.sql, args)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && s.what == "occasions" && e.Code == "23505" {
			return errMoved
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", s.what, err)
		}
		if s.what == "occasions" {
			if tag.RowsAffected() != r.fresh { // each has its message, or none may have one
				return errMoved
			}
		}
	}
	if err := p.noteLadder(ctx, tx, r.ID, c, 0, plan.Channels); err != nil {
		return err
	}
	return delivery.CountContacts(ctx, tx, r.ID, c.Limits())
}

// errMoved says that an occasion which was free when the plan was made is not any more: a provider reported on a message
// that was taken for failed. A message without its occasion could be somebody's second.
var errMoved = errors.New("occasions were taken while the run was planned")

// readPlan counts tables due, fresh and drafts.
func (p *Planner) readPlan(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan) error {
	plan.Planned, plan.Skipped = 0, map[string]int{}
	rows, err := tx.Query(ctx, `select coalesce(reason, ''), count(*) from drafts group by 1`)
	if err != nil {
		return fmt.Errorf("count the plan: %w", err)
	}
	var reason string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&reason, &n}, func() error {
		if reason == "" {
			plan.Planned = n
		} else {
			plan.Skipped[reason] = n
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the plan: %w", err)
	}
	if err := p.readChannels(ctx, tx, r, c, plan); err != nil {
		return err
	}
	if plan.Already, err = countAlready(ctx, tx, r, c, plan.messages()); err != nil {
		return fmt.Errorf("count the plan: %w", err)
	}
	if c.schema.Timezone.Column != "" {
		err = tx.QueryRow(ctx, `select count(*) from due where zone is not null and zone not in (select name from zones)`).Scan(&plan.Zones)
		if err != nil {
			return fmt.Errorf("count the plan: %w", err)
		}
	}
	plan.Audience = plan.Total()
	if plan.Audience > maxMessages {
		return fmt.Errorf("the rule means %d; a run carries at most %d", plan.Audience, maxMessages)
	}
	return nil
}

// countAlready is how much of what was meant has no draft, as all of its occasions were spent before.
func countAlready(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, drafts int) (n int, err error) {
	if r.due == r.fresh {
		return 0, nil
	}
	meant := "customer_key, occasion"
	if c.Merged() {
		meant = "customer_key"
	}
	err = tx.QueryRow(ctx, `select count(*) - $1 from (select distinct `+meant+` from due) d`, drafts).Scan(&n)
	return n, err
}

// open lets the run send: its state changes and workers are woken in the same transaction. Where the plan says to hold it,
// it is paused, for that reason, until a person resumes it.
func (p *Planner) open(ctx context.Context, tx pgx.Tx, r *Run, plan *Plan) error {
	reason, hold := "", plan.Hold
	if hold != "" {
		reason = held(hold, r.ID)
	}
	var state string
	messages := plan.messages()
	err := tx.QueryRow(ctx, `
		update runs set planned_at = clock_timestamp(), message_count = $3,
			state = case when not exists (select from batches where run_id = $1) then 'done' when $2 <> '' then 'paused' else 'sending' end::run_state,
			finished_at = case when exists (select from batches where run_id = $1) then null else clock_timestamp() end, reason = nullif($2, '')
		where id = $1 and state = 'planning'
		returning state::text`, r.ID, reason, messages).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		return errPlanned(r)
	}
	if err != nil {
		return fmt.Errorf("open run %d: %w", r.ID, err)
	}
	err = access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "plan", Subject: fmt.Sprintf("run %d", r.ID), Detail: map[string]any{"from": "planning", "to": state, "messages": messages}})
	if err != nil {
		return err
	}
	if hold != "" {
		return access.Record(ctx, tx, access.Entry{Actor: "sapa", Action: "hold", Subject: fmt.Sprintf("run %d", r.ID), Detail: map[string]any{"reason": hold}})
	}
	batches, err := delivery.Wakeups(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	return p.Queue.WakeTx(ctx, tx, batches)
}
