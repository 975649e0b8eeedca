package twilio

import (
	"net/url"

	"github.com/sapa-crm/sapa/channels"
)

// Report reads a status callback, and the request in which Twilio tells of a key that was pressed. Its own address carries
// what it is about; the form, how far the message got.
func (c *Channel) Report(url, signature string, form url.Values) (channels.Report, error) {
	if !c.signed(url, signature, form) {
		return channels.Report{}, channels.ErrSignature
	}
	return c.report(url, form)
}

// Inbound reads the request that Twilio makes for a message to one of our senders.
func (c *Channel) Inbound(url, signature string, form url.Values) (channels.Inbound, error) {
	if !c.signed(url, signature, form) {
		return channels.Inbound{}, channels.ErrSignature
	}
	return c.inbound(form)
}

// Answer is TwiML, with which Twilio tells the customer the text.
func (c *Channel) Answer(text string) (contentType string, body []byte) {
	return "text/xml; charset=utf-8", c.answer(text)
}

func report(id string, status channels.ReportStatus, code int, words string) channels.Report {
	r := channels.Report{ProviderID: id, Status: status, Code: code}
	if code != 0 {
		var known string
		known, r.Suppress = meaning(code)
		r.Words = cut(firstOf(known, words))
	}
	return r
}

func first(form url.Values, names ...string) string {
	for _, name := range names {
		if v := form.Get(name); v != "" {
			return v
		}
	}
	return ""
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
