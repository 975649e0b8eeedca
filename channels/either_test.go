package channels_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

// account is a provider's account that signs with its own name, and knows the messages that begin with it.
type account string

func (a account) Report(_, signature string, form url.Values) (channels.Report, error) {
	if signature != string(a) {
		return channels.Report{}, channels.ErrSignature
	}
	if form == nil {
		return channels.Report{}, errForm
	}
	return channels.Report{ProviderID: string(a)}, nil
}

func (a account) Inbound(_, signature string, form url.Values) (channels.Inbound, error) {
	r, err := a.Report("", signature, form)
	return channels.Inbound{ProviderID: r.ProviderID}, err
}

func (account) SignatureHeader() string        { return "Signature" }
func (account) Answer(string) (string, []byte) { return "text/plain", nil }

func (a account) Inquire(_ context.Context, id string) (channels.Inquiry, error) {
	switch {
	case a == "away":
		return channels.Inquiry{}, errAway
	case id != "of "+string(a):
		return channels.Inquiry{}, channels.ErrNoMessage
	}
	return channels.Inquiry{Price: string(a)}, nil
}

var (
	errForm = errors.New("not such a form")
	errAway = channels.Unavailable(errors.New("away"))
)

func TestEitherWebhook(t *testing.T) {
	t.Parallel()
	hook := channels.EitherWebhook(account("one"), account("two"))
	for _, c := range []struct {
		signature string
		form      url.Values
		want      string
		err       error
	}{
		{"one", url.Values{}, "one", nil},
		{"two", url.Values{}, "two", nil},
		{"three", url.Values{}, "", channels.ErrSignature},
		{"one", nil, "", errForm},
		{"two", nil, "", errForm},
	} {
		r, err := hook.Report("", c.signature, c.form)
		in, inErr := hook.Inbound("", c.signature, c.form)
		if r.ProviderID != c.want || in.ProviderID != c.want || !errors.Is(err, c.err) || !errors.Is(inErr, c.err) {
			t.Errorf("%+v: %v %v, %v %v", c, r, err, in, inErr)
		}
	}
	if channels.EitherWebhook(account("one"), nil) != channels.Webhook(account("one")) || hook.SignatureHeader() != "Signature" {
		t.Error("one account is not itself")
	}
}

// That no account knows a message is only said when each has said so.
func TestEitherInquirer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second account
		id, price     string
		err           error
	}{
		{"one", "two", "of one", "one", nil},
		{"one", "two", "of two", "two", nil},
		{"one", "two", "of three", "", channels.ErrNoMessage},
		{"away", "two", "of two", "two", nil},
		{"away", "two", "of three", "", errAway},
		{"one", "away", "of three", "", errAway},
		{"one", "away", "of one", "one", nil},
	} {
		got, err := channels.EitherInquirer(c.first, c.second).Inquire(t.Context(), c.id)
		if got.Price != c.price || !errors.Is(err, c.err) {
			t.Errorf("%+v: %+v %v", c, got, err)
		}
	}
	if channels.EitherInquirer(account("one"), nil) != channels.Inquirer(account("one")) {
		t.Error("one account is not itself")
	}
}

// Find fits the ids that begin with the account's name, and finds nothing at both.
func (a account) Find(_ context.Context, lost channels.Lost) (channels.Inquiry, error) {
	if a == "away" {
		return channels.Inquiry{}, errAway
	}
	for _, mark := range lost.Marks {
		if mark == string(a) {
			return channels.Inquiry{Price: string(a)}, nil
		}
	}
	return channels.Inquiry{}, channels.ErrNoMessage
}

// A message is found where exactly one account has it, and both have been asked.
func TestEitherFinder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second account
		marks         []string
		price         string
		err           error
	}{
		{"one", "two", []string{"one"}, "one", nil},
		{"one", "two", []string{"two"}, "two", nil},
		{"one", "two", []string{"one", "two"}, "", channels.ErrNoMessage},
		{"one", "two", nil, "", channels.ErrNoMessage},
		{"away", "two", []string{"two"}, "", errAway},
		{"one", "away", []string{"one"}, "", errAway},
	} {
		got, err := channels.EitherFinder(c.first, c.second).Find(t.Context(), channels.Lost{Marks: c.marks})
		if got.Price != c.price || !errors.Is(err, c.err) {
			t.Errorf("%+v: %+v %v", c, got, err)
		}
	}
	if channels.EitherFinder(account("one"), nil) != channels.Finder(account("one")) {
		t.Error("one account is not itself")
	}
}
