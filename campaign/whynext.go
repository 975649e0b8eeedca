package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// schedule finds the tick that the question is about: the next one, where it is today, else none; then the rule is asked as
// if somebody ran the campaign by hand now. It says when the campaign runs.
func (q *inquiry) schedule(ctx context.Context, asOf bool) (string, error) {
	cal := q.c.calendar
	if q.c.Triggered() {
		return q.trigger(ctx)
	}
	if cal == nil {
		q.today = true
		return "runs only by hand: sapa run " + q.out.Campaign, nil
	}
	tick, err := q.tick(ctx, asOf)
	if err != nil {
		return "", err
	}
	again := ""
	if first, ok := cal.next(date(q.r.Tick).Add(-time.Second)); ok && date(first).Equal(date(q.r.Tick)) {
		again = "any more "
	}
	switch {
	case tick == nil:
		return "the schedule has no more runs", nil
	case !date(*tick).Equal(date(q.r.Tick)):
		return fmt.Sprintf("by its schedule it does not run %s%s; the next run is on %s", again, q.out.Day, tick.Format("Mon 2006-01-02 15:04")), nil
	}
	q.today = true
	q.r.Tick, q.r.Scheduled = *tick, true
	where := ""
	if cal.customer {
		where = " where they live"
	}
	until := ""
	if cal.until != nil {
		until = fmt.Sprintf(", until %02d:%02d", *cal.until/60, *cal.until%60)
	}
	return "runs " + q.out.Day + " at " + tick.Format("15:04") + where + until, nil
}

// tick is the next one: as it is noted, or, as of another time, the first of the calendar from that day's beginning on.
func (q *inquiry) tick(ctx context.Context, asOf bool) (*time.Time, error) {
	cal := q.c.calendar
	if asOf {
		if t, ok := cal.next(date(q.r.Tick).Add(-time.Second)); ok {
			return &t, nil
		}
		return nil, nil
	}
	var noted *time.Time
	err := q.tx.QueryRow(ctx, `select next_tick from schedules where campaign_id = $1`, q.r.CampaignID).Scan(&noted)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read the schedule of %s: %w", q.out.Campaign, err)
	}
	if noted == nil {
		return nil, nil
	}
	run, next := cal.due(*noted, q.r.AsOf)
	if run == nil {
		run = next
	}
	return run, nil
}

// whyTries is how many dates on which the rule holds are asked for their occasion.
const whyTries = 60

// next finds the first date on which the rule would mean the customer, with an occasion that is free. It is asked only where
// a date may decide.
func (q *inquiry) next(ctx context.Context) error {
	dated, lasting := q.dated()
	if !dated {
		return nil
	}
	if q.out.NoNext = segment.Undated(q.rows, q.c.questions()...); q.out.NoNext != "" {
		return nil
	}
	if q.expected() {
		defer func() {
			if q.out.Next == "" && q.out.NoNext == "" {
				q.out.NoNext = fmt.Sprintf("there is none within %d days", whyAhead)
			}
		}()
	}
	tries := 0
	for _, r := range q.ahead() {
		clock := q.c.clockOf(r)
		meant, err := segment.Meant(clock, q.rows, q.c.base, q.c.where)
		if notReady := new(segment.NotReadyError); errors.As(err, &notReady) {
			q.out.NoNext = "none is given, because " + notReady.Error()
			return nil
		}
		if err != nil {
			return err
		}
		if !meant || r.AsOf.Before(q.until) {
			continue
		}
		if tries++; tries > whyTries {
			return nil
		}
		free, err := q.free(ctx, r)
		if notReady := new(segment.NotReadyError); errors.As(err, &notReady) {
			q.out.NoNext = "none is given, because " + notReady.Error()
			return nil
		}
		if err != nil {
			return err
		}
		if free {
			q.out.Next, q.out.NextGets = clock.Today.Format(time.DateOnly), !lasting
			return nil
		}
	}
	return nil
}

// expected says that a next date may be expected: the rule looks at dates, or it is not the rule that stands in the way.
func (q *inquiry) expected() bool {
	for _, r := range q.out.Reasons {
		if r.Check == "customer" || r.Check == "rule" && !q.c.where.Dated() {
			return false
		}
	}
	return true
}

// dated says whether a date decides on one of the reasons, and whether another is there to stay.
func (q *inquiry) dated() (dated, lasting bool) {
	if q.c.Triggered() { // no date alone brings the message
		return false, false
	}
	for _, r := range q.out.Reasons {
		switch r.Check {
		case "customer", "rule", "occasion", "cooldown", "time", "quiet", "cap", "schedule":
			dated = true
		case "consent", "channel":
			dated, lasting = dated || q.paused, lasting || !q.paused
		case "erasure":
			return false, true
		default:
			lasting = true
		}
	}
	return dated, lasting
}

// ahead are the runs that there may be on the days to come: those of the schedule, or one a day.
func (q *inquiry) ahead() []*Run {
	var list []*Run
	end := q.clock.Today.AddDate(0, 0, whyAhead)
	if cal := q.c.calendar; cal != nil {
		day := q.clock.Today // one run of a day stands for all
		for t, ok := cal.next(day.AddDate(0, 0, 1).Add(-time.Second)); ok && !t.After(end); t, ok = cal.next(date(t).AddDate(0, 0, 1).Add(-time.Second)) {
			r := *q.r
			r.Tick, r.AsOf, r.Scheduled = t, instant(t, cal.zone), true
			list = append(list, &r)
		}
		return list
	}
	for day := 1; day <= whyAhead; day++ {
		r := *q.r
		clock := q.clock.Ahead(day)
		r.Tick, r.AsOf = q.r.Tick.AddDate(0, 0, day), clock.Now
		list = append(list, &r)
	}
	return list
}

// free says whether a run would find an occasion of the customer's that is not spent.
func (q *inquiry) free(ctx context.Context, r *Run) (free bool, err error) {
	err = pg.InTx(ctx, q.tx, func(tx pgx.Tx) error {
		one := *r
		one.only = q.out.CustomerKey
		if one.wanted = q.c.Confirms(); one.wanted {
			if err := q.p.selectWanted(ctx, tx, q.c); err != nil {
				return err
			}
		}
		sql, args, err := q.p.dueSQL(ctx, tx, &one, q.c)
		if err != nil {
			return err
		}
		sql = fmt.Sprintf(`select exists (
			select from (%s) d (customer_key, occasion)
			where not exists (select from occasions o where o.campaign_id = %d and o.customer_key = d.customer_key
			                  and o.occasion = d.occasion and o.step = 0 and o.spent))`, sql, q.r.CampaignID)
		if err := tx.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...).Scan(&free); err != nil {
			return fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))
		}
		return errDryRun
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return free, err
}
