package channels

import (
	"errors"
	"time"
)

// Verdict classifies the outcome of handing a message over.
type Verdict int

// The verdicts. Accepted is that of a nil error; an error without a verdict is Unknown, the only safe guess.
const (
	VerdictAccepted    Verdict = iota
	VerdictPermanent           // refused for good: this message will never go
	VerdictSuppress            // refused for good, and the address itself is dead or unwilling
	VerdictRetry               // refused for now: try again after a while; counts as an attempt
	VerdictUnknown             // handed over, no answer: it may have gone out
	VerdictUnavailable         // nothing happened to this message: not handed over, or the answer refuses the account; the provider can't be used now
	VerdictPending             // it waits for a person, who says what became of it: a letter to be posted, a call to be made
)

// String is the verdict's word in the ledger.
func (v Verdict) String() string {
	return [...]string{"accepted", "permanent", "suppress", "retry", "unknown", "unavailable", "pending"}[v]
}

type verdictError struct {
	verdict Verdict
	err     error
	after   time.Duration
	why     string
	reached bool
}

func (e *verdictError) Error() string { return e.err.Error() }
func (e *verdictError) Unwrap() error { return e.err }

// Permanent marks a refusal that no later attempt will change.
func Permanent(err error) error { return &verdictError{verdict: VerdictPermanent, err: err} }

// Suppress marks a permanent refusal that means the address must not be used again; why is the suppression's reason,
// such as "hard bounce".
func Suppress(err error, why string) error {
	return &verdictError{verdict: VerdictSuppress, err: err, why: why}
}

// RetryAfter marks a refusal for now. after is the provider's wish, 0 when it has none.
func RetryAfter(err error, after time.Duration) error {
	return &verdictError{verdict: VerdictRetry, err: err, after: after}
}

// RetryRest is RetryAfter for a message that its recipient has already, of which a further way was refused for now, such as an
// alert's mail: it is tried again, and when no attempt is left it was accepted all the same.
func RetryRest(err error, after time.Duration) error {
	return &verdictError{verdict: VerdictRetry, err: err, after: after, reached: true}
}

// Reached says whether an error is a RetryRest.
func Reached(err error) bool {
	v, ok := errors.AsType[*verdictError](err)
	return ok && v.reached
}

// Unknown marks a message that was handed over without an answer.
func Unknown(err error) error { return &verdictError{verdict: VerdictUnknown, err: err} }

// Unavailable marks a message that was not handed over because the provider, or our permission to use it, went away; or
// one of which the provider's answer says that nothing was taken, since it refuses the account as such.
func Unavailable(err error) error { return &verdictError{verdict: VerdictUnavailable, err: err} }

// ErrPending is the verdict on a message that the channel has taken down for a person, who will say what became of it. Until
// then it counts as planned, and can still be cancelled; nothing was handed over.
var ErrPending error = &verdictError{verdict: VerdictPending, err: errors.New("it waits for a person")}

// VerdictOf classifies an error of Session.Deliver or Channel.Open.
func VerdictOf(err error) Verdict {
	if err == nil {
		return VerdictAccepted
	}
	if v, ok := errors.AsType[*verdictError](err); ok {
		return v.verdict
	}
	return VerdictUnknown
}

// RetryDelay is the wait that the provider asked for, 0 when it did not.
func RetryDelay(err error) time.Duration {
	if v, ok := errors.AsType[*verdictError](err); ok {
		return v.after
	}
	return 0
}

// SuppressReason is why the address must not be used again, "" when the error does not say so.
func SuppressReason(err error) string {
	if v, ok := errors.AsType[*verdictError](err); ok {
		return v.why
	}
	return ""
}
