package alert

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

type session struct{ channel *Channel }

// Deliver puts one alert after the other onto its desk; see channels.Session.
func (s *session) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error,
	done func(*channels.Message, channels.Receipt, error),
) error {
	return channels.Singly(ctx, in, permit, done, s.deliver)
}

// Close does nothing: the connections are the pool's.
func (s *session) Close() error { return nil }

// patience bounds one statement: the context's end must not stop what was begun.
const patience = 30 * time.Second

func (s *session) deliver(ctx context.Context, m *channels.Message, permit func(*channels.Message) error) (channels.Receipt, error) {
	if err := s.channel.check(m); err != nil {
		return channels.Receipt{}, channels.Permanent(err)
	}
	conn, err := s.channel.cfg.Pool.Acquire(ctx)
	if err != nil {
		return channels.Receipt{}, channels.Unavailable(fmt.Errorf("can't reach the database: %w", err))
	}
	defer conn.Release()
	if ctx.Err() != nil {
		return channels.Receipt{}, channels.Unavailable(context.Cause(ctx))
	}
	if err := permit(m); err != nil {
		return channels.Receipt{}, channels.Unavailable(err)
	}
	receipt := channels.Receipt{HandedOver: time.Now()}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	id, err := s.channel.store(ctx, conn, m)
	if err != nil { // to do it again is harmless
		return receipt, channels.RetryAfter(fmt.Errorf("write the alert: %w", err), 0)
	}
	receipt.ProviderID = strconv.FormatInt(id, 10)
	return s.byWays(ctx, m, receipt)
}

// byWays tells the desk by its other ways, too. Whatever becomes of that, the desk has the alert on its page: what is refused for good
// there, or may have gone out, leaves it accepted, and what is refused for now is tried again, as long as there are attempts.
func (s *session) byWays(ctx context.Context, m *channels.Message, receipt channels.Receipt) (channels.Receipt, error) {
	for _, w := range s.channel.cfg.Desks[m.Parts["to"]].Ways {
		switch err := w.tell(ctx, m); channels.VerdictOf(err) {
		case channels.VerdictAccepted:
		case channels.VerdictRetry, channels.VerdictUnavailable:
			return receipt, channels.RetryRest(fmt.Errorf("the page has the alert; by %s: %w", w.Channel.Name(), err), channels.RetryDelay(err))
		default:
			receipt.Words = fmt.Sprintf("the page has the alert; by %s: %v", w.Channel.Name(), err)
			receipt.Words = receipt.Words[:min(len(receipt.Words), channels.MaxWords)]
		}
	}
	return receipt, nil
}

// tell hands the alert over to another channel. The token is changed, so that nobody takes what comes back for the
// customer's answer.
func (w Way) tell(ctx context.Context, m *channels.Message) error {
	s, err := w.Channel.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	in := make(chan *channels.Message, 1)
	in <- &channels.Message{
		ID: m.ID, Token: "alert-" + m.Token, From: w.From, To: w.To, Subject: m.Parts["title"], Text: w.text(m), Date: m.Date,
		Campaign: m.Campaign, Topic: m.Topic, Locale: m.Locale, Customer: m.Customer,
		Parts: map[string]string{"data.desk": m.Parts["to"], "data.title": m.Parts["title"], "text": m.Parts["text"]},
	}
	close(in)
	verdict := channels.Unavailable(errors.New("the session ended"))
	_ = s.Deliver(ctx, in, always, func(_ *channels.Message, _ channels.Receipt, err error) { verdict = err }) // the session ends anyway
	return verdict
}

func always(*channels.Message) error { return nil }

// text is what is written where there is no title.
func (w Way) text(m *channels.Message) string {
	if m.Parts["text"] == "" {
		return m.Parts["title"] + "\n"
	}
	return m.Parts["text"] + "\n"
}
