package campaign

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// ask reads what the company's tables say of the climbers now, in one short statement, and fills the address book.
func (a *ascent) ask(ctx context.Context) error {
	rows, _ := a.tx.Query(ctx, `select distinct customer_key from climbers order by 1`)
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(keys) == 0 {
		return err
	}
	q, err := segment.Audience(segment.NewScope(a.c.schema), nil, nil, &segment.Args{}, anyClock())
	if err != nil {
		return err
	}
	column := a.c.schema.KeyColumn()
	q.Where = fmt.Sprintf("%s.%s = any(%s::%s[])", segment.CustomerAlias, column.SQL(), q.Args.Bind(keys, "text[]"), column.PGType)
	zone := "null::text"
	if name := a.c.schema.Timezone.Column; name != "" {
		zone = segment.CustomerAlias + "." + pgx.Identifier{name}.Sanitize() + "::text"
	}
	raws, opteds, preferred := a.c.ladderPerson()
	sql := fmt.Sprintf(`
		update climbers c set region = d.region, zone = d.zone, raws = d.raws, opteds = d.opteds, preferred = lower(btrim(d.preferred)), fault = null
		from (select %s, %s, %s, %s, %s, %s from %s where %s) d (customer_key, region, zone, raws, opteds, preferred)
		where c.customer_key = d.customer_key`,
		a.c.keySQL(), a.c.regionSQL(q), zone, raws, opteds, preferred, q.From, q.Where)
	if _, err := a.tx.Exec(ctx, `set local lock_timeout = '2s'`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if _, err := a.tx.Exec(ctx, sql, append([]any{pgx.QueryExecModeExec}, q.Args.Values()...)...); err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	if _, err := a.tx.Exec(ctx, `set local lock_timeout = 0`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return a.c.fillLadderBooks(ctx, a.tx, "climbers")
}

// climbing are the climbers, for reachSQL.
const climbing = `select c.message_id::text as who, c.customer_key, c.region, c.raws, c.opteds, c.preferred, c.fault, c.tried from climbers c`

// choose makes table ascents: the messages to come, numbered behind those of the run, those to be sent first. The campaign is locked,
// so that no plan and no retry takes an occasion meanwhile.
func (a *ascent) choose(ctx context.Context) error {
	if _, err := a.tx.Exec(ctx, `select from campaigns where id = $1 for no key update`, a.r.CampaignID); err != nil {
		return fmt.Errorf("lock the campaign: %w", err)
	}
	if err := a.p.fillReach(ctx, a.tx, a.c, climbing); err != nil {
		return err
	}
	if err := a.c.budgetArgs(ctx, a.tx, a.r.ID, a.args); err != nil {
		return err
	}
	_, err := a.exec(ctx, "make temporary tables", `
		create temporary table ascents (
			n bigint, message_id bigint, customer_key text collate "C", step int, turn text, carried int, channel text, address_id bigint, lane text,
			not_before timestamptz, not_after timestamptz, zone text, reason text
		) on commit drop`)
	if err != nil {
		return err
	}
	_, err = a.exec(ctx, "choose the next channel", a.ascentsSQL())
	return err
}

// ascentsSQL has a moment for each message: now, or, where the schedule has an end, within the hours between its time of day and
// that; and not in quiet hours.
func (a *ascent) ascentsSQL() string {
	c, lane := a.c, "''"
	if c.laned() {
		a.args["domains"], a.args["lanes"] = c.lanes()
		lane = "coalesce((@lanes::text[])[array_position(@domains::text[], h.domain)], '')"
	}
	moment, end := "@now::timestamptz", "null::timestamptz"
	switch w := c.window(a.r); {
	case c.Triggered():
		end = "c.not_after"
	case w.until != nil:
		a.args["opens"], a.args["closes"] = a.r.Tick.Format("15:04:05"), w.until.Format("15:04:05")
		moment = `case
			when l.at::time >= @opens::text::time and l.at::time < @closes::text::time then @now::timestamptz
			else ((l.at::date + case when l.at::time >= @closes::text::time then 1 else 0 end) + @opens::text::time) at time zone l.zone end`
		end = `((m.moment at time zone l.zone)::date + @closes::text::time) at time zone l.zone`
	}
	afforded, from := c.affordedSQL()
	return fmt.Sprintf(`
with timed as (
	select c.message_id, c.customer_key, c.message_id::text as occasion, null::text as row_key, c.step + 1 as step, c.turn, c.carried, h.channel, h.address_id,
	       %s as lane, %s as not_before, %s as not_after, 0 as occasions, z.zone, null::text as reason
	from climbers c
	join (%s) h on h.who = c.message_id::text and h.reason is null
	left join zones k on k.name = c.zone
	cross join lateral (select coalesce(k.name, @default_zone) as zone) z
	cross join lateral (select w.zone, @now::timestamptz at time zone w.zone as at from (select case when @by_zone::boolean then z.zone else @zone end as zone) w) l
	cross join lateral (select %s as moment) m
)%s, judged as (
	select t.*, coalesce(f.reason, case when t.not_after <= t.not_before then 'too late' end) as skip
	from timed t join %s f using (customer_key, occasion)
)
insert into ascents
select row_number() over (order by skip is not null, channel collate "C", lane collate "C", not_before, customer_key, message_id),
       message_id, customer_key, step, turn, carried, channel, address_id, lane, not_before, not_after, nullif(zone, @default_zone), skip
from judged`, lane, delivery.QuietUntil("m.moment", "z.zone", c.Limits().Quiet), end, chosenSQL, moment, afforded, from)
}

// write turns table ascents into messages, occasions, batches and totals, and notes what followed each climber.
func (a *ascent) write(ctx context.Context) error {
	var total int
	err := a.tx.QueryRow(ctx, `select count(*), count(*) filter (where reason is null) from ascents`).Scan(&total, &a.planned)
	if err != nil {
		return fmt.Errorf("count the rung: %w", err)
	}
	if n := a.args["top"].(int64) - a.r.messageBase + int64(total); n > maxMessages {
		return fmt.Errorf("with the next rung the run would have %d messages; it carries at most %d", n, maxMessages)
	}
	if total > 0 {
		if err := a.writeMessages(ctx, total); err != nil {
			return err
		}
	}
	_, err = a.exec(ctx, "note what followed", `
		insert into rungs (message_id, next_id, because, at)
		select c.message_id, @top::bigint + s.n, c.turn || case when s.n is null then '; ' || coalesce(h.reason, 'no channel') else '' end, @now::timestamptz
		from climbers c
		left join ascents s using (message_id)
		left join (`+chosenSQL+`) h on h.who = c.message_id::text`)
	return err
}

func (a *ascent) writeMessages(ctx context.Context, total int) error {
	carried := 0
	if err := a.tx.QueryRow(ctx, `select sum(carried) from ascents`).Scan(&carried); err != nil {
		return fmt.Errorf("count the rung: %w", err)
	}
	for _, s := range rungStatements() {
		n, err := a.exec(ctx, "write "+s.what, s.sql)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && s.what == "occasions" && e.Code == "23505" {
			return errMoved
		}
		if err != nil {
			return err
		}
		if s.what == "occasions" && n != carried {
			return errMoved
		}
	}
	if err := a.charge(ctx); err != nil {
		return err
	}
	if err := delivery.CountContacts(ctx, a.tx, a.r.ID, a.c.Limits()); err != nil {
		return err
	}
	top := a.args["top"].(int64)
	return delivery.CountAdded(ctx, a.tx, a.r.ID, top+1, top+int64(total))
}

// charge notes what was planned by each channel.
func (a *ascent) charge(ctx context.Context) error {
	rows, err := a.tx.Query(ctx, `select step, channel, count(*) from ascents where reason is null group by 1, 2 order by 1, 2`)
	if err != nil {
		return fmt.Errorf("count the channels: %w", err)
	}
	list := map[int][]PlanChannel{}
	var step int
	var one PlanChannel
	_, err = pgx.ForEachRow(rows, []any{&step, &one.Channel, &one.Messages}, func() error { list[step] = append(list[step], one); return nil })
	if err != nil {
		return fmt.Errorf("count the channels: %w", err)
	}
	for step, channels := range list {
		if err := a.c.price(ctx, a.tx, channels); err != nil {
			return err
		}
		if err := a.p.noteLadder(ctx, a.tx, a.r.ID, a.c, step, channels); err != nil {
			return err
		}
	}
	return nil
}

// release frees the occasions of ladders that are over and of which no message was accepted, or may have been. The messages are
// locked by a statement of its own: a provider may report on one that was taken for failed, and must find its occasion released,
// or we find it sent.
func (a *ascent) release(ctx context.Context) error {
	_, err := a.exec(ctx, "lock messages", endedSQL+`
		select count(*) from (
			select m.id from ladders l
			join occasions o on o.campaign_id = @campaign and o.customer_key = l.customer_key and o.occasion = l.occasion
			join messages m on m.id = o.message_id and m.run_id = @run
			where m.state in ('failed', 'skipped')
			order by m.id for share of m) held`)
	if err != nil {
		return err
	}
	_, err = a.exec(ctx, "release occasions", endedSQL+`
		update occasions o set spent = false
		from ladders l
		where o.campaign_id = @campaign and o.customer_key = l.customer_key and o.occasion = l.occasion and o.spent
		  and o.message_id > @base and o.message_id <= @base::bigint + (1 << 28) - 1
		  and not exists (
		      select from occasions x join messages m on m.id = x.message_id
		      where x.campaign_id = @campaign and x.customer_key = l.customer_key and x.occasion = l.occasion
		        and m.state in ('planned', 'claimed', 'sent', 'unknown', 'held_out'))`)
	if err != nil {
		return err
	}
	_, err = a.exec(ctx, "keep occasions that a late report has spent", `
		update occasions o set spent = true
		from seen s join occasions own on own.message_id = s.message_id
		where s.turn not in ('wait', 'later') and not o.spent and o.step <= own.step
		  and (o.campaign_id, o.customer_key, o.occasion) = (own.campaign_id, own.customer_key, own.occasion)
		  and exists (
		      select from occasions n
		      where (n.campaign_id, n.customer_key, n.occasion) = (own.campaign_id, own.customer_key, own.occasion) and n.step > own.step and n.spent)
		  and not exists (select from ascents c where c.message_id = s.message_id)`)
	return err
}

// endedSQL are the ladders, of those that were looked at, that are over.
const endedSQL = `
with ended as (
	select c.message_id from climbers c left join ascents s using (message_id) where s.n is null or s.reason is not null
	union all
	select s.message_id from seen s where s.turn = 'over' and s.step > 0
	union all -- answered: of a message before the one that failed
	select s.message_id from seen s where s.turn not in ('wait', 'later', 'over') and s.step > 0
	  and not exists (select from climbers c where c.message_id = s.message_id)
), ladders as (
	select distinct o.customer_key, o.occasion from ended e join occasions o on o.message_id = e.message_id
)`

// lookAgain notes when the batches are looked at next.
func (a *ascent) lookAgain(ctx context.Context) error {
	_, err := a.exec(ctx, "note the next look", `
		update batches b set climb_at = greatest(coalesce(s.at, 'infinity'), @now::timestamptz + @late::interval)
		from unnest(@batches::bigint[]) u(id)
		left join (
			select batch, min(case turn when 'wait' then @now::timestamptz + @rest::interval when 'later' then due_at end) as at from seen group by 1
		) s on s.batch = u.id
		where b.id = u.id`)
	return err
}

// rungStatement is one of the statements that write a rung.
type rungStatement struct{ what, sql string }

// rungStatements are those statements, in their order. A message lies behind the run's last one; the occasions of the rungs before it
// are spent with it, whatever became of them.
func rungStatements() []rungStatement {
	return []rungStatement{
		{"messages", `
			insert into messages (id, run_id, customer_key, address_id, channel, not_before, not_after, state, reason, occasions, zone, step)
			select @top::bigint + n, @run::int, customer_key, address_id, channel, not_before, not_after,
			       case when reason is null then 'planned' else 'skipped' end::message_state, reason, carried, zone, step
			from ascents`},
		{"occasions", `
			insert into occasions (campaign_id, step, customer_key, occasion, message_id, row_key, spent, planned_at)
			select @campaign::int, s.step, o.customer_key, o.occasion, @top::bigint + s.n, o.row_key, s.reason is null, @as_of::timestamptz
			from ascents s join occasions o on o.message_id = s.message_id
			order by 3, 4
			on conflict (campaign_id, customer_key, occasion, step) do update
			set message_id = excluded.message_id, row_key = excluded.row_key, spent = excluded.spent, planned_at = excluded.planned_at
			where not occasions.spent`},
		{"the rungs before", `
			update occasions o set spent = true
			from ascents s join occasions l on l.message_id = s.message_id
			where s.reason is null and o.campaign_id = @campaign and o.customer_key = l.customer_key and o.occasion = l.occasion
			  and o.step <= l.step and not o.spent`},
		{"batches", `
			insert into batches (run_id, lo, hi, due_at, channel, lane, climb_at, priority, triggered)
			select @run::int, @top::bigint + chunk, @top::bigint + least(chunk + @size::int - 1, hi), not_before, channel, lane,
			       not_before + @climb::interval, @priority::smallint, @triggered::boolean
			from (select not_before, lane, channel, min(n) as lo, max(n) as hi from ascents where reason is null group by 1, 2, 3) d,
			     generate_series(lo, hi, @size::int) chunk
			order by chunk`},
		{"totals", `
			insert into run_totals (run_id, state, reason, delta)
			select @run::int, case when reason is null then 'planned' else 'skipped' end, coalesce(reason, ''), count(*) from ascents group by 2, 3
			union all
			select @run::int, 'rung', '', count(*) from ascents`},
		{"the run", `update runs set message_count = message_count + (select count(*) from ascents) where id = @run`},
	}
}
