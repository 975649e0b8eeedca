// Package response knows what came back: which person opened, clicked or unsubscribed, told by signed tokens in the
// links of their message.
//
//	keys, err := response.LoadKeyring(ctx, pool)              // table signing_keys
//	urls, err := response.NewURLs("https://sapa.example", keys)
//	urls.Open(id)                                             // https://sapa.example/o/EQHAgICA…
//
// The way back goes through a Tracker: it verifies the token, judges whether a person or a machine asked, hands the hit
// to the Recorder (many hits per commit) and says where a click goes. Unsubscribing acts at once, in a transaction of
// its own, and is confirmed only after its commit. docs/responses.md is the reference.
package response

import (
	"cmp"
	"errors"
)

// Kind says what a token is for. A token of one kind never passes for another.
type Kind uint8

// The kinds. Their numbers are part of every token ever sent: never change them.
const (
	Open        Kind = 1 // the pixel of a message
	Click       Kind = 2 // a link of a message
	Unsubscribe Kind = 3 // the unsubscribe page and its one-click form
	Message     Kind = 4 // the message itself: Message-ID, later return paths and callbacks
	// PreferencesPage is the customer's page of preferences.
	PreferencesPage Kind = 5
	// ConfirmPage is the page that confirms a double opt-in, and its form.
	ConfirmPage Kind = 6
)

// Part is where in a message a link stands, by its word in the tables links, hits and responses: a part of an e-mail, or of
// other messages, whose links have codes, their channel. The zero value is HTML.
type Part string

// The parts of an e-mail, and that of a text message.
const (
	HTML Part = "html"
	Text Part = "text"
	SMS  Part = "sms"
)

// String is the part's word.
func (p Part) String() string { return string(cmp.Or(p, HTML)) }

// Token is what a signed token says.
type Token struct {
	Kind      Kind
	MessageID int64
	Part      Part   // of a click
	Link      int    // of a click: position of the link within its part, from 0
	Query     string // of a click: the personal part of the link's query, without "?"
}

// Errors that callers branch on.
var (
	// ErrToken: this is no token of ours, or of another kind than the one asked for.
	ErrToken = errors.New("not a valid token")
	// ErrUnknownKey: signed with a key that this keyring doesn't have; it is an ErrToken too.
	ErrUnknownKey = &unknownKeyError{}
	// ErrQueryTooLong: the personal part of a link does not fit into a token.
	ErrQueryTooLong = errors.New("the link's personal part is too long")
)

type unknownKeyError struct{}

func (*unknownKeyError) Error() string        { return "the token's signing key is unknown" }
func (*unknownKeyError) Is(target error) bool { return target == ErrToken }
