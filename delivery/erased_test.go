package delivery_test

import (
	"testing"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer/privacy"
)

// A verdict that comes after its customer was erased settles the message, and the server's words are not kept.
func TestLateVerdictOfErased(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(1)
	run := s.start()
	v := verdicts{got: make(chan *channels.Message), answer: make(chan error)}
	e, err := s.sender().engineOn(v, sending{Connections: 1, Lease: quick})
	s.must(err)
	stop := s.runEngine(e)
	<-v.got
	s.exec(`update workers set stopped_at = now() where stopped_at is null`) // as if others had done so
	other := s.run(sending{Connections: 1, SMTP: "127.0.0.1:1"})             // a server that is away
	s.until("its claim is unknown", func() bool { return s.progress(run).Counts["unknown"] == 1 })
	other()
	erased, err := privacy.Erase(t.Context(), s.pool, s.schema, privacy.EraseOptions{Customer: "1", Actor: "tester", Now: s.clock.now})
	s.must(err)
	if erased.Messages != 1 || erased.Addresses != 1 {
		t.Errorf("%+v", erased.Counts)
	}
	v.answer <- nil
	stop()
	if got, want := s.text(`select concat_ws(' ', m.state, m.customer_key, m.address_id, a.verdict, a.words) from messages m join attempts a on a.message_id = m.id`),
		"sent erased:1 accepted"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.checkBooks()
}
