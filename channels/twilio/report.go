package twilio

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels"
)

// Report reads a status callback. Its own address carries what it is about; the form, how far the message got.
func (c *Channel) Report(url, signature string, form url.Values) (channels.Report, error) {
	if !c.signed(url, signature, form) {
		return channels.Report{}, channels.ErrSignature
	}
	id, status := first(form, "MessageSid", "SmsSid"), first(form, "MessageStatus", "SmsStatus")
	if id == "" || status == "" {
		return channels.Report{}, errors.New("a report without MessageSid or MessageStatus")
	}
	code := 0
	if text := form.Get("ErrorCode"); text != "" {
		var err error
		if code, err = strconv.Atoi(text); err != nil {
			return channels.Report{}, errors.New("a report whose ErrorCode is no number")
		}
	}
	return report(id, status, code, form.Get("ErrorMessage")), nil
}

func report(id, status string, code int, words string) channels.Report {
	r := channels.Report{ProviderID: id, Status: statusOf(status), Code: code}
	if code != 0 {
		var known string
		known, r.Suppress = meaning(code)
		r.Words = cut(firstOf(known, words))
	}
	return r
}

// statusOf translates Twilio's MessageStatus. One that is new to us still proves that Twilio has the message.
func statusOf(status string) channels.ReportStatus {
	switch status {
	case "sent", "partially_delivered":
		return channels.ReportSent
	case "delivered":
		return channels.ReportDelivered
	case "read":
		return channels.ReportRead
	case "failed", "undelivered", "canceled":
		return channels.ReportUndelivered
	}
	return channels.ReportAccepted // accepted, scheduled, queued, sending
}

// Inbound reads the request that Twilio makes for a text to one of our numbers. Twilio has answered it already where its
// Advanced Opt-Out says so.
func (c *Channel) Inbound(url, signature string, form url.Values) (channels.Inbound, error) {
	if !c.signed(url, signature, form) {
		return channels.Inbound{}, channels.ErrSignature
	}
	in := channels.Inbound{
		ProviderID: first(form, "MessageSid", "SmsMessageSid", "SmsSid"), From: form.Get("From"), To: form.Get("To"),
		Text: form.Get("Body"), Answered: form.Get("OptOutType") != "",
	}
	if in.ProviderID == "" || in.From == "" || in.To == "" {
		return channels.Inbound{}, errors.New("a message without MessageSid, From or To")
	}
	if text := form.Get("NumMedia"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return channels.Inbound{}, errors.New("a message whose NumMedia is no number")
		}
		in.Media = n
	}
	return in, nil
}

// Answer is TwiML, with which Twilio sends the text from the number that was written to.
func (c *Channel) Answer(text string) (contentType string, body []byte) {
	const contentTypeXML = "text/xml; charset=utf-8"
	if text == "" {
		return contentTypeXML, []byte(xml.Header + "<Response></Response>\n")
	}
	var escaped strings.Builder
	if err := xml.EscapeText(&escaped, []byte(text)); err != nil { // of a strings.Builder's Write: there is none
		return contentTypeXML, []byte(xml.Header + "<Response></Response>\n")
	}
	return contentTypeXML, fmt.Appendf(nil, "%s<Response><Message>%s</Message></Response>\n", xml.Header, escaped.String())
}

// inquiry translates a fetched message. Twilio's price of what it charges is negative.
func inquiry(m *openapi.ApiV2010Message) channels.Inquiry {
	code := 0
	if m.ErrorCode != nil {
		code = *m.ErrorCode
	}
	i := channels.Inquiry{Report: report(text(m.Sid), text(m.Status), code, text(m.ErrorMessage))}
	if n, err := strconv.Atoi(text(m.NumSegments)); err == nil {
		i.Segments = n
	}
	if price := strings.TrimPrefix(text(m.Price), "-"); price != "" {
		i.Price, i.Currency = price, strings.ToUpper(text(m.PriceUnit))
	}
	return i
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
