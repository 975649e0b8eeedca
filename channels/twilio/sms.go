package twilio

import (
	"context"
	"encoding/xml"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels"
)

// sms are text messages.
type sms struct{}

// Name is "sms".
func (sms) Name() string { return "sms" }

func (sms) title() string { return "SMS" }

func (sms) checkSender(c Config) error { return c.checkTextSender() }

func (sms) measure(r *channels.Receipt, m *channels.Message) {
	size := Measure(m.Text)
	r.Segments, r.Encoding = size.Segments, size.Encoding
}

func (sms) compose(_ context.Context, cfg Config, m *channels.Message) (order, error) {
	if err := checkNumber(m.To.Addr); err != nil {
		return nil, err
	}
	if err := checkText(m.Text); err != nil {
		return nil, err
	}
	p, err := newMessage(cfg, m, "")
	if err != nil {
		return nil, err
	}
	return createMessage(p.SetBody(m.Text), true), nil
}

func checkNumber(number string) error {
	if !e164.MatchString(number) {
		return channels.Permanent(errors.New("the number is not in the form of E.164, such as +628111234567"))
	}
	return nil
}

func checkText(text string) error {
	switch {
	case text == "":
		return channels.Permanent(errors.New("the text is empty"))
	case !utf8.ValidString(text):
		return channels.Permanent(errors.New("the text is not valid UTF-8"))
	}
	return nil
}

// The limits of ValidityPeriod. Twilio advises against fewer than five seconds: such a message mostly ends in its queue.
const (
	leastValidity = 5 * time.Second
	mostValidity  = 36000 * time.Second
)

// validity is how long a message may still wait at Twilio; 0 is as long as it likes.
func validity(cfg Config, m *channels.Message) (time.Duration, error) {
	if m.ValidUntil.IsZero() {
		return 0, nil
	}
	left := m.ValidUntil.Sub(cfg.Now())
	if left < leastValidity {
		return 0, channels.RetryAfter(errors.New("the message would arrive too late"), 0) // the claim knows what that means
	}
	if left >= mostValidity { // the longest is Twilio's default
		return 0, nil
	}
	return left, nil
}

// newMessage is a request without its content. prefix stands before numbers of another channel than SMS.
func newMessage(cfg Config, m *channels.Message, prefix string) (*openapi.CreateMessageParams, error) {
	p := &openapi.CreateMessageParams{PathAccountSid: &cfg.AccountSID}
	p.SetTo(prefix + m.To.Addr)
	if cfg.MessagingService != "" {
		p.SetMessagingServiceSid(cfg.MessagingService)
	} else {
		p.SetFrom(prefix + cfg.From)
	}
	if m.CallbackURL != "" {
		p.SetStatusCallback(m.CallbackURL)
	}
	left, err := validity(cfg, m)
	if err == nil && left > 0 {
		p.SetValidityPeriod(int(left / time.Second))
	}
	return p, err
}

// createMessage is the order; counted says whether its parts are charged one by one.
func createMessage(p *openapi.CreateMessageParams, counted bool) order {
	return func(api *openapi.ApiService) (taken, error) {
		m, err := api.CreateMessage(p)
		if err != nil || m == nil {
			return taken{}, err
		}
		t := taken{sid: text(m.Sid), status: text(m.Status)}
		if counted {
			t.segments = text(m.NumSegments)
		}
		return t, nil
	}
}

func (sms) list(api *openapi.ApiService, cfg Config) error {
	_, err := api.PageMessage((&openapi.ListMessageParams{PathAccountSid: &cfg.AccountSID}).SetPageSize(1), "", "")
	return err
}

func (sms) fetch(api *openapi.ApiService, cfg Config, id string) (sent, error) {
	m, err := api.FetchMessage(id, &openapi.FetchMessageParams{PathAccountSid: &cfg.AccountSID})
	if err != nil || m == nil {
		return sent{}, err
	}
	return sentMessage(m), nil
}

func (sms) find(api *openapi.ApiService, cfg Config, lost channels.Lost) ([]sent, error) {
	return findMessages(api, cfg, lost, "")
}

func (sms) report(_ string, form url.Values) (channels.Report, error) { return messageReport(form) }

func (sms) inbound(form url.Values) (channels.Inbound, error) { return inboundMessage(form, "") }

func (sms) answer(text string) []byte { return messageTwiML(text) }

// messageTwiML is TwiML with which Twilio sends the text from the sender that was written to.
func messageTwiML(text string) []byte {
	type response struct {
		XMLName xml.Name `xml:"Response"`
		Message []string
	}
	var r response
	if text != "" {
		r.Message = []string{text}
	}
	return document(r)
}

// document is a TwiML document.
func document(v any) []byte {
	body, err := xml.Marshal(v)
	if err != nil { // our own types can be marshalled
		body = []byte("<Response></Response>")
	}
	return []byte(xml.Header + string(body) + "\n")
}

// messageReport reads a status callback of a text or a WhatsApp message.
func messageReport(form url.Values) (channels.Report, error) {
	id, status := first(form, "MessageSid", "SmsSid"), first(form, "MessageStatus", "SmsStatus")
	if id == "" || status == "" {
		return channels.Report{}, errors.New("a report without MessageSid or MessageStatus")
	}
	code, err := errorCode(form)
	if err != nil {
		return channels.Report{}, err
	}
	return report(id, statusOf(status), code, form.Get("ErrorMessage")), nil
}

func errorCode(form url.Values) (int, error) {
	text := form.Get("ErrorCode")
	if text == "" {
		return 0, nil
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("a report whose ErrorCode is no number")
	}
	return code, nil
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

// inboundMessage reads the request that Twilio makes for a text or a WhatsApp message to one of our senders. Twilio has
// answered it already where its Advanced Opt-Out says so. prefix stands before the channel's numbers: a STOP must not be taken
// for that of another channel.
func inboundMessage(form url.Values, prefix string) (channels.Inbound, error) {
	in := channels.Inbound{
		ProviderID: first(form, "MessageSid", "SmsMessageSid", "SmsSid"), From: form.Get("From"), To: form.Get("To"),
		Text: form.Get("Body"), Answered: form.Get("OptOutType") != "",
	}
	if in.ProviderID == "" || in.From == "" || in.To == "" {
		return channels.Inbound{}, errors.New("a message without MessageSid, From or To")
	}
	if i := strings.IndexByte(in.From, ':'); in.From[:i+1] != prefix {
		return channels.Inbound{}, errors.New("a message that came by another channel: enter at each sender, in Twilio's console, the address of its own channel, /hooks/sms/inbound or /hooks/whatsapp/inbound")
	}
	in.From, in.To = strings.TrimPrefix(in.From, prefix), strings.TrimPrefix(in.To, prefix)
	if text := form.Get("NumMedia"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return channels.Inbound{}, errors.New("a message whose NumMedia is no number")
		}
		in.Media = n
	}
	return in, nil
}
