package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/sandbox"
)

// drillPatience bounds how long a drill may make no progress.
const drillPatience = 5 * time.Minute

// send lets the crew send while harm is done, and waits until nothing is left to send.
func (d *drill) send(ctx context.Context) (err error) {
	log, err := os.Create(filepath.Join(d.dir, "processes.log"))
	if err != nil {
		return fmt.Errorf("keep what the drill's processes say: %w", err)
	}
	defer log.Close() //nolint:errcheck // it was written by others
	d.crew, err = newCrew(drillWork{
		Dir: d.dir, Clock: d.clock, Lease: d.o.lease, Waits: d.o.waits, Fault: delivery.Fault(d.o.fault), Public: d.public != nil,
	}, d.childEnv(), log, d.public, d.door)
	if err != nil {
		return err
	}
	for range d.o.workers {
		if err := d.crew.hire(); err != nil {
			return err
		}
	}
	h := &havoc{
		drill: d, crew: d.crew, dice: rand.New(rand.NewPCG(d.o.seed, 1)), //nolint:gosec // dice
		lease: d.o.lease, every: max(d.o.lease.Silence/8, 2*time.Second), crash: 4, most: d.o.harms,
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	enough, havocked := make(chan struct{}), make(chan error, 1)
	go func() { havocked <- h.run(ctx, enough) }()
	err = d.await(ctx, enough, havocked)
	if err == nil && d.o.fault == "" {
		err = d.hear(ctx)
	}
	cancel()
	d.crew.end()
	return err
}

// await follows the run to its end, and to that of the havoc. Harm is enough when a twentieth is left: batches of
// those that were killed rest until others take over, so that in the end there is little to be harmed.
func (d *drill) await(ctx context.Context, enough chan<- struct{}, havocked <-chan error) error {
	progress := newProgressLine(d.app, false)
	defer progress.end()
	moved, left, harming := time.Now(), -1, true
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-havocked:
			if err != nil {
				return err
			}
			havocked = nil
		case <-tick.C:
		}
		p, err := delivery.ReadProgress(ctx, d.pool, d.run, d.now())
		if pg.Fleeting(err) {
			continue
		}
		if err != nil {
			return err
		}
		progress.show(p, time.Now())
		if p.Waiting() != left {
			moved, left = time.Now(), p.Waiting()
		}
		still := time.Since(moved)
		if harming && (left <= d.o.messages/20 || d.spoiled(still)) {
			close(enough)
			harming = false
		}
		if havocked == nil && (p.State == "done" || d.spoiled(still)) {
			return nil
		}
		if p.State != "sending" && p.State != "done" || still > drillPatience {
			return fmt.Errorf("the drill's run %d is %s and does not move: %s", d.run, p.State, p.Reason)
		}
	}
}

// spoiled says that a run has not moved for so long that a planted mistake keeps it from ending.
func (d *drill) spoiled(still time.Duration) bool { return d.o.fault != "" && still > 10*time.Second }

// unknownAllowed is how many messages may have been unknown: 64 for each process that was killed, and one for each
// hand-over that had no answer. A process that was stopped and woken settles its own; of texts reports are faster than it.
func (d *drill) unknownAllowed() int {
	r, lost := d.result, d.result.Kills
	if d.public != nil {
		lost += r.Stops
	}
	return delivery.InDoubt*lost + r.Cut
}

// account compares the ledger with the sandbox's, settles what is unknown as an operator would, and compares again.
func (d *drill) account(ctx context.Context) error {
	r := &d.result
	d.countServer()
	states, err := d.states(ctx)
	if err != nil {
		return err
	}
	if err := d.countSettled(ctx); err != nil {
		return err
	}
	r.Unknown = states["unknown"] + r.ByReport + r.ByLookUp
	r.UnknownAllowed = d.unknownAllowed()
	before := r.Audience == sum(states)
	if r.Takeover, err = d.takeover(ctx); err != nil {
		return err
	}
	if err := d.resolveByLog(ctx); err != nil {
		return err
	}
	if err := d.resolveByHand(ctx); err != nil {
		return err
	}
	if err := d.compare(ctx); err != nil {
		return err
	}
	if states, err = d.states(ctx); err != nil {
		return err
	}
	r.UnknownAfterResolve, r.Failed, r.Skipped = states["unknown"], states["failed"], states["skipped"]
	differences, err := report.Check(ctx, d.pool)
	if err != nil {
		return err
	}
	for _, difference := range differences {
		fmt.Fprintln(d.stdout, difference)
	}
	r.AddsUp = before && len(differences) == 0 && r.Audience == r.Accepted+r.Failed+r.Skipped+states["held_out"]
	return nil
}

// takeover is how long it took at most until others had what a process held that was lost, in seconds.
func (d *drill) takeover(ctx context.Context) (seconds float64, err error) {
	err = d.pool.QueryRow(ctx, `select coalesce(max(extract(epoch from stopped_at - heartbeat_at)), 0)::float8 from workers`).Scan(&seconds)
	if err != nil {
		return 0, fmt.Errorf("read when others took over: %w", err)
	}
	return math.Round(seconds*10) / 10, nil
}

func sum(states map[string]int) (n int) {
	for _, m := range states {
		n += m
	}
	return n
}

// states counts the run's messages themselves, by state.
func (d *drill) states(ctx context.Context) (map[string]int, error) {
	rows, _ := d.pool.Query(ctx, `
		select m.state::text, count(*) from runs r join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
		where r.id = $1 group by 1`, d.run)
	states := map[string]int{}
	var state string
	var n int
	_, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error { states[state] = n; return nil })
	if err != nil {
		return nil, fmt.Errorf("count the drill's messages: %w", err)
	}
	return states, nil
}

func (d *drill) countServer() {
	counts := d.mail.Counts()
	d.result.Cut, d.result.Refusals = counts.Cut+counts.Unanswered, counts.Refused
}

// resolveByLog settles unknown messages as an operator would: from the mail server's log.
func (d *drill) resolveByLog(ctx context.Context) error {
	log := filepath.Join(d.dir, "mail.log")
	f, err := os.Create(log)
	if err != nil {
		return fmt.Errorf("write the mail server's log: %w", err)
	}
	if err := errors.Join(d.mail.WriteLog(f), f.Close()); err != nil {
		return err
	}
	o := resolveOptions{logs: []string{log}, complete: true}
	unknown, err := d.planner.Unknown(ctx, d.run, nil, o.channels()...)
	if err != nil || len(unknown) == 0 {
		return err
	}
	findings, by, err := o.findings(ctx, d.app, d.session, unknown)
	if err != nil {
		return err
	}
	_, err = d.planner.Resolve(ctx, d.run, findings, "drill", by)
	return err
}

// compare holds the ledger against what the sandbox wrote down before it answered.
func (d *drill) compare(ctx context.Context) error {
	accepted, err := d.accepted(ctx)
	if err != nil {
		return err
	}
	d.result.Accepted = len(accepted)
	rows, _ := d.pool.Query(ctx, `
		select m.id, m.state = 'sent', coalesce(a.provider_id, '')
		from runs r join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
		left join attempts a on a.message_id = m.id and a.number = m.attempts and a.verdict = 'accepted'
		where r.id = $1`, d.run)
	var id int64
	var sent bool
	var name string
	messages := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &sent, &name}, func() error {
		messages++
		switch sid, taken := accepted[id]; {
		case sent && !taken:
			d.result.Lost++
		case sent && sid != "" && name != "" && name != sid:
			d.result.Misnamed++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the drill's messages: %w", err)
	}
	d.result.Lost += max(0, d.result.Audience-messages)
	return nil
}

// accepted are the messages that the sandbox took, with the SIDs of those that have one. What it took again is counted.
func (d *drill) accepted(ctx context.Context) (map[int64]string, error) {
	keys, err := response.LoadKeyring(ctx, d.pool)
	if err != nil {
		return nil, err
	}
	accepted := make(map[int64]string, d.result.Audience)
	for m := range d.mail.Each(sandbox.Filter{Which: sandbox.Accepted}) {
		id, sid := messageOf(keys, m.Token), ""
		if id == 0 {
			return nil, fmt.Errorf("the sandbox has a message that is not ours: %s", m.MessageID)
		}
		if m.SMS != nil {
			sid = m.MessageID
		}
		if _, again := accepted[id]; again {
			d.result.Duplicates++
		}
		accepted[id] = sid
	}
	return accepted, nil
}
