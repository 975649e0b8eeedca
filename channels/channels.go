// Package channels says what a channel is: how a rendered message is handed to a provider, and the words in which the
// provider's answer comes back. Each channel is one package below this one and one line in cmd/sapa/channels.go;
// package channeltest holds the suite that all of them pass.
//
// The engine depends on one distinction more than on any other: was the message handed over or not? Handed over means
// that the write which completes it (the final dot of SMTP's DATA, BDAT, the HTTP request) was entered. What failed before
// may be tried again; what failed after, without an answer, is Unknown and is not sent again by itself.
package channels

import (
	"context"
	"time"
)

// Address is where a message goes or comes from.
type Address struct {
	Name string // display name, may be empty
	Addr string // normalised: an addr-spec for e-mail (RFC 5322), E.164 for phones
}

// Message is one rendered message to one person, ready to be handed over.
type Message struct {
	ID             int64   // the ledger's id
	Token          string  // signed name of the message for the outside: Message-ID, callback URLs, return paths
	From           Address // the account's sender
	ReplyTo        string  // empty: none
	To             Address
	Subject        string
	Text           string
	HTML           string // empty: text only
	UnsubscribeURL string // empty: none; https one-click URL (RFC 8058)
	CallbackURL    string // where the provider's reports on this message go, with the token in it; empty: none
	Topic          string // the campaign's topic, for List-ID
	Campaign       string // the campaign's name, for the provider's own statistics
	Date           time.Time
	ValidUntil     time.Time         // later the provider should not send it any more; zero: no such time
	Parts          map[string]string // the content of a channel with a Form, rendered, by key; of Values, by KEY.NAME
	Locale         string            // the customer's, such as id-ID
	Customer       string            // the customer's key, as text; for channels within the company, providers are not told it
}

// Receipt is what the provider answered. It is filled as far as is known for refusals, too.
type Receipt struct {
	ProviderID string    // the provider's id: SMTP queue id, Twilio SID
	Code       int       // 250, 550, 429, …; 0 when there was no answer
	Enhanced   string    // RFC 3463 status such as 5.1.1, when given
	Words      string    // the answer's text, at most MaxWords bytes
	HandedOver time.Time // when the completing write was entered; zero when it never was
	Segments   int       // of a text message: how many parts it is charged as; 0 when not known
	Encoding   string    // of a text message: GSM-7 or UCS-2
}

// MaxWords bounds Receipt.Words, so that a hostile server can't fill the ledger.
const MaxWords = 500

// Channel is one configured account of a provider.
type Channel interface {
	// Name is the channel's word in campaign files, such as "email".
	Name() string
	// Account names the configured provider account without secrets, such as "smtp://mail.example:587".
	Account() string
	// Open connects. The error is an Unavailable or, for wrong credentials and wrong configuration, a Permanent.
	Open(ctx context.Context) (Session, error)
}

// Session is one connection (or one HTTP client) of a channel, used by one goroutine.
type Session interface {
	// Deliver hands over the messages it receives from in, in order, until in is closed, the context ends or the session
	// breaks. Whatever it has not received by then is untouched and stays the sender's, so who sends on in must also
	// watch for Deliver's return.
	//
	// It calls done exactly once for every message received, possibly later than the next message is received (a
	// pipelined dialogue), with a nil error for an accepted message or one of the verdict errors of this package. A
	// message that can't go out as it is, a line break in its subject or an invalid address, is Permanent for itself
	// alone. The text of a verdict names codes and causes and no address of a customer, so that it may be logged;
	// Receipt.Words is the provider's own text and may name one.
	//
	// Before each hand-over, as late as can be, it calls permit once with that message; where that returns an error, the
	// message was not handed over and is done with Unavailable wrapping that error, and the session may break. When the
	// context ends, messages not yet handed over are Unavailable and the answers of those handed over are still
	// awaited, up to the channel's own time limits.
	//
	// The error says that the session is broken and must be closed, and why, as an Unavailable; nil that it can be used
	// again.
	Deliver(ctx context.Context, in <-chan *Message, permit func(*Message) error, done func(*Message, Receipt, error)) error
	// Close ends the connection politely, within a second or two.
	Close() error
}

// Receive is for a Session's Deliver: it waits for the next message; the end of the context comes first. It is false when
// there will be none.
func Receive(ctx context.Context, in <-chan *Message) (*Message, bool) {
	if ctx.Err() != nil {
		return nil, false
	}
	select {
	case m, ok := <-in:
		return m, ok
	case <-ctx.Done():
		return nil, false
	}
}
