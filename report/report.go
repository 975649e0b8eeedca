// Package report reads what campaigns did: whom they reached, what failed and why, what came back. Its numbers are those
// of the documented views (migrations/0002_views.sql, docs/reporting.md), so that an analyst's SQL and sapa report agree.
//
//	r, err := report.Campaigns(ctx, pool, report.Filter{Campaign: "birthday"})
//	err = report.WriteTable(os.Stdout, r, report.TableOptions{Width: 80})
//
// It reads the totals, which are short at any size, and no row per message. It writes nothing but the upkeep of these totals (Compact, Mend).
package report

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Filter chooses runs; the zero value chooses all.
type Filter struct {
	Campaign string    // only this campaign's
	Run      int       // only this run
	Since    time.Time // only runs created at this moment or later
	Open     bool      // only runs that are not done or cancelled
	Latest   int       // only so many, the newest; 0: all
}

// Report is what some runs did, read at one moment.
type Report struct {
	At        time.Time  `json:"at"` // by the database's clock
	Campaigns []Campaign `json:"campaigns"`
}

// Campaign is its runs in order, and their sum. A message belongs to one run, a customer may be in many.
type Campaign struct {
	Name string `json:"campaign"`
	Sum  Sum    `json:"sum"`
	Runs []Run  `json:"runs"`
}

// Sum adds up runs.
type Sum struct {
	Runs int `json:"runs"`
	Numbers
	Rates
	Reasons []Reason `json:"reasons"`
	Causes  []Cause  `json:"undelivered_causes"`
	Answers []Answer `json:"answers,omitempty"` // given on the spot, such as by a key of the phone

	Calls []CallCount `json:"calls,omitempty"` // what came of those of channel calls
}

// Run is one row of view report_runs with its reasons.
type Run struct {
	RunID      int        `json:"run" db:"run_id"`
	Campaign   string     `json:"campaign"`
	Version    int        `json:"version"`
	Label      string     `json:"label,omitempty"`
	Tick       time.Time  `json:"-"` // civil, see TickText
	TickText   string     `json:"tick" db:"-"`
	AsOf       time.Time  `json:"as_of" db:"as_of"`
	Scheduled  bool       `json:"scheduled"`
	State      string     `json:"state"`
	Reason     *string    `json:"reason,omitempty"`
	Actor      string     `json:"actor"`
	CreatedAt  time.Time  `json:"created_at" db:"created_at"`
	PlannedAt  *time.Time `json:"planned_at" db:"planned_at"`
	FinishedAt *time.Time `json:"finished_at" db:"finished_at"`
	ClimbsAt   *time.Time `json:"climbs_at,omitempty" db:"climbs_at"` // of a ladder: when it is looked at next; nil: nothing waits

	PlannedCost     *Amount `json:"planned_cost,omitempty" db:"planned_cost"`         // of the messages planned so far, by the estimates of sapa.yaml
	PlannedCurrency *string `json:"planned_currency,omitempty" db:"planned_currency"` // of it and of Budget
	Budget          *Amount `json:"budget,omitempty" db:"budget"`                     // what PlannedCost may be at most; nil: not limited

	Channels []Channel `json:"channels,omitempty" db:"-"` // of a run that was asked for alone, where it has several channels or rungs
	Numbers
	AddsUp bool `json:"adds_up" db:"adds_up"`
	Rates
	Reasons []Reason `json:"reasons" db:"-"`
	Causes  []Cause  `json:"undelivered_causes" db:"-"`

	Calls   []CallCount `json:"calls,omitempty" db:"-"`   // of channel calls, what came of them
	Answers []Answer    `json:"answers,omitempty" db:"-"` // given on the spot, such as by a key of the phone
}

// Numbers are counts of messages, and of responses where it says so.
type Numbers struct {
	Audience int64 `json:"audience"`
	Already  int64 `json:"already"`
	Planned  int64 `json:"planned"`
	Claimed  int64 `json:"claimed"`
	Sent     int64 `json:"sent"`
	Failed   int64 `json:"failed"`
	Skipped  int64 `json:"skipped"`
	HeldOut  int64 `json:"held_out" db:"held_out"`
	Rungs    int64 `json:"rungs"` // messages of later rungs of a ladder, which come on top of Audience
	Unknown  int64 `json:"unknown"`
	Bounced  int64 `json:"bounced"` // among Failed

	Opened         int64 `json:"opened"`
	Opens          int64 `json:"opens"` // responses
	Clicked        int64 `json:"clicked"`
	Clicks         int64 `json:"clicks"` // responses
	Unsubscribed   int64 `json:"unsubscribed"`
	MachineOpened  int64 `json:"machine_opened" db:"machine_opened"`
	MachineOpens   int64 `json:"machine_opens" db:"machine_opens"` // responses
	MachineClicked int64 `json:"machine_clicked" db:"machine_clicked"`
	MachineClicks  int64 `json:"machine_clicks" db:"machine_clicks"` // responses

	// Of channels whose provider reports on messages and on which customers answer; nil where nothing of it has come.
	Delivered   *int64 `json:"delivered"`
	Undelivered *int64 `json:"undelivered"`
	Read        *int64 `json:"read"`
	Replied     *int64 `json:"replied"`

	Segments *int64  `json:"segments"` // parts that text messages are charged as
	Priced   *int64  `json:"priced"`   // messages whose price is known
	Cost     *Amount `json:"cost"`     // the sum of these prices; nil where they have several currencies
	Currency *string `json:"currency"` // of Cost, ISO 4217
}

// Rates are shares from 0 to 1, nil where there is nothing to divide by.
type Rates struct {
	OpenRate        *float64 `json:"open_rate" db:"open_rate"`                   // opened / sent
	ClickRate       *float64 `json:"click_rate" db:"click_rate"`                 // clicked / sent
	ClickToOpenRate *float64 `json:"click_to_open_rate" db:"click_to_open_rate"` // clicked / opened
	UnsubscribeRate *float64 `json:"unsubscribe_rate" db:"unsubscribe_rate"`     // unsubscribed / sent
	BounceRate      *float64 `json:"bounce_rate" db:"bounce_rate"`               // bounced / (sent + bounced)
	DeliveryRate    *float64 `json:"delivery_rate" db:"delivery_rate"`           // delivered / sent
	UndeliveredRate *float64 `json:"undelivered_rate" db:"undelivered_rate"`     // undelivered / sent
	ReplyRate       *float64 `json:"reply_rate" db:"reply_rate"`                 // replied / sent
}

// Reason is why messages failed or were skipped.
type Reason struct {
	State    string `json:"state"` // failed or skipped
	Reason   string `json:"reason"`
	Messages int64  `json:"messages"`
}

// Cause is why messages did not arrive that the provider had accepted.
type Cause struct {
	Code     *int    `json:"code"`  // the provider's
	Words    *string `json:"words"` // what it means
	Messages int64   `json:"messages"`
}

// Campaigns reads the report of the chosen runs, by the campaign's name and the run's number. A campaign or run that
// does not exist is an error; a campaign without runs is in the report with none.
func Campaigns(ctx context.Context, db pg.DBTX, f Filter) (Report, error) {
	var r Report
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		// One snapshot, so that the reasons add up to what failed.
		if _, err := tx.Exec(ctx, `set transaction isolation level repeatable read, read only`); err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
		if err := tx.QueryRow(ctx, `select now()`).Scan(&r.At); err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
		names, err := campaignNames(ctx, tx, f)
		if err != nil {
			return err
		}
		runs, err := readRuns(ctx, tx, f)
		if err != nil {
			return err
		}
		if f.Run != 0 {
			if err := readChannels(ctx, tx, &runs[0]); err != nil {
				return err
			}
		}
		r.Campaigns = group(names, runs)
		return nil
	})
	return r, err
}

// campaignNames lists the campaigns that the filter chooses.
func campaignNames(ctx context.Context, db pg.DBTX, f Filter) ([]string, error) {
	rows, _ := db.Query(ctx, `select name from campaigns order by name collate "C"`)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	if f.Campaign == "" {
		return all, nil
	}
	for _, name := range all {
		if name == f.Campaign {
			return []string{name}, nil
		}
	}
	hint := diag.DidYouMean(f.Campaign, all)
	if hint == "" {
		hint = "apply it first: sapa apply " + f.Campaign
	}
	return nil, notFound(fmt.Sprintf("there is no campaign %q\n  %s", f.Campaign, hint))
}

func readRuns(ctx context.Context, db pg.DBTX, f Filter) ([]Run, error) {
	args := pgx.NamedArgs{"campaign": f.Campaign, "run": f.Run, "since": f.Since, "open": f.Open, "latest": f.Latest}
	rows, _ := db.Query(ctx, `
		select * from report_runs
		where (@campaign = '' or campaign = @campaign) and (@run::int = 0 or run_id = @run)
		  and created_at >= @since and (not @open::boolean or state not in ('done', 'cancelled'))
		  and (@latest::int = 0 or run_id in (
			select r.id from runs r join campaigns c on c.id = r.campaign_id
			where (@campaign = '' or c.name = @campaign) and r.created_at >= @since and (not @open or r.state not in ('done', 'cancelled'))
			order by r.id desc limit @latest))
		order by campaign collate "C", run_id`, args)
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByName[Run])
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	if f.Run != 0 && len(runs) == 0 {
		return nil, noRun(f)
	}
	return runs, readReasons(ctx, db, runs)
}

func noRun(f Filter) error {
	of := ""
	if f.Campaign != "" {
		of = " of campaign " + f.Campaign
	}
	return notFound(fmt.Sprintf("there is no run %d%s; see: sapa status --all", f.Run, of))
}

// readReasons fills in the reasons of the runs.
func readReasons(ctx context.Context, db pg.DBTX, runs []Run) error {
	ids, place := make([]int, len(runs)), map[int]*Run{}
	for i := range runs {
		runs[i].TickText = runs[i].Tick.Format("2006-01-02 15:04")
		runs[i].Reasons, runs[i].Causes = []Reason{}, []Cause{}
		ids[i], place[runs[i].RunID] = runs[i].RunID, &runs[i]
	}
	rows, _ := db.Query(ctx, `
		select run_id, state, reason, messages from report_reasons
		where run_id = any($1) order by run_id, state, messages desc, reason`, ids)
	var run int
	var reason Reason
	_, err := pgx.ForEachRow(rows, []any{&run, &reason.State, &reason.Reason, &reason.Messages}, func() error {
		place[run].Reasons = append(place[run].Reasons, reason)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read reasons: %w", err)
	}
	return readCauses(ctx, db, ids, place)
}

// readCauses fills in why messages of the runs did not arrive.
func readCauses(ctx context.Context, db pg.DBTX, ids []int, place map[int]*Run) error {
	rows, _ := db.Query(ctx, `
		select run_id, code, words, messages from report_undelivered
		where run_id = any($1) order by run_id, messages desc, code`, ids)
	var run int
	var cause Cause
	_, err := pgx.ForEachRow(rows, []any{&run, &cause.Code, &cause.Words, &cause.Messages}, func() error {
		place[run].Causes = append(place[run].Causes, cause)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read why messages did not arrive: %w", err)
	}
	if err := readAnswers(ctx, db, ids, place); err != nil {
		return err
	}
	return readCalls(ctx, db, ids, place)
}

// group puts runs, which are in order, below their campaigns. Campaigns without any run stay when they were asked for.
func group(names []string, runs []Run) []Campaign {
	campaigns := []Campaign{}
	for _, name := range names {
		c := Campaign{Name: name, Runs: []Run{}}
		for len(runs) > 0 && runs[0].Campaign == name {
			c.Runs, runs = append(c.Runs, runs[0]), runs[1:]
		}
		if len(c.Runs) > 0 || len(names) == 1 {
			c.Sum = sum(c.Runs)
			campaigns = append(campaigns, c)
		}
	}
	return campaigns
}
