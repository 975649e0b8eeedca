package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/channels"
)

// session is one kept connection; it connects again by itself when the server has closed an idle one.
type session struct {
	channel   *Channel
	transport *http.Transport
	broken    error // set for good by whatever ends the session
}

// Deliver hands over one message after the other; see channels.Session.
func (s *session) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error,
	done func(*channels.Message, channels.Receipt, error),
) error {
	for s.broken == nil {
		m, ok := channels.Receive(ctx, in)
		if !ok {
			return nil
		}
		receipt, err := s.deliver(ctx, m, permit)
		done(m, receipt, err)
	}
	return s.broken
}

func (s *session) deliver(ctx context.Context, m *channels.Message, permit func(*channels.Message) error) (channels.Receipt, error) {
	place, err := s.channel.compose(ctx, s.channel.cfg, m)
	if err != nil {
		return channels.Receipt{}, err
	}
	h := &handOver{channel: s.channel, permit: func() error { return permit(m) }}
	failed := h.run(ctx, s.transport, place)
	receipt := channels.Receipt{HandedOver: h.at, Code: h.answer.status}
	switch {
	case h.withheld != nil:
		return channels.Receipt{}, channels.Unavailable(h.withheld) // nothing is wrong with the connection
	case h.at.IsZero() && failed == nil:
		return channels.Receipt{}, s.breakOff(fmt.Errorf("%s answered before it was asked (%s)", s.channel.Account(), h.answer))
	case h.at.IsZero():
		return channels.Receipt{}, s.breakOff(fmt.Errorf("can't reach Twilio at %s: %w", s.channel.Account(), failed))
	case h.answer.status == 0:
		s.channel.measure(&receipt, m)
		return receipt, s.lost(fmt.Errorf("the message was handed over and Twilio did not answer: %w", failed))
	case h.answer.status >= 300:
		return s.refused(m, h.answer, receipt)
	}
	return s.accepted(m, h, receipt)
}

// accepted is the verdict on an answer of success. Without a SID it is not Twilio's.
func (s *session) accepted(m *channels.Message, h *handOver, receipt channels.Receipt) (channels.Receipt, error) {
	s.channel.measure(&receipt, m)
	if h.created.sid == "" {
		return receipt, s.lost(fmt.Errorf("the message was handed over and the answer (%s) names no message", h.answer))
	}
	receipt.ProviderID, receipt.Words = h.created.sid, cut(h.created.status)
	if n, err := strconv.Atoi(h.created.segments); err == nil && n > 0 { // 0: not counted yet
		receipt.Segments = n
	}
	return receipt, nil
}

// refused is the verdict on any other answer.
func (s *session) refused(m *channels.Message, a answer, receipt channels.Receipt) (channels.Receipt, error) {
	receipt.Words = cut(a.message)
	if a.code != 0 {
		receipt.Code = a.code
	}
	if receipt.Words == "" {
		receipt.Words = http.StatusText(a.status)
	}
	cause := fmt.Errorf("Twilio refused the message (%s)", a)
	switch rule(a) {
	case ruleOptedOut:
		return receipt, channels.Suppress(cause, "opted out")
	case ruleNoNumber:
		return receipt, channels.Suppress(cause, "no such number")
	case ruleWait:
		return receipt, channels.RetryAfter(cause, a.retry)
	case ruleElsewhere:
		s.broken = channels.Unavailable(fmt.Errorf("%s answered, and not as Twilio does (%s)", s.channel.Account(), a))
		return receipt, channels.RetryAfter(cause, a.retry)
	case ruleAccount:
		return receipt, s.breakOff(fmt.Errorf("Twilio refuses the account or its sender (%s): %s", a, advice(s.channel.Name(), a.code)))
	case ruleUnknown:
		s.channel.measure(&receipt, m)
		return receipt, s.lost(fmt.Errorf("the message was handed over and Twilio could not say what became of it (%s)", a))
	}
	return receipt, channels.Permanent(cause)
}

// breakOff ends the session without its message having been taken.
func (s *session) breakOff(err error) error {
	s.broken = channels.Unavailable(err)
	return s.broken
}

// lost ends the session with a message of which nobody knows.
func (s *session) lost(err error) error {
	s.broken = channels.Unavailable(err)
	return channels.Unknown(err)
}

// Close hangs up.
func (s *session) Close() error {
	if s.broken == nil {
		s.broken = channels.Unavailable(errors.New("the session is closed"))
	}
	s.transport.CloseIdleConnections()
	return nil
}

// text is the value of what an answer may leave out.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// cut bounds the provider's words.
func cut(s string) string {
	if len(s) <= channels.MaxWords {
		return s
	}
	n := channels.MaxWords
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
