package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/response"
)

// hooks takes reports as the public listener would, without its HTTP.
func (s *shop) hooks(settle func(context.Context, []int64) error) *response.Hooks {
	s.t.Helper()
	keys, err := response.LoadKeyring(s.t.Context(), s.pool)
	s.must(err)
	log := slog.New(slog.DiscardHandler)
	rec := response.NewRecorder(s.pool, response.RecorderOptions{Log: log})
	s.t.Cleanup(func() {
		if err := rec.Close(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
	return response.NewHooks(response.NewTracker(s.pool, keys, rec), response.HookOptions{Settle: settle, Log: log})
}

// settle is what the public listener does after a report.
func (s *shop) settle(ctx context.Context, ids []int64) error {
	_, err := delivery.Settle(ctx, s.pool, ids)
	return err
}

// reported is the provider's report on a message.
func (s *shop) reported(h *response.Hooks, id int64, status channels.ReportStatus) {
	s.t.Helper()
	r := channels.Report{ProviderID: fmt.Sprintf("SM%d", id), Status: status}
	if err := h.Report(context.WithoutCancel(s.t.Context()), "email", s.urls.MessageToken(id), r, s.clock.now()); err != nil {
		s.t.Error(err)
	}
}

// checkReports holds that every message which the provider reported on is sent and that no report is open.
func (s *shop) checkReports() {
	s.t.Helper()
	if n := s.number(`select count(*) from delivery_reports where open`); n > 0 {
		s.t.Errorf("%d reports are open", n)
	}
	if n := s.number(`select count(*) from delivery_reports d join messages m on m.id = d.message_id where m.state <> 'sent'`); n > 0 {
		s.t.Errorf("%d reports are on messages that are not sent\n%s", n, s.books())
	}
	if n := s.number(`select count(*) from attempts a join delivery_reports d using (message_id) where a.verdict = 'accepted' and a.words <> 'as told' and a.provider_id is distinct from d.provider_id`); n > 0 {
		s.t.Errorf("%d accepted attempts do not name the provider's message", n)
	}
}

// A report makes a message sent, whatever we believed of it, and its occasion spent, and ends its run.
func TestReportSettles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer   error
		prepare  string // what happens to the message before the report
		attempts int
	}{
		"unknown": {answer: channels.Unknown(errors.New("time-out")), attempts: 1},
		"refused": {answer: channels.Permanent(errors.New("400")), attempts: 2},
		"planned": {answer: channels.RetryAfter(errors.New("429"), 0), attempts: 2},
		"gave up": {answer: channels.RetryAfter(errors.New("429"), 0), attempts: 8, prepare: `
			with more as (insert into attempts (message_id, number, worker, epoch, at, verdict)
				select m.id, n, 1, 1, now(), 'retry' from messages m, generate_series(2, 6) n)
			update messages set attempts = 6, not_before = not_before - interval '1 hour'`},
		"accepted": {attempts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(1)
			run := s.start()
			s.answerOnce(c.answer)
			if c.prepare != "" {
				s.exec(c.prepare)
				s.exec(`update batches set due_at = due_at - interval '1 hour'`)
				s.answerOnce(c.answer)
				s.exec(`update messages set attempts = attempts`) // it gave up by itself
			}
			id := int64(s.number(`select id from messages`))
			s.exec(`update attempts set segments = 2`)
			h := s.hooks(s.settle)
			s.reported(h, id, channels.ReportSent)
			s.reported(h, id, channels.ReportDelivered)
			s.reported(h, id, channels.ReportDelivered)
			got := s.text(`select concat_ws(' ', state, reason, attempts, (select state from runs)) from messages`)
			if want := fmt.Sprintf("sent %d done", c.attempts); got != want {
				t.Errorf("message and run are %q, want %q", got, want)
			}
			if n := s.number(`select count(*) from occasions where spent`); n != 1 {
				t.Error("the occasion is not spent")
			}
			charged := map[string]int{"unknown": 2}[name] // what was accepted at once was counted then, and of others no size is known
			if n := s.number(`select coalesce(sum(segments), 0) from run_costs`); n != charged {
				t.Errorf("%d segments are charged, want %d", n, charged)
			}
			if n, err := s.planner.Retry(t.Context(), run, "tester"); err == nil && n > 0 {
				t.Errorf("a retry took %d messages up", n)
			}
			s.checkBooks()
			s.checkReports()
		})
	}
}

// answerOnce lets a process hand one message over and answers it.
func (s *shop) answerOnce(answer error) {
	s.t.Helper()
	before := s.number(`select coalesce(sum(attempts), 0) from messages`)
	v := verdicts{got: make(chan *channels.Message, 1), answer: make(chan error, 1)}
	v.answer <- answer
	e, err := s.sender().engineOn(v, sending{Connections: 1, Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	s.until("the answer is recorded", func() bool {
		return s.number(`select coalesce(sum(attempts), 0) from messages`) > before && s.number(`select count(*) from messages where state = 'claimed'`) == 0
	})
	stop()
}

// A report that comes before the provider's answer waits for it, and settles what the answer, or the worker's death,
// leaves in doubt.
func TestEarlyReport(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{
		"no answer": channels.Unknown(errors.New("time-out")), "refused": channels.Permanent(errors.New("500")),
		"later": channels.RetryAfter(errors.New("429"), 0), "accepted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(1)
			run := s.start()
			v := verdicts{got: make(chan *channels.Message), answer: make(chan error)}
			e, err := s.sender().engineOn(v, sending{Connections: 1, Lease: quick})
			s.must(err)
			s.runEngine(e)
			m := <-v.got
			s.reported(s.hooks(s.settle), m.ID, channels.ReportDelivered)
			if got := s.text(`select m.state || ' ' || d.open from messages m, delivery_reports d`); got != "claimed true" {
				t.Errorf("before the answer: %s", got)
			}
			v.answer <- answer
			s.until("the sweep settled it", func() bool { return s.number(`select count(*) from delivery_reports where open`) == 0 })
			s.await(run, "done")
			s.checkBooks()
			s.checkReports()
		})
	}
}

// The same when the worker is taken over before it learns of the answer: what it learns later changes nothing.
func TestEarlyReportAndTakeover(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(1)
	s.start()
	v := verdicts{got: make(chan *channels.Message), answer: make(chan error)}
	e, err := s.sender().engineOn(v, sending{Connections: 1, Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	m := <-v.got
	s.reported(s.hooks(nil), m.ID, channels.ReportAccepted)
	s.exec(`update workers set stopped_at = now() where stopped_at is null`)
	other := s.run(sending{Connections: 1, SMTP: "127.0.0.1:1"})
	s.until("it is settled", func() bool { return s.number(`select count(*) from messages where state = 'sent'`) == 1 })
	other()
	v.answer <- channels.Permanent(errors.New("554"))
	stop()
	s.checkBooks()
	s.checkReports()
}

// An occasion that a later run has taken over stays with it: the customer had two messages, and the books say so.
func TestReportAfterTheOccasionWentOn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(1)
	first := s.start()
	s.answerOnce(channels.Permanent(errors.New("400")))
	second := s.start()
	s.answerOnce(nil)
	s.reported(s.hooks(s.settle), int64(s.number(`select id from messages where run_id = $1`, first)), channels.ReportDelivered)
	if n := s.number(`select count(*) from messages where state = 'sent'`); n != 2 {
		t.Errorf("%d messages are sent", n)
	}
	if n := s.number(`select count(*) from occasions o join messages m on m.id = o.message_id where m.run_id = $1 and o.spent`, second); n != 1 {
		t.Error("the occasion left the run that took it over")
	}
	s.checkBooks()
	s.checkReports()
}

// provider is a channel that may accept a message and say something else, or nothing, and reports in its own time.
type provider struct {
	mu       sync.Mutex
	random   *rand.Rand
	accepted map[int64]int
	report   func(id int64)
	reports  sync.WaitGroup
}

func (*provider) Name() string    { return "email" }
func (*provider) Account() string { return "test" }
func (*provider) Close() error    { return nil }

func (p *provider) Open(context.Context) (channels.Session, error) { return p, nil }

func (p *provider) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
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
			wait, answer := p.accept(m.ID)
			time.Sleep(wait)
			done(m, channels.Receipt{HandedOver: time.Now(), Words: "as told"}, answer)
		case <-ctx.Done():
			return nil
		}
	}
}

// accept takes a message; the answer says so, or something else; one to three reports come before or after it.
func (p *provider) accept(id int64) (wait time.Duration, answer error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted[id]++
	for range 1 + p.random.IntN(3) {
		after := time.Duration(p.random.IntN(60)) * time.Millisecond * time.Duration(1+9*p.random.IntN(2))
		p.reports.Go(func() { time.Sleep(after); p.report(id) })
	}
	answers := []error{
		nil, nil, channels.Unknown(errors.New("time-out")), channels.Unknown(errors.New("502")),
		channels.RetryAfter(errors.New("429"), 0), channels.Permanent(errors.New("400")),
	}
	return time.Duration(p.random.IntN(30)) * time.Millisecond, answers[p.random.IntN(len(answers))]
}

// Reports, answers, takeovers and releases in any order: each message is handed over once and ends as sent, and at every
// moment the accounts add up.
func TestReportsBesideEverything(t *testing.T) {
	t.Parallel()
	const audience = 400
	s := setup(t)
	s.birthday(audience)
	run := s.start()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	h := s.hooks(s.settle)
	p := &provider{random: rand.New(rand.NewPCG(seed, 2)), accepted: map[int64]int{}}
	p.report = func(id int64) {
		for _, status := range []channels.ReportStatus{channels.ReportSent, channels.ReportDelivered} {
			s.reported(h, id, status)
		}
	}
	for range 2 {
		e, err := s.sender().engineOn(p, sending{Connections: 3, Lease: quick})
		s.must(err)
		s.runEngine(e)
	}
	s.until("everything was handed over and settled", func() bool {
		if random.IntN(20) == 0 { // as if others had found a process dead
			s.exec(`update workers set stopped_at = now() where id = (select id from workers where stopped_at is null order by random() limit 1)`)
		}
		if random.IntN(40) == 0 {
			_ = s.planner.Pause(t.Context(), run, "tester", "paused by tester") // unless it is done
			_ = s.planner.Resume(t.Context(), run, "tester")
		}
		c := s.progress(run).Counts
		if c["audience"] != c["planned"]+c["claimed"]+c["sent"]+c["failed"]+c["skipped"]+c["unknown"] {
			t.Errorf("it does not add up: %v", c)
		}
		return c["sent"] == audience
	})
	p.reports.Wait()
	s.until("every report is closed", func() bool { return s.number(`select count(*) from delivery_reports where open`) == 0 })
	s.await(run, "done")
	for id, n := range p.accepted {
		if n != 1 {
			t.Errorf("message %d was handed over %d times", id, n)
		}
	}
	if len(p.accepted) != audience {
		t.Errorf("%d of %d messages were handed over", len(p.accepted), audience)
	}
	s.checkBooks()
	s.checkReports()
	s.checkStates()
}
