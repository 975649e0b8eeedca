package channels

import (
	"context"
	"errors"
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
