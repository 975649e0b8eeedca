package channels

import (
	"errors"
	"net/url"
)

// Webhook is what a channel adds whose provider calls us: reports on messages, and messages of customers. It reads and
// verifies; it keeps nothing.
type Webhook interface {
	// Report reads a report on a message. url is the address as the provider was told it, signature the header that
	// SignatureHeader names, form the body's values. The error is an ErrSignature, or says what is wrong with the form.
	Report(url, signature string, form url.Values) (Report, error)
	// Inbound reads a message of a customer. The errors are those of Report.
	Inbound(url, signature string, form url.Values) (Inbound, error)
	// SignatureHeader is the header with the provider's signature.
	SignatureHeader() string
	// Answer is the body, and its content type, that makes the provider send text back to the customer; nothing is sent
	// for "".
	Answer(text string) (contentType string, body []byte)
}

// ErrSignature says that a request does not come from the provider: its signature is missing or does not fit.
var ErrSignature = errors.New("the signature does not fit")

// ReportStatus is how far a provider has got with a message.
type ReportStatus string

// The statuses. Each proves that the provider accepted the message; they may come late, twice and in any order.
const (
	ReportAccepted    ReportStatus = "accepted"    // the provider has it
	ReportSent        ReportStatus = "sent"        // the next network has it
	ReportDelivered   ReportStatus = "delivered"   // the customer's device has it
	ReportRead        ReportStatus = "read"        // the customer has seen it
	ReportUndelivered ReportStatus = "undelivered" // it will not arrive
)

// Report is what a provider says about a message that it accepted.
type Report struct {
	ProviderID string // the provider's id of the message
	Status     ReportStatus
	Code       int    // the provider's error code; 0 when there is none
	Words      string // what the code means, in the provider's words
	Suppress   string // why the address must not be used again, "" when it may
	// Reply is what the customer answered on the spot, such as by a key of the phone that a call rang on: a message of theirs
	// about this one. With it, the report is nothing else; nil: it is a mere report.
	Reply *Inbound
	// Answer is the body by which the provider goes on, of the type that Webhook.Answer has; nil: it expects none.
	Answer []byte
}

// Inbound is a message of a customer.
type Inbound struct {
	ProviderID string // the provider's id, by which a repeated request is known
	From, To   string // E.164
	Text       string
	Media      int  // how many pictures or other files came with it
	Answered   bool // the provider has already answered it, as Twilio's opt-out handling does
}
