package delivery_test

import (
	"errors"
	"testing"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
)

// Somebody settles a message by hand, and then the process that had claimed it comes back with the server's answer: that
// it was accepted stands against what was said, and anything else does not.
func TestLateVerdictOnResolved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		said   delivery.Resolution
		answer error
		want   string
		spent  int
	}{
		"not accepted, but it was": {delivery.NotAccepted, nil, "sent  1 as told", 1},
		"not accepted, nor was it": {delivery.NotAccepted, channels.Permanent(errors.New("554")), "failed not accepted 1 ani", 0},
		"resend, and it was":       {delivery.Resend, nil, "sent  1 as told", 1},
		"resend, and it was not":   {delivery.Resend, channels.Permanent(errors.New("554")), "planned  1 ani", 1},
		"accepted, but it was not": {delivery.WasAccepted, channels.Permanent(errors.New("554")), "sent  1 ani", 1},
		"accepted, and it was":     {delivery.WasAccepted, nil, "sent  1 ani", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.birthday(1)
			run := s.start()
			s.takenOverAnd(run, c.answer, func() {
				unknown, err := s.planner.Unknown(t.Context(), run, nil)
				s.must(err)
				settled, err := s.planner.Resolve(t.Context(), run, []delivery.Finding{{Message: unknown[0], Is: c.said, Words: "ani"}}, "ani", "hand")
				s.must(err)
				if settled[c.said] != 1 {
					t.Errorf("settled %v", settled)
				}
			})
			got := s.text(`select concat_ws(' ', m.state, coalesce(m.reason, ''), m.attempts, a.words)
				from messages m join attempts a on a.message_id = m.id and a.number = m.attempts`)
			if got != c.want {
				t.Errorf("the message is %q, want %q", got, c.want)
			}
			if n := s.number(`select count(*) from occasions where spent`); n != c.spent {
				t.Errorf("%d occasions are spent, want %d", n, c.spent)
			}
			s.checkBooks()
		})
	}
}

// A message that is not unknown any more is left alone.
func TestResolveLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(1)
	run := s.start()
	s.answerOnce(nil)
	findings := []delivery.Finding{{Message: int64(s.number(`select min(id) from messages`)), Is: delivery.NotAccepted}, {Message: 4711, Is: delivery.Resend}}
	settled, err := s.planner.Resolve(t.Context(), run, findings, "ani", "hand")
	s.must(err)
	if len(settled) != 0 {
		t.Errorf("settled %v", settled)
	}
	if n := s.number(`select count(*) from audit_log where action = 'resolve'`); n != 0 {
		t.Errorf("%d lines in the audit log", n)
	}
	s.checkBooks()
}
