package channels

import "context"

// Singly is the Deliver of a session that hands over one message after the other. deliver hands over one: it asks permit as
// late as can be, and returns the message's verdict. An Unavailable says that the session has broken, unless permission was
// withheld or the context has ended: then nothing is wrong with it.
func Singly(ctx context.Context, in <-chan *Message, permit func(*Message) error, done func(*Message, Receipt, error),
	deliver func(ctx context.Context, m *Message, permit func(*Message) error) (Receipt, error),
) error {
	for {
		m, ok := Receive(ctx, in)
		if !ok {
			return nil
		}
		withheld := false
		receipt, err := deliver(ctx, m, func(m *Message) error {
			err := permit(m)
			withheld = err != nil
			return err
		})
		done(m, receipt, err)
		if VerdictOf(err) == VerdictUnavailable && !withheld && ctx.Err() == nil {
			return err
		}
	}
}
