package channels

import (
	"context"
	"errors"
	"net/url"
)

// EitherWebhook reads what the providers of two accounts of a channel tell, each signed by its own. second may be nil.
func EitherWebhook(first, second Webhook) Webhook {
	if second == nil {
		return first
	}
	return eitherWebhook{first, second}
}

type eitherWebhook struct {
	Webhook
	second Webhook
}

// Report reads a report of whichever account signed it.
func (e eitherWebhook) Report(address, signature string, form url.Values) (Report, error) {
	r, err := e.Webhook.Report(address, signature, form)
	if errors.Is(err, ErrSignature) {
		return e.second.Report(address, signature, form)
	}
	return r, err
}

// Inbound reads a message to whichever account signed it.
func (e eitherWebhook) Inbound(address, signature string, form url.Values) (Inbound, error) {
	in, err := e.Webhook.Inbound(address, signature, form)
	if errors.Is(err, ErrSignature) {
		return e.second.Inbound(address, signature, form)
	}
	return in, err
}

// EitherInquirer asks two accounts of a channel about a message that one of them sent. second may be nil.
func EitherInquirer(first, second Inquirer) Inquirer {
	if second == nil {
		return first
	}
	return eitherInquirer{first, second}
}

type eitherInquirer struct{ first, second Inquirer }

// EitherFinder looks for a message at two accounts of a channel. second may be nil.
func EitherFinder(first, second Finder) Finder {
	if second == nil {
		return first
	}
	return eitherFinder{first, second}
}

type eitherFinder struct{ first, second Finder }

// Find gives the answer of the account at which exactly one message fits. Where one fits at each, none does.
func (e eitherFinder) Find(ctx context.Context, lost Lost) (Inquiry, error) {
	answer, err := e.first.Find(ctx, lost)
	if err != nil && !errors.Is(err, ErrNoMessage) {
		return Inquiry{}, err
	}
	other, otherErr := e.second.Find(ctx, lost)
	switch {
	case err != nil || otherErr != nil && !errors.Is(otherErr, ErrNoMessage):
		return other, otherErr
	case otherErr == nil:
		return Inquiry{}, ErrNoMessage
	}
	return answer, nil
}

// Inquire gives the answer of the account that knows the message. That neither does is only said when both said so.
func (e eitherInquirer) Inquire(ctx context.Context, providerID string) (Inquiry, error) {
	answer, err := e.first.Inquire(ctx, providerID)
	if err == nil {
		return answer, nil
	}
	other, otherErr := e.second.Inquire(ctx, providerID)
	if otherErr == nil || errors.Is(err, ErrNoMessage) {
		return other, otherErr
	}
	return answer, err
}
