package campaign

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// Plan is what planning a run made, or would make.
type Plan struct {
	Run      int            `json:"run,omitempty"`
	Audience int            `json:"audience"` // occasions that the rule means now: customers, or rows of `each`
	Already  int            `json:"already"`  // whose occasion was spent before
	Planned  int            `json:"planned"`
	Skipped  map[string]int `json:"skipped"`                 // by reason
	Zones    int            `json:"unknown_zones,omitempty"` // customers whose zone is not a known name; they take the default
}

// Total is what the parts must add up to.
func (p *Plan) Total() int {
	n := p.Already + p.Planned
	for _, skipped := range p.Skipped {
		n += skipped
	}
	return n
}

// maxMessages is how many messages a run can have: the bits of a message's id that count within a run.
const maxMessages = 1<<28 - 1

// errDryRun rolls a dry run back.
var errDryRun = errors.New("dry run")

// plan fills the ledger for a run whose row exists: one transaction, so that a run is planned whole or not at all. It
// holds the run's row from its first statement on, so that a run in state planning whose row is free has lost its
// planner. Later it locks the campaign's row, so that two runs of a campaign never plan at the same time and the second
// sees the first's occasions. Everybody locks in this order: run, address book, campaign.
func (p *Planner) plan(ctx context.Context, r *Run, c *Campaign, dryRun bool) (*Plan, error) {
	if err := customer.CheckKeys(ctx, p.Pool, p.Schema); err != nil {
		return nil, err
	}
	if !dryRun {
		if err := p.prepareRun(ctx, r); err != nil {
			return nil, err
		}
	}
	plan := &Plan{Run: r.ID}
	err := pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := p.fill(ctx, tx, r, c, plan, dryRun); err != nil {
			return err
		}
		if dryRun {
			return errDryRun
		}
		return p.open(ctx, tx, r)
	})
	if dryRun && errors.Is(err, errDryRun) {
		return plan, nil
	}
	if err != nil {
		return nil, err
	}
	return plan, nil
}

func (p *Planner) fill(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan, dryRun bool) error {
	if !dryRun {
		if err := p.lockRun(ctx, tx, r); err != nil {
			return err
		}
	}
	if err := p.selectDue(ctx, tx, r, c); err != nil {
		return err
	}
	return p.write(ctx, tx, r, c, plan)
}

// prepareRun gives the run its range of message ids, and makes sure of the month's partitions, in a transaction of its
// own: making a partition locks the whole table.
func (p *Planner) prepareRun(ctx context.Context, r *Run) error {
	var month int
	err := p.Pool.QueryRow(ctx, `
		update runs set message_base = coalesce(message_base, (months.n::bigint << 44) | ((id & 65535)::bigint << 28))
		from (select (extract(year from now())::int - 2026) * 12 + extract(month from now())::int - 1 as n) months
		where id = $1 and state = 'planning'
		returning message_base >> 44`, r.ID).Scan(&month)
	if errors.Is(err, pgx.ErrNoRows) {
		return errPlanned(r)
	}
	if err != nil {
		return fmt.Errorf("prepare run %d: %w", r.ID, err)
	}
	if _, err := p.Pool.Exec(ctx, `select ensure_month($1)`, month); err != nil {
		return fmt.Errorf("prepare run %d: make the month's partitions: %w", r.ID, err)
	}
	return nil
}

func errPlanned(r *Run) error {
	return fmt.Errorf("run %d is not being planned any more: %w", r.ID, ErrState)
}

func (p *Planner) lockRun(ctx context.Context, tx pgx.Tx, r *Run) error {
	err := tx.QueryRow(ctx, `select message_base from runs where id = $1 and state = 'planning' for no key update`, r.ID).Scan(&r.messageBase)
	if errors.Is(err, pgx.ErrNoRows) {
		return errPlanned(r)
	}
	if err != nil {
		return fmt.Errorf("lock run %d: %w", r.ID, err)
	}
	return nil
}

// selectDue asks the company's tables, in one short statement, and keeps the answer in a temporary table.
func (p *Planner) selectDue(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	_, err := tx.Exec(ctx, `
		create temporary table due (
			customer_key text collate "C", occasion text collate "C", row_key text collate "C",
			raw text collate "C", zone text, opted_in boolean
		) on commit drop`)
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	sql, args, err := p.dueSQL(ctx, tx, r, c)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `set local lock_timeout = '2s'; set local plan_cache_mode = force_custom_plan`); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	if _, err := tx.Exec(ctx, "insert into due "+sql, append([]any{pgx.QueryExecModeExec}, args...)...); err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", err)}
	}
	if _, err = tx.Exec(ctx, `set local lock_timeout = 0; analyze due`); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	// The address book is filled from the same answer, by Go, so that the rest of planning is SQL alone.
	return p.fillAddressBook(ctx, tx, c)
}

// CompanyError is an SQL error on the company's own tables: nobody's fault among the customers, and never a reason to
// fail them.
type CompanyError struct{ Err error }

func (e *CompanyError) Error() string { return e.Err.Error() }

// Unwrap gives the database's error.
func (e *CompanyError) Unwrap() error { return e.Err }

// dueSQL is the audience as a select of the columns of table due. Where SQL can't say the rule exactly, the rows are
// decided first, one by one, and their keys kept in a temporary table, which then stands for the rule.
func (p *Planner) dueSQL(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) (string, []any, error) {
	clock := c.clock(r.Tick, r.AsOf)
	q, err := segment.Audience(c.scope, c.base, c.where, &segment.Args{}, clock)
	if err != nil {
		return "", nil, err
	}
	if !q.Exact {
		if err := p.choose(ctx, tx, q); err != nil {
			return "", nil, err
		}
		if q, err = segment.Audience(c.scope, nil, nil, &segment.Args{}, clock); err != nil {
			return "", nil, err
		}
		q.Where = "exists (select from chosen h where h.customer_key = " + c.keySQL() + " and h.row_key = " + c.rowKeySQL("''") + ")"
	}
	return c.dueSelect(r, q, clock)
}

// choose asks each candidate of the query and keeps the keys of those whom the rule means. The company's tables are read
// on a connection of their own, in chunks.
func (p *Planner) choose(ctx context.Context, tx pgx.Tx, q *segment.Query) error {
	_, err := tx.Exec(ctx, `create temporary table chosen (customer_key text collate "C", row_key text collate "C") on commit drop`)
	if err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	err = q.Keys(ctx, p.Pool, func(keys []segment.Key) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"chosen"}, []string{"customer_key", "row_key"},
			pgx.CopyFromSlice(len(keys), func(i int) ([]any, error) { return []any{keys[i].Customer, keys[i].Each}, nil }))
		return err
	})
	if err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", err)}
	}
	if _, err := tx.Exec(ctx, `analyze chosen`); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	return nil
}

func (c *Campaign) keySQL() string {
	return segment.CustomerAlias + "." + c.schema.KeyColumn().SQL() + "::text"
}

// rowKeySQL is the key of the row of `each`, or what stands for none.
func (c *Campaign) rowKeySQL(none string) string {
	if c.each == nil {
		return none
	}
	return segment.EachAlias + "." + pgx.Identifier{c.each.Target.Key}.Sanitize() + "::text"
}

func (c *Campaign) dueSelect(r *Run, q *segment.Query, clock segment.Clock) (string, []any, error) {
	occasion, err := c.occasionSQL(r, q, clock)
	if err != nil {
		return "", nil, err
	}
	s := c.schema
	column := func(f customer.Field) string {
		return segment.CustomerAlias + "." + pgx.Identifier{f.Column}.Sanitize()
	}
	address, _ := s.Address(c.Channel())
	zone, optedIn := "null::text", "null::boolean"
	if s.Timezone.Column != "" {
		zone = column(s.Timezone) + "::text"
	}
	if col := s.Consent.Columns[c.Channel()]; col != "" {
		optedIn = column(customer.Field{Column: col})
	}
	return fmt.Sprintf(`select %s, %s, %s, left(%s::text, 512), %s, %s from %s where %s`,
		c.keySQL(), occasion, c.rowKeySQL("null::text"), column(address), zone, optedIn, q.From, q.Where), q.Args.Values(), nil
}

// occasionSQL is the canonical text of an occasion. Its parts are quoted like JSON strings and separated by commas, so
// that different lists never share a text; golden tests freeze the format. A missing part is written null.
func (c *Campaign) occasionSQL(r *Run, q *segment.Query, clock segment.Clock) (string, error) {
	parts := []string{}
	for _, v := range c.occasion {
		sql, err := v.SQL(q.Args, clock, q.Aliases)
		if err != nil {
			return "", fmt.Errorf("occasion: %w", err)
		}
		parts = append(parts, "coalesce(to_json("+sql+")::text, 'null')")
	}
	if len(parts) == 0 {
		parts = append(parts, q.Args.Bind(`"`+c.defaultOccasion(r)+`"`, "text"))
		if c.each != nil {
			parts = append(parts, "to_json("+segment.EachAlias+"."+pgx.Identifier{c.each.Target.Key}.Sanitize()+"::text)::text")
		}
	}
	if r.Label != "" {
		parts = append(parts, "to_json("+q.Args.Bind("again "+r.Label, "text")+")::text")
	}
	return strings.Join(parts, " || ',' || "), nil
}

// defaultOccasion is `once` without a schedule, and the tick's date with one.
func (c *Campaign) defaultOccasion(r *Run) string {
	if c.calendar == nil || c.calendar.cron == "" {
		return "once"
	}
	return r.Tick.Format(time.DateOnly)
}

// write turns table due into occasions, messages, batches and totals.
func (p *Planner) write(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign, plan *Plan) error {
	// The lock is a statement of its own, so that the next ones see what whoever held it has written.
	if _, err := tx.Exec(ctx, `select from campaigns where id = $1 for no key update`, r.CampaignID); err != nil {
		return fmt.Errorf("lock the campaign: %w", err)
	}
	if err := p.draft(ctx, tx, r, c); err != nil {
		return err
	}
	if err := readPlan(ctx, tx, plan); err != nil {
		return err
	}
	if r.ID == 0 {
		return nil
	}
	return p.writeLedger(ctx, tx, r, c)
}

// draft makes three temporary tables of due: fresh (occasions that are not spent, each with the message that carries
// it), already (messages all of whose occasions were spent before), drafts (the messages, numbered 1 … n with those to
// be sent first, in the order in which they may go).
func (p *Planner) draft(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	_, err := tx.Exec(ctx, `
		create temporary table fresh (
			message text collate "C", customer_key text collate "C", occasion text collate "C", row_key text collate "C",
			raw text collate "C", zone text, opted_in boolean
		) on commit drop;
		create temporary table already (message text collate "C") on commit drop;
		create temporary table drafts (
			n bigint, message text collate "C", customer_key text collate "C", address_id bigint,
			not_before timestamptz, not_after timestamptz, reason text, occasions int
		) on commit drop`)
	if err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	w := c.window(r)
	args := pgx.NamedArgs{
		"campaign": r.CampaignID, "channel": c.Channel(), "topic": c.Topic(), "merge": c.Merged(), "granted": c.schema.Consent.Granted,
		"as_of": r.AsOf, "cooldown": time.Duration(c.Definition.Audience.Cooldown),
		"now": p.Now(), "at_once": w.atOnce, "tick": r.Tick, "until": w.until, "by_zone": w.byZone, "zone": w.zone, "default_zone": c.schema.Zone,
	}
	for _, s := range []struct{ what, sql string }{{"fresh", freshSQL}, {"already", alreadySQL}, {"drafts", draftSQL}} {
		if _, err := tx.Exec(ctx, s.sql, args); err != nil {
			return fmt.Errorf("find %s: %w", s.what, err)
		}
		if _, err := tx.Exec(ctx, "analyze "+s.what); err != nil {
			return fmt.Errorf("make temporary tables: %w", err)
		}
	}
	return nil
}

const freshSQL = `
insert into fresh
select case when @merge::boolean then d.customer_key else d.customer_key || E'\x1f' || d.occasion end,
       d.customer_key, d.occasion, d.row_key, d.raw, d.zone, d.opted_in
from (select distinct on (customer_key, occasion) * from due order by customer_key, occasion, row_key) d
where not exists (
	select from occasions o
	where o.campaign_id = @campaign and o.customer_key = d.customer_key and o.occasion = d.occasion and o.step = 0 and o.spent
)`

const alreadySQL = `
insert into already
select distinct case when @merge::boolean then customer_key else customer_key || E'\x1f' || occasion end from due
except
select message from fresh`

// The reasons of skipping stand in the order in which a person would ask. A customer's own column that says no wins
// over everything; then the ledger's latest word; then a column that says yes; then the default.
const draftSQL = `
with people as (
	select f.message, min(f.customer_key) as customer_key, min(f.raw) as raw, min(z.name) as zone,
	       bool_and(f.opted_in) as opted_in, count(*) as occasions
	from fresh f left join zones z on z.name = f.zone
	group by f.message
), latest as (
	select distinct on (customer_key) customer_key, granted
	from consents
	where channel in (@channel, '*') and topic in (@topic, '*')
	order by customer_key, id desc
), judged as (
	select p.message, p.customer_key, a.id as address_id, p.occasions,
	       case when @at_once::boolean then @now::timestamptz
	            else @tick::timestamp at time zone case when @by_zone::boolean then coalesce(p.zone, @default_zone) else @zone end
	            end as not_before,
	       @until::timestamp at time zone case when @by_zone::boolean then coalesce(p.zone, @default_zone) else @zone end as not_after,
	       case
	       when p.raw is null or p.raw = '' then 'no address'
	       when a.normalised is null then 'bad address'
	       when exists (select from suppressions s where s.channel = @channel and s.hash = a.hash) then 'suppressed'
	       when not coalesce(case when p.opted_in is false then false end, l.granted, p.opted_in, @granted) then 'no consent'
	       when @cooldown::interval > '0' and exists (
	            select from occasions o
	            where o.campaign_id = @campaign and o.customer_key = p.customer_key and o.spent
	              and o.planned_at > @as_of::timestamptz - @cooldown::interval) then 'cooldown'
	       end as reason
	from people p
	left join addresses a on a.channel = @channel and a.region = '' and a.raw = p.raw
	left join latest l on l.customer_key = p.customer_key
), timed as (
	select message, customer_key, address_id, not_before, not_after, occasions,
	       coalesce(reason, case when not_after <= @now::timestamptz then 'too late' end) as reason
	from judged
)
insert into drafts
select row_number() over (order by reason is not null, not_before, customer_key, message),
       message, customer_key, address_id, not_before, not_after, reason, occasions
from timed`

// window says when the messages of a run may go.
type window struct {
	atOnce bool       // by hand: now, and no end
	byZone bool       // at the tick in each customer's zone
	zone   string     // otherwise in this one
	until  *time.Time // civil time after which it is too late
}

func (c *Campaign) window(r *Run) window {
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

func (p *Planner) writeLedger(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	// Asked after table fresh was made: an occasion that was free then still is, since only plans and retries of this
	// campaign take one.
	var released bool
	err := tx.QueryRow(ctx, `select exists (select from occasions where campaign_id = $1 and not spent)`, r.CampaignID).Scan(&released)
	if err != nil {
		return fmt.Errorf("look for released occasions: %w", err)
	}
	takeOver := ""
	if released { // take over occasions whose earlier message failed or was skipped
		takeOver = `on conflict (campaign_id, customer_key, occasion, step) do update
			set message_id = excluded.message_id, row_key = excluded.row_key, spent = excluded.spent, planned_at = excluded.planned_at
			where not occasions.spent`
	}
	steps := []struct{ what, sql string }{
		{"messages", `
			insert into messages (id, run_id, customer_key, address_id, channel, not_before, not_after, state, reason, occasions)
			select @base::bigint + n, @run::int, customer_key, address_id, @channel::text, not_before, not_after,
			       case when reason is null then 'planned' else 'skipped' end::message_state, reason, occasions
			from drafts order by n`},
		{"occasions", `
			insert into occasions (campaign_id, customer_key, occasion, message_id, row_key, spent, planned_at)
			select @campaign::int, f.customer_key, f.occasion, @base::bigint + d.n, f.row_key, d.reason is null, @as_of::timestamptz
			from fresh f join drafts d on d.message = f.message
			order by 2, 3 ` + takeOver},
		{"batches", `
			insert into batches (run_id, lo, hi, due_at, channel)
			select @run::int, @base::bigint + min(n), @base::bigint + max(n), not_before, @channel::text
			from (select n, not_before, (row_number() over (partition by not_before order by n) - 1) / @size::int as chunk
			      from drafts where reason is null) d
			group by not_before, chunk order by min(n)`},
		{"totals", `
			insert into run_totals (run_id, state, reason, delta)
			select @run::int, case when reason is null then 'planned' else 'skipped' end, coalesce(reason, ''), count(*) from drafts group by reason
			union all select @run::int, 'already', '', n from (select count(*) as n from already) a where n > 0
			union all select @run::int, 'audience', '', (select count(*) from drafts) + (select count(*) from already)`},
	}
	args := pgx.NamedArgs{"campaign": r.CampaignID, "run": r.ID, "base": r.messageBase, "channel": c.Channel(), "as_of": r.AsOf, "size": delivery.BatchSize}
	for _, s := range steps {
		if _, err := tx.Exec(ctx, s.sql, args); err != nil {
			return fmt.Errorf("write %s: %w", s.what, err)
		}
	}
	return nil
}

func readPlan(ctx context.Context, tx pgx.Tx, plan *Plan) error {
	plan.Skipped = map[string]int{}
	err := tx.QueryRow(ctx, `select (select count(*) from already), (select count(*) from drafts where reason is null),
		(select count(*) from due where zone is not null and zone not in (select name from zones))`).
		Scan(&plan.Already, &plan.Planned, &plan.Zones)
	if err != nil {
		return fmt.Errorf("count the plan: %w", err)
	}
	rows, err := tx.Query(ctx, `select reason, count(*) from drafts where reason is not null group by 1`)
	if err != nil {
		return fmt.Errorf("count the plan: %w", err)
	}
	var reason string
	var n int
	if _, err = pgx.ForEachRow(rows, []any{&reason, &n}, func() error { plan.Skipped[reason] = n; return nil }); err != nil {
		return fmt.Errorf("count the plan: %w", err)
	}
	plan.Audience = plan.Total()
	if plan.Audience > maxMessages {
		return fmt.Errorf("the rule means %d; a run carries at most %d", plan.Audience, maxMessages)
	}
	return nil
}

// open lets the run send: its state changes and workers are woken in the same transaction.
func (p *Planner) open(ctx context.Context, tx pgx.Tx, r *Run) error {
	tag, err := tx.Exec(ctx, `
		update runs set planned_at = clock_timestamp(), message_count = (select count(*) from drafts),
			state = case when exists (select from batches where run_id = $1) then 'sending' else 'done' end::run_state,
			finished_at = case when exists (select from batches where run_id = $1) then null else clock_timestamp() end, reason = null
		where id = $1 and state = 'planning'`, r.ID)
	if err != nil {
		return fmt.Errorf("open run %d: %w", r.ID, err)
	}
	if tag.RowsAffected() == 0 {
		return errPlanned(r)
	}
	batches, err := delivery.Wakeups(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	return p.Queue.WakeTx(ctx, tx, batches)
}
