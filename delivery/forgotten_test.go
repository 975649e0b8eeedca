package delivery_test

import "testing"

// A process finds that it holds a batch that it knows nothing of: the answer to a statement was lost, or it could not give
// the batch back. What it may have handed over is unknown then, whatever it has forgotten, and the rest is sent.
func TestForgottenWindow(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(10)
	run := s.start()
	s.exec(`update runs set state = 'paused'`)
	s.run(sending{Connections: 1})
	s.until("the process has signed on", func() bool { return s.number(`select count(*) from workers`) == 1 })
	s.exec(`
		with held as (
			update batches set worker = (select id from workers), epoch = epoch + 1, handed_to = lo + 2 returning *
		), claimed as (
			update messages m set state = 'claimed', worker = b.worker, epoch = b.epoch, claimed_at = now()
			from held b where m.id between b.lo and b.hi - 3
			returning m.run_id
		), going as (
			update runs set state = 'sending'
		)
		insert into run_totals (run_id, state, delta)
		select run_id, s.state, s.sign * count(*) from claimed, (values ('claimed', 1), ('planned', -1)) s(state, sign) group by 1, 2, s.sign`)
	p := s.await(run, "done")
	if p.Counts["unknown"] != 3 || p.Counts["sent"] != 7 || s.mail.Counts().Accepted != 7 {
		t.Errorf("after it was found: %v; the server has %d", p.Counts, s.mail.Counts().Accepted)
	}
	s.checkBooks()
	s.checkMail()
}
