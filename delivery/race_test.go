package delivery_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
)

// stall makes every statement that moves a message to a state wait, in its middle, until the returned function is called.
func (s *shop) stall(state string) (release func()) {
	s.t.Helper()
	s.exec(`create or replace function stall() returns trigger language plpgsql as $$
		begin perform pg_advisory_xact_lock_shared(4711); return new; end $$`)
	s.exec(`create trigger stall before insert or update on messages for each row when (new.state = '` + state + `') execute function stall()`)
	conn, err := s.pool.Acquire(s.t.Context())
	s.must(err)
	_, err = conn.Exec(s.t.Context(), `select pg_advisory_lock(4711)`)
	s.must(err)
	released := false
	release = func() {
		if released {
			return
		}
		released = true
		if _, err := conn.Exec(context.Background(), `select pg_advisory_unlock(4711)`); err != nil {
			s.t.Error(err)
		}
		conn.Release()
	}
	s.t.Cleanup(release)
	return release
}

// stalled waits until n statements wait.
func (s *shop) stalled(n int) {
	s.t.Helper()
	s.until("statements stall", func() bool {
		return s.number(`select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and not granted
			and database = (select oid from pg_database where datname = current_database())`) == n
	})
}

// waiting waits until n statements wait for each other's rows.
func (s *shop) waiting(n int) {
	s.t.Helper()
	s.until("statements wait for rows", func() bool {
		return s.number(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and wait_event <> 'advisory'`) >= n
	})
}

// A claim that is being made while its process is taken over: the takeover waits for it, sees what was claimed, and plans
// it again, since none of it was opened. The process wakes up with a claim that it has lost, and hands none of it over.
func TestTakeoverDuringClaim(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(40)
	run := s.start()
	release := s.stall("claimed")
	sleeper := s.process(sending{Connections: 1})
	s.stalled(1)
	sleeper.signal(syscall.SIGSTOP)
	s.run(sending{Connections: 1})
	s.waiting(1) // the takeover, for the batch
	release()
	if p := s.await(run, "done"); p.Counts["sent"] != 40 {
		t.Errorf("after the takeover: %v", p.Counts)
	}
	s.checkBooks()
	sleeper.signal(syscall.SIGCONT)
	s.until("the sleeper has found itself declared dead", func() bool { return s.number(`select count(*) from workers`) == 3 })
	s.checkBooks()
	s.checkMail()
	if n := s.number(`select count(*) from attempts where worker = (select min(id) from workers)`); n != 0 {
		t.Errorf("the process that was taken over handed %d messages over", n)
	}
}

// gated is a channel that opens no session until it is told to.
type gated struct {
	channels.Channel
	asked, open chan struct{}
}

func (g *gated) Open(ctx context.Context) (channels.Session, error) {
	g.asked <- struct{}{}
	<-g.open
	return g.Channel.Open(ctx)
}

// A lease that was lost between taking the batch and claiming claims nothing, and does not free the batch of the next.
func TestClaimNeedsTheLease(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(5)
	run := s.start()
	g := &gated{Channel: s.channel(), asked: make(chan struct{}), open: make(chan struct{})}
	e, err := s.sender().engineOn(g, sending{Connections: 1, Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	<-g.asked
	s.exec(`insert into workers (host, pid, heartbeat_at) values ('elsewhere', 1, now() + interval '1 hour')`) // it does not die
	s.exec(`update batches set epoch = epoch + 1, worker = (select id from workers where host = 'elsewhere')`)
	close(g.open)
	s.until("the late process has looked", func() bool {
		return s.number(`select count(*) from river_job where state = 'completed'`) > 0
	})
	stop()
	if p := s.progress(run); p.Counts["planned"] != 5 || s.mail.Counts().Accepted != 0 {
		t.Errorf("without a lease: %v", p.Counts)
	}
	if n := s.number(`select count(*) from batches b join workers w on w.id = b.worker where w.host = 'elsewhere'`); n != 1 {
		t.Error("the batch was taken from its new holder")
	}
	s.checkBooks()
}

// A run is paused while a claim is being made: within a second nothing more is handed over, what was claimed is planned
// again, and resuming sends each of the rest once.
func TestPauseDuringClaim(t *testing.T) {
	t.Parallel()
	const audience = 120
	s := setup(t, slowly(30*time.Millisecond))
	s.birthday(audience)
	run := s.start()
	release := s.stall("claimed")
	s.run(sending{Connections: 1})
	s.stalled(1)
	s.must(s.planner.Pause(t.Context(), run, "tester", "paused by tester"))
	paused := time.Now()
	release()
	s.until("the claim was made", func() bool {
		return s.number(`select count(*) from observed_states where transition = 'planned → claimed'`) >= 64
	})
	s.until("nothing is claimed", func() bool { return s.progress(run).Counts["claimed"] == 0 })
	if took := time.Since(paused); took > 2*time.Second {
		t.Errorf("the pause was felt after %s", took)
	}
	n := s.mail.Counts().Accepted
	if p := s.progress(run); p.State != "paused" || n > audience/3 || p.Counts["sent"] != n || p.Counts["planned"] != audience-n {
		t.Errorf("the server has %d; paused: %+v", n, p)
	}
	s.checkBooks()
	s.must(s.planner.Resume(t.Context(), run, "tester"))
	if p := s.await(run, "done"); p.Counts["sent"] != audience {
		t.Errorf("in the end: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
}

// A run is cancelled while a claim is being made, and while sessions are at work: whatever was not handed over is
// skipped, sooner or later, and a later run may have it.
func TestCancelDuringClaim(t *testing.T) {
	t.Parallel()
	const audience = 700 // two batches
	s := setup(t, slowly(30*time.Millisecond))
	s.birthday(audience)
	run := s.start()
	release := s.stall("claimed")
	s.run(sending{Connections: 2})
	s.stalled(1)
	cancelled := make(chan error, 1)
	go func() { cancelled <- s.planner.Cancel(context.Background(), run, "tester") }()
	s.waiting(1)
	release()
	s.must(<-cancelled)
	var p *delivery.Progress
	s.until("nothing is planned or claimed", func() bool { p = s.progress(run); return p.Waiting() == 0 })
	if n := s.mail.Counts().Accepted; n > 128 || p.Counts["sent"] != n || p.Counts["skipped"] != audience-n {
		t.Errorf("the server has %d; cancelled: %v", n, p.Counts)
	}
	s.until("no batch is left", func() bool { return s.number(`select count(*) from batches where not done`) == 0 })
	s.checkBooks()
	s.checkMail()
	_, plan, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"})
	s.must(err)
	if plan.Planned != p.Counts["skipped"] || plan.Already != p.Counts["sent"] {
		t.Errorf("a later run: %+v", plan)
	}
}

// A claim that meets messages which are being cancelled at this moment leaves them alone.
func TestClaimDuringCancel(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(30)
	run := s.start()
	g := &gated{Channel: s.channel(), asked: make(chan struct{}), open: make(chan struct{})}
	e, err := s.sender().engineOn(g, sending{Connections: 1, Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	<-g.asked // the batch is taken
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // committed below
	_, err = tx.Exec(t.Context(), `update runs set state = 'cancelled' where id = $1`, run)
	s.must(err)
	s.must(delivery.Cancel(t.Context(), tx, run))
	close(g.open)
	time.Sleep(200 * time.Millisecond) // for a claim that would wait for the rows
	s.must(tx.Commit(t.Context()))
	s.until("no batch is left", func() bool { return s.number(`select count(*) from batches where not done`) == 0 })
	stop()
	if p := s.progress(run); p.Counts["skipped"] != 30 || s.mail.Counts().Accepted != 0 {
		t.Errorf("cancelled: %v, the server has %d", p.Counts, s.mail.Counts().Accepted)
	}
	s.checkBooks()
}

// Whoever cancels dies before anything is skipped, or a worker gives its claim back later: the sweep finishes it.
func TestCancelIsFinishedBySweep(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(30)
	run := s.start()
	s.exec(`update runs set state = 'cancelled'`)
	s.run(sending{Connections: 1})
	s.until("everything is skipped", func() bool { return s.progress(run).Counts["skipped"] == 30 })
	s.checkBooks()
}

// River may lose jobs, run them late, twice, or never end them: it only wakes.
func TestJobsAreNoGuard(t *testing.T) {
	t.Parallel()
	const audience = 1100 // three batches
	s := setup(t)
	s.birthday(audience)
	run := s.start()
	s.exec(`delete from river_job where (args ->> 'batch')::int = (select min(id) from batches)`)
	s.exec(`update river_job set state = 'running', attempt = 1, attempted_at = now(), attempted_by = '{dead}'
		where (args ->> 'batch')::int = (select max(id) from batches)`)
	for range 4 { // jobs for a batch that has one
		s.exec(`insert into river_job (args, kind, queue, max_attempts, state) select args, kind, queue, 3, 'available' from river_job where state = 'available' limit 1`)
	}
	s.run(sending{Connections: 3})
	s.run(sending{Connections: 3})
	if p := s.await(run, "done"); p.Counts["sent"] != audience {
		t.Errorf("sent: %v", p.Counts)
	}
	s.checkBooks()
	s.checkMail()
	if n := s.number(`select count(*) from batches where epoch <> 1`); n != 0 {
		t.Errorf("%d batches were taken more than once", n)
	}

	s.exec(`insert into river_job (args, kind, queue, max_attempts, state) select distinct args, kind, queue, 3, 'available'::river_job_state from river_job where kind = 'send_batch'`)
	s.until("the late jobs have been worked", func() bool {
		return s.number(`select count(*) from river_job where state not in ('completed', 'running')`) == 0
	})
	if n := s.mail.Counts().Accepted; n != audience {
		t.Errorf("late jobs sent %d messages", n-audience)
	}
	s.checkBooks()
}

// While batches wait for their turn, the sweep does not wake for them again and again.
func TestSweepDoesNotPileUpJobs(t *testing.T) {
	t.Parallel()
	s := setup(t, slowly(20*time.Millisecond))
	s.birthday(2100) // five batches, one connection
	s.start()
	s.run(sending{Connections: 1})
	s.run(sending{Connections: 1})
	time.Sleep(8 * quick.Heartbeat)
	if n := s.number(`select count(*) from river_job where kind = 'send_batch'`); n > 5+5 {
		t.Errorf("there are %d jobs for five batches", n)
	}
}

// verdicts is a channel whose one session takes messages and answers when it is told to.
type verdicts struct {
	got    chan *channels.Message
	answer chan error
}

func (verdicts) Name() string    { return "email" }
func (verdicts) Account() string { return "test" }
func (verdicts) Close() error    { return nil }

func (v verdicts) Open(context.Context) (channels.Session, error) { return v, nil }

func (v verdicts) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	for {
		select {
		case m, ok := <-in:
			if !ok {
				return nil
			}
			if err := permit(m); err != nil {
				done(m, channels.Receipt{}, channels.Unavailable(err))
				return err
			}
			select {
			case v.got <- m:
			case <-ctx.Done(): // nobody looks any more
				done(m, channels.Receipt{}, channels.Unavailable(ctx.Err()))
				return nil
			}
			done(m, channels.Receipt{HandedOver: time.Now(), Words: "as told"}, <-v.answer)
		case <-ctx.Done():
			return nil
		}
	}
}

// takenOver lets a process hand one message of a run over, has it declared dead and its claims taken over before the
// answer comes, and then lets the answer come.
func (s *shop) takenOver(run int, answer error) {
	s.t.Helper()
	s.takenOverAnd(run, answer, func() {})
}

// takenOverAnd does something more before the answer comes.
func (s *shop) takenOverAnd(run int, answer error, meanwhile func()) {
	s.t.Helper()
	v := verdicts{got: make(chan *channels.Message), answer: make(chan error)}
	e, err := s.sender().engineOn(v, sending{Connections: 1, Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	<-v.got
	s.exec(`update workers set stopped_at = now() where stopped_at is null`) // as if others had done so
	other := s.run(sending{Connections: 1, SMTP: "127.0.0.1:1"})             // a server that is away
	s.until("its claim is unknown", func() bool {
		p := s.progress(run)
		return p.Counts["unknown"] > 0 && p.Counts["claimed"] == 0
	})
	other()
	meanwhile()
	s.checkBooks()
	v.answer <- answer
	stop()
}

// Evidence of the process that had claimed a message settles it after others have called it unknown, whatever it says;
// anybody else's does not.
func TestEvidenceSettlesUnknown(t *testing.T) {
	t.Parallel()
	later := channels.RetryAfter(errors.New("451"), 0)
	for name, c := range map[string]struct {
		answer        error
		state, reason string
		attempts      int
		spent         bool
	}{
		"accepted":    {nil, "sent", "", 1, true},
		"refused":     {channels.Permanent(errors.New("554")), "failed", "refused", 1, false},
		"bounced":     {channels.Suppress(errors.New("550"), "hard bounce"), "failed", "hard bounce", 1, false},
		"later":       {later, "planned", "", 1, true},
		"unavailable": {channels.Unavailable(errors.New("gone")), "planned", "", 0, true},
		"unknown":     {channels.Unknown(errors.New("gone")), "unknown", "", 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(1)
			run := s.start()
			s.takenOver(run, c.answer)
			got := s.text(`select state || ' ' || coalesce(reason, '') || ' ' || attempts from messages`)
			if want := c.state + " " + c.reason + " " + string(rune('0'+c.attempts)); got != want {
				t.Errorf("the message is %q, want %q", got, want)
			}
			if n := s.number(`select count(*) from occasions where spent = $1`, c.spent); n != 1 {
				t.Errorf("the occasion is not spent = %v", c.spent)
			}
			if n := s.number(`select count(*) from attempts where words = 'as told'`); n != c.attempts {
				t.Errorf("%d attempts tell what happened, want %d", n, c.attempts)
			}
			s.checkBooks()
		})
	}
}

// What a process learns about a claim that it has lost changes nothing once the message was claimed again: its verdict is
// that of the claim that holds now.
func TestEvidenceOfAnotherClaim(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(1)
	run := s.start()
	first := verdicts{got: make(chan *channels.Message), answer: make(chan error)}
	e, err := s.sender().engineOn(first, sending{Connections: 1, Lease: quick})
	s.must(err)
	stopFirst := s.runEngine(e)
	<-first.got
	s.exec(`update workers set stopped_at = now()`)
	s.exec(`update batches set worker = null, epoch = epoch + 1`) // taken over, and to be sent again on purpose
	s.exec(`update messages set state = 'planned'`)
	s.exec(`insert into run_totals (run_id, state, delta) values ($1, 'planned', 1), ($1, 'claimed', -1)`, run)
	second := verdicts{got: make(chan *channels.Message), answer: make(chan error)}
	e, err = s.sender().engineOn(second, sending{Connections: 1, Lease: quick})
	s.must(err)
	s.exec(`insert into river_job (args, kind, queue, max_attempts, state) select args, kind, queue, 3, 'available' from river_job limit 1`)
	stopSecond := s.runEngine(e)
	<-second.got
	first.answer <- channels.Permanent(errors.New("554"))
	stopFirst()
	if p := s.progress(run); p.Counts["claimed"] != 1 {
		t.Errorf("a late verdict changed the books: %v", p.Counts)
	}
	second.answer <- nil
	stopSecond()
	if p := s.progress(run); p.Counts["sent"] != 1 {
		t.Errorf("in the end: %v", p.Counts)
	}
	s.checkBooks()
}
