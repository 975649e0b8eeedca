package delivery_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// desk is a channel that takes messages down for a person.
type desk struct{}

func (desk) Name() string                                   { return "email" }
func (desk) Account() string                                { return "desk" }
func (desk) Open(context.Context) (channels.Session, error) { return desk{}, nil }
func (desk) Close() error                                   { return nil }
func (desk) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	for {
		m, ok := channels.Receive(ctx, in)
		if !ok {
			return nil
		}
		if err := permit(m); err != nil {
			done(m, channels.Receipt{}, channels.Unavailable(err))
			continue
		}
		done(m, channels.Receipt{}, channels.ErrPending)
	}
}

// runDesk starts an engine whose channel is the desk.
func (s *shop) runDesk() {
	s.t.Helper()
	e, err := s.sender().engineFor(delivery.Account{Channel: desk{}, Repeatable: true}, sending{Lease: quick})
	s.must(err)
	s.runEngine(e)
}

// onDesk waits until so many messages wait for a person and nobody holds them.
func (s *shop) onDesk(n int) {
	s.t.Helper()
	s.until("messages wait for a person", func() bool {
		return s.number(`select count(*) from messages where state = 'planned' and not_before > '9000-01-01'`) == n &&
			s.number(`select count(*) from batches where worker is not null`) == 0
	})
}

func (s *shop) finish(h delivery.ByHand, ids ...int64) (moved []int64) {
	s.t.Helper()
	h.At = s.clock.now()
	s.must(pg.InTx(s.t.Context(), s.pool, func(tx pgx.Tx) (err error) {
		moved, err = delivery.FinishByHand(s.t.Context(), tx, ids, h)
		return err
	}))
	return moved
}

func (s *shop) ids() []int64 {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `select id from messages order by id`)
	s.must(err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	s.must(err)
	return ids
}

// What a person must finish stays planned, however long it takes; the run goes on until the last is finished.
func TestFinishByHand(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(4)
	run := s.start()
	s.runDesk()
	s.onDesk(4)
	s.checkBooks()
	s.until("no job waits for messages that wait for people", func() bool {
		return s.number(`select count(*) from river_job where state in ('available', 'scheduled', 'retryable') and kind = 'send_batch'`) == 0
	})
	ids := s.ids()
	if moved := s.finish(delivery.ByHand{State: "sent", Words: "posted"}, ids[0], ids[1]); !slices.Equal(moved, ids[:2]) {
		t.Errorf("finished %v of %v", moved, ids[:2])
	}
	if p := s.progress(run); p.State != "sending" {
		t.Errorf("the run is %s while messages wait", p.State)
	}
	if moved := s.finish(delivery.ByHand{State: "sent"}, ids[0]); len(moved) > 0 {
		t.Errorf("%v were finished twice", moved)
	}
	s.finish(delivery.ByHand{State: "failed", Reason: "wrong number", Suppress: "wrong number"}, ids[2])
	s.finish(delivery.ByHand{State: "sent"}, ids[3])
	p := s.await(run, "done")
	if diff := cmp.Diff(map[string]int{"audience": 4, "sent": 3, "failed": 1}, p.Counts); diff != "" {
		t.Errorf("the run (-want +got)\n%s", diff)
	}
	s.checkBooks()
	if n := s.number(`select count(*) from suppressions where reason = 'wrong number' and address = 'budi3@mail.example'`); n != 1 {
		t.Errorf("%d addresses are suppressed, not that of the third", n)
	}
}

// A cancelled run skips what waits, and nobody can finish that any more.
func TestCancelledByHand(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(2)
	run := s.start()
	s.runDesk()
	s.onDesk(2)
	s.must(s.planner.Cancel(t.Context(), run, "tester"))
	if moved := s.finish(delivery.ByHand{State: "sent"}, s.ids()...); len(moved) > 0 {
		t.Errorf("%v were finished though the run is cancelled", moved)
	}
	s.checkBooks()
	ids := s.ids()
	if moved := s.finish(delivery.ByHand{State: "sent", Skipped: true}, ids[0]); !slices.Equal(moved, ids[:1]) {
		t.Errorf("%v is sent, though somebody has seen that %d was", moved, ids[0])
	}
	s.checkBooks()
	if n := s.number(`select count(*) from occasions o join messages m on m.id = o.message_id where o.spent = (m.state = 'sent')`); n != 2 {
		t.Errorf("the occasions of %d of 2 messages are spent as they must be", n)
	}
	err := pg.InTx(t.Context(), s.pool, func(tx pgx.Tx) error {
		_, err := delivery.FinishByHand(t.Context(), tx, ids, delivery.ByHand{State: "failed", Skipped: true})
		return err
	})
	if err == nil || err.Error() != `finish by hand: skipped messages can't become "failed"` {
		t.Error(err)
	}
}

// What a process held that died is given to the channel again, where that does no harm, and never unknown.
func TestRepeatableAfterDeath(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(3)
	s.start()
	s.exec(`insert into workers (host, pid, started_at, heartbeat_at) values ('gone', 1, now() - interval '1 hour', now() - interval '1 hour')`)
	s.exec(`update batches set worker = (select max(id) from workers), epoch = 1, handed_to = hi`)
	s.exec(`update messages m set state = 'claimed', worker = b.worker, epoch = 1, claimed_at = now() from batches b where m.id between b.lo and b.hi`)
	s.exec(`insert into run_totals (run_id, state, delta) select run_id, v.state, v.sign * 3 from runs r join batches b on b.run_id = r.id, (values ('claimed', 1), ('planned', -1)) v(state, sign)`)
	s.runDesk()
	s.onDesk(3)
	s.checkBooks()
}
