package report

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/internal/pg"
)

// CallCount is how many customers of a run had an outcome when they were called; one may have had several, no answer first.
type CallCount struct {
	Outcome   calls.Outcome `json:"outcome"`
	Customers int64         `json:"customers"`
	Tries     int64         `json:"tries"`
}

// readCalls fills in what came of the calls of runs, in the order of calls.Outcomes.
func readCalls(ctx context.Context, db pg.DBTX, ids []int, place map[int]*Run) error {
	rows, _ := db.Query(ctx, `select run_id, outcome, customers, calls from report_call_outcomes where run_id = any($1) and calls > 0`, ids)
	var run int
	var c CallCount
	_, err := pgx.ForEachRow(rows, []any{&run, &c.Outcome, &c.Customers, &c.Tries}, func() error {
		place[run].Calls = append(place[run].Calls, c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what came of calls: %w", err)
	}
	for _, r := range place {
		inOrder(r.Calls)
	}
	return nil
}

// inOrder sorts as calls.Outcomes are.
func inOrder(list []CallCount) {
	order := calls.Outcomes()
	slices.SortFunc(list, func(a, b CallCount) int { return slices.Index(order, a.Outcome) - slices.Index(order, b.Outcome) })
}

// sumCalls adds up what came of the calls of runs.
func sumCalls(runs []Run) (list []CallCount) {
	for i := range runs {
		for _, c := range runs[i].Calls {
			at := slices.IndexFunc(list, func(o CallCount) bool { return o.Outcome == c.Outcome })
			if at < 0 {
				list = append(list, c)
				continue
			}
			list[at].Customers += c.Customers
			list[at].Tries += c.Tries
		}
	}
	inOrder(list)
	return list
}

// called are the columns of what came of a campaign's calls.
func (p *printer) called(s Sum) {
	if len(s.Calls) == 0 {
		return
	}
	p.grid(columnsOf(s.Calls, nil, []field[CallCount]{
		{"Called", true, func(c *CallCount) string { return string(c.Outcome) }},
		{"Customers", false, func(c *CallCount) string { return number(c.Customers) }},
		{"Calls", false, func(c *CallCount) string { return number(c.Tries) }},
	}), false)
}

// calls prints what came of a run's calls.
func (p *printer) calls(r *Run) {
	if len(r.Calls) == 0 {
		return
	}
	p.line("")
	list := make([]row, len(r.Calls))
	for i, c := range r.Calls {
		list[i] = row{c.Customers, string(c.Outcome), ""}
		if c.Tries > c.Customers {
			list[i].note = number(c.Tries) + " calls"
		}
	}
	p.rows(max(7, len(number(r.Audience))), list, "")
}

// CallRun is a run's list of calls at one moment.
type CallRun struct {
	Run      int    `json:"run"`
	Campaign string `json:"campaign"`
	State    string `json:"state"`   // the run's
	Due      int64  `json:"due"`     // could be made now, hours of the day apart
	Later    int64  `json:"later"`   // wait for their time
	Claimed  int64  `json:"claimed"` // agents have them
	Done     int64  `json:"done"`    // somebody was called, and it is over
	Aside    int64  `json:"aside"`   // put aside: nobody was called
}

// CallAgent is what an agent did in a time.
type CallAgent struct {
	Agent      string     `json:"agent"`
	Calls      int64      `json:"calls"`      // how often they called
	Reached    int64      `json:"reached"`    // somebody was spoken to
	Interested int64      `json:"interested"` // and was interested, or ordered
	Orders     int64      `json:"orders"`
	Last       *time.Time `json:"last"`
	Has        *int64     `json:"has,string"` // the call that they have now
}

// CallRuns are the lists of calls of runs, the newest first: those of one run, or of all that have something open.
func CallRuns(ctx context.Context, db pg.DBTX, run int, now time.Time) ([]CallRun, error) {
	rows, _ := db.Query(ctx, `
		select r.id as run, g.name as campaign, r.state::text as state,
		       count(*) filter (where c.done_at is null and not coalesce(c.claimed_until > $2, false) and c.due_at <= $2) as due,
		       count(*) filter (where c.done_at is null and c.due_at > $2) as later,
		       count(*) filter (where c.done_at is null and c.claimed_until > $2) as claimed,
		       count(*) filter (where c.outcome is not null) as done,
		       count(*) filter (where c.done_at is not null and c.outcome is null) as aside
		from calls c join runs r on r.id = c.run_id join campaigns g on g.id = r.campaign_id
		where $1 in (0, r.id)
		group by r.id, g.name, r.state
		having $1 <> 0 or count(*) filter (where c.done_at is null) > 0
		order by r.id desc`, run, now)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[CallRun])
	if err != nil {
		return nil, fmt.Errorf("list calls by run: %w", err)
	}
	if run != 0 && len(list) == 0 {
		return nil, notFound(fmt.Sprintf("run %d has no calls; see: sapa calls", run))
	}
	return list, nil
}

// CallAgents are those who called since a moment, of one run or of all (0), and those who have a call now.
func CallAgents(ctx context.Context, db pg.DBTX, run int, since, now time.Time) ([]CallAgent, error) {
	rows, _ := db.Query(ctx, `
		with tried as (
			select t.agent, count(*) as calls, count(*) filter (where t.outcome not in ('no answer', 'wrong number')) as reached,
			       count(*) filter (where t.outcome in ('interested', 'order')) as interested, count(*) filter (where t.outcome = 'order') as orders,
			       max(t.at) as last
			from call_tries t join calls c on c.message_id = t.message_id
			where t.at >= $2 and $1 in (0, c.run_id)
			group by t.agent
		), "having" as (
			select claimed_by as agent, message_id as has from calls where claimed_until > $3 and $1 in (0, run_id)
		)
		select agent, coalesce(calls, 0) as calls, coalesce(reached, 0) as reached, coalesce(interested, 0) as interested,
		       coalesce(orders, 0) as orders, last, has
		from tried full join "having" using (agent)
		order by agent`, run, since, now)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[CallAgent])
	if err != nil {
		return nil, fmt.Errorf("list calls by agent: %w", err)
	}
	return list, nil
}
