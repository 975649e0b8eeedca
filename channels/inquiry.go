package channels

import (
	"context"
	"errors"
	"time"
)

// Inquirer is what a channel adds whose provider can be asked about a message that it accepted, such as for its price,
// which no report tells.
type Inquirer interface {
	// Inquire asks what the provider knows now about its message providerID. The error is ErrNoMessage when it knows none
	// by that name, else an Unavailable or, for wrong credentials, a Permanent.
	Inquire(ctx context.Context, providerID string) (Inquiry, error)
}

// ErrNoMessage says that the provider knows no message by that name, or does not know it any more.
var ErrNoMessage = errors.New("the provider knows no such message")

// Inquiry is a provider's answer about one message.
type Inquiry struct {
	Report          // how far it got
	Segments int    // how many parts it is charged as; 0 while not known
	Price    string // what it cost, a decimal number such as 0.0527; "" while not known
	Currency string // the price's, ISO 4217; "" while not known
}

// Finder is what a channel adds whose provider can be asked which messages it took, where the answer to a hand-over was
// lost.
type Finder interface {
	// Find looks for a message among those that the provider took. The error is ErrNoMessage when not exactly one fits: that
	// proves nothing, since what is there may not be listed yet, or not any more. Otherwise it is an error of Inquire.
	Find(ctx context.Context, lost Lost) (Inquiry, error)
}

// Lost is a message whose hand-over had no answer.
type Lost struct {
	To           string    // its address, normalised
	Since, Until time.Time // the provider took it within this time, if it did
	Marks        []string  // texts that are in this message and in no other, such as the addresses of its short links
	Known        []string  // the provider's ids of other messages to that address, which the ledger has
}
