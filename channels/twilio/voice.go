package twilio

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels"
)

// voice are calls that speak by themselves.
type voice struct{}

// Name is "voice".
func (voice) Name() string { return "voice" }

func (voice) title() string { return "calls" }

func (voice) checkSender(c Config) error {
	switch {
	case c.MessagingService != "":
		return errors.New("a Messaging Service can't call: give a number")
	case c.From == "":
		return errors.New("a number is needed that customers see")
	case !e164.MatchString(c.From):
		return fmt.Errorf("the caller %q must be a number such as +622112345678", c.From)
	}
	return nil
}

// measure leaves what a call is charged as open: Twilio charges minutes.
func (voice) measure(*channels.Receipt, *channels.Message) {}

// maxTwiML is how long the document of a call may be, in characters; by Twilio's description of the parameter Twiml.
const maxTwiML = 4000

func (voice) compose(_ context.Context, cfg Config, m *channels.Message) (order, error) {
	if err := checkNumber(m.To.Addr); err != nil {
		return nil, err
	}
	script, err := scriptOf(m)
	if err != nil {
		return nil, err
	}
	if _, err := validity(cfg, m); err != nil {
		return nil, err
	}
	twiml := string(document(script))
	if n := utf8.RuneCountInString(twiml); n > maxTwiML {
		return nil, channels.Permanent(fmt.Errorf("what the call says takes %d characters of TwiML: Twilio takes %d at most", n, maxTwiML))
	}
	p := &openapi.CreateCallParams{PathAccountSid: &cfg.AccountSID}
	p.SetTo(m.To.Addr).SetFrom(cfg.From).SetTwiml(twiml)
	if m.CallbackURL != "" {
		p.SetStatusCallback(m.CallbackURL).SetStatusCallbackEvent([]string{"initiated", "answered", "completed"})
	}
	return func(api *openapi.ApiService) (taken, error) {
		call, err := api.CreateCall(p)
		if err != nil || call == nil {
			return taken{}, err
		}
		return taken{sid: text(call.Sid), status: text(call.Status)}, nil
	}, nil
}

// script is what a call does: TwiML (https://www.twilio.com/docs/voice/twiml).
type script struct {
	XMLName xml.Name `xml:"Response"`
	Gather  *gather
	lines
}

// lines are what is heard.
type lines struct {
	Say  *say
	Play string `xml:",omitempty"`
}

type say struct {
	Language string `xml:"language,attr,omitempty"`
	Words    string `xml:",chardata"`
}

// gather waits for a key, also while its lines are heard.
type gather struct {
	Input  string `xml:"input,attr"`
	Digits int    `xml:"numDigits,attr"`
	Wait   int    `xml:"timeout,attr"` // seconds after the last line
	Method string `xml:"method,attr"`
	Action string `xml:"action,attr"`
	lines
}

// keyPatience is how long a call waits for a key when everything has been said, in seconds.
const keyPatience = 8

func scriptOf(m *channels.Message) (script, error) {
	heard, err := linesOf(m)
	if err != nil {
		return script{}, err
	}
	keys, err := keysOf(m.Parts)
	if err != nil {
		return script{}, err
	}
	if len(keys) == 0 || m.CallbackURL == "" { // nobody would hear of a key
		return script{lines: heard}, nil
	}
	action, err := url.Parse(m.CallbackURL)
	if err != nil {
		return script{}, channels.Permanent(errors.New("the address for reports can't be read"))
	}
	query := action.Query()
	for key, means := range keys {
		query.Set(keyParameter+key, means)
	}
	if heard.Say != nil {
		query.Set(languageParameter, heard.Say.Language)
	}
	action.RawQuery = query.Encode()
	return script{Gather: &gather{
		Input: "dtmf", Digits: 1, Wait: keyPatience, Method: "POST", Action: action.String(), lines: heard,
	}}, nil
}

func linesOf(m *channels.Message) (lines, error) {
	words, recording := strings.TrimSpace(firstOf(m.Parts["say"], m.Text)), m.Parts["play"]
	switch {
	case words == "" && recording == "":
		return lines{}, channels.Permanent(errors.New("the call has nothing to say"))
	case !utf8.ValidString(words):
		return lines{}, channels.Permanent(errors.New("what the call says is not valid UTF-8"))
	case words == "":
		return lines{Play: recording}, nil
	}
	language, err := languageOf(m)
	return lines{Say: &say{Language: language, Words: words}, Play: recording}, err
}

// languageOf is the language in which the words are read; "" is the one that the account has in Twilio's console.
func languageOf(m *channels.Message) (string, error) {
	if chosen := m.Parts["language"]; chosen != "" && chosen != fromLocale {
		return chosen, nil
	}
	if m.Locale == "" {
		return "", nil
	}
	language, ok := spoken(m.Locale)
	if !ok {
		return "", channels.Permanent(fmt.Errorf("there is no voice for the customer's language (%q): write language: in the campaign", cut(m.Locale)))
	}
	return language, nil
}

// Parameters of the address that Twilio tells of a key: what each key means, and the language of the call. They can be
// trusted, since Twilio's signature covers the address.
const (
	keyParameter      = "key"
	languageParameter = "language"
)

// oneKey is a key that a call can ask for. The # ends an input, so that it can't be one.
const keyForm = `^[0-9*]$`

var oneKey = regexp.MustCompile(keyForm)

// keysOf is what each key means to a customer.
func keysOf(parts map[string]string) (map[string]string, error) {
	keys := map[string]string{}
	for name, means := range parts {
		key, ok := strings.CutPrefix(name, "press.")
		if !ok {
			continue
		}
		if err := checkKey(key); err != nil {
			return nil, channels.Permanent(err)
		}
		if means = strings.TrimSpace(means); means == "" || !utf8.ValidString(means) {
			return nil, channels.Permanent(fmt.Errorf("the key %s means nothing", key))
		}
		keys[key] = means
	}
	return keys, nil
}

func (voice) list(api *openapi.ApiService, cfg Config) error {
	_, err := api.PageCall((&openapi.ListCallParams{PathAccountSid: &cfg.AccountSID}).SetPageSize(1), "", "")
	return err
}

func (voice) fetch(api *openapi.ApiService, cfg Config, id string) (sent, error) {
	call, err := api.FetchCall(id, &openapi.FetchCallParams{PathAccountSid: &cfg.AccountSID})
	if err != nil || call == nil {
		return sent{}, err
	}
	return sentCall(call), nil
}

func sentCall(call *openapi.ApiV2010Call) sent {
	return sent{
		Report: callReport(text(call.Sid), text(call.Status), 0),
		price:  text(call.Price), currency: text(call.PriceUnit), created: moment(text(call.DateCreated)),
	}
}

func (voice) find(api *openapi.ApiService, cfg Config, lost channels.Lost) ([]sent, error) {
	p := &openapi.ListCallParams{PathAccountSid: &cfg.AccountSID}
	p.SetTo(lost.To).SetFrom(cfg.From).SetStartTimeAfter(lost.Since.Add(-time.Minute)).SetPageSize(findMost)
	page, err := api.PageCall(p, "", "")
	if err != nil || text(page.NextPageUri) != "" {
		return nil, err
	}
	var list []sent
	for i := range page.Calls {
		if text(page.Calls[i].Direction) == "outbound-api" {
			list = append(list, sentCall(&page.Calls[i]))
		}
	}
	return list, nil
}

// report reads a status callback of a call, or the request that tells of a key.
func (voice) report(address string, form url.Values) (channels.Report, error) {
	id, status := form.Get("CallSid"), form.Get("CallStatus")
	if id == "" || status == "" {
		return channels.Report{}, errors.New("a report without CallSid or CallStatus")
	}
	if form.Has("Digits") {
		return pressed(address, id, form)
	}
	code, err := errorCode(form)
	if err != nil {
		return channels.Report{}, err
	}
	if text := form.Get("SipResponseCode"); code == 0 && text != "" {
		if code, err = strconv.Atoi(text); err != nil {
			return channels.Report{}, errors.New("a report whose SipResponseCode is no number")
		}
	}
	return callReport(id, status, code), nil
}

// callReport translates Twilio's CallStatus (https://www.twilio.com/docs/voice/api/call-resource). The code is Twilio's or
// SIP's (RFC 3261 section 21), and kept only of a call that reached nobody.
func callReport(id, status string, code int) channels.Report {
	r := channels.Report{ProviderID: id, Status: channels.ReportAccepted} // queued, initiated, ringing
	switch status {
	case "in-progress":
		r.Status = channels.ReportSent
	case "completed":
		r.Status = channels.ReportDelivered
	case "busy":
		r.Status, r.Words = channels.ReportUndelivered, "the line was busy, or the call was declined"
	case "no-answer":
		r.Status, r.Words = channels.ReportUndelivered, "nobody answered"
	case "canceled":
		r.Status, r.Words = channels.ReportUndelivered, "called off before it was answered"
	case "failed":
		r.Status, r.Words = channels.ReportUndelivered, "the call could not be connected: the number may not exist, or not be reachable now"
	}
	if r.Status == channels.ReportUndelivered {
		r.Code = code
		known, _ := meaning(code)
		r.Words = firstOf(known, r.Words)
	}
	return r
}

// pressed is a key, in the campaign's word for it, with what is said to that. A key without a meaning ends the call.
func pressed(address, id string, form url.Values) (channels.Report, error) {
	u, err := url.Parse(address)
	if err != nil {
		return channels.Report{}, errors.New("a key that came to an address that can't be read")
	}
	key := form.Get("Digits")
	means := u.Query().Get(keyParameter + key)
	r := channels.Report{ProviderID: id, Status: channels.ReportSent, Answer: goodbye("", "")}
	if key == "" || means == "" {
		return r, nil
	}
	r.Reply = &channels.Inbound{ProviderID: id + "/" + key, From: form.Get("To"), To: form.Get("From"), Text: means}
	if r.Reply.From == "" || r.Reply.To == "" {
		return channels.Report{}, errors.New("a key without From or To")
	}
	r.Answer = goodbye(u.Query().Get(languageParameter), means)
	return r, nil
}

// goodbye is said to somebody who has pressed a key; without words for the language, the call just ends.
func goodbye(language, means string) []byte {
	stop := strings.EqualFold(means, "stop")
	words := ""
	switch base, _, _ := strings.Cut(language, "-"); {
	case base == "id" && stop:
		words = "Baik. Kami tidak akan menelepon Anda lagi."
	case base == "id":
		words = "Terima kasih. Sampai jumpa."
	case base == "en" && stop:
		words = "All right. We will not call you again."
	case base == "en":
		words = "Thank you. Goodbye."
	}
	if words == "" {
		return document(script{})
	}
	return document(script{lines: lines{Say: &say{Language: language, Words: words}}})
}

// inbound refuses calls of customers: what they say nobody would hear.
func (voice) inbound(url.Values) (channels.Inbound, error) {
	return channels.Inbound{}, errors.New("calls of customers are not taken here")
}

func (voice) answer(text string) []byte {
	if text == "" {
		return document(script{})
	}
	return document(script{lines: lines{Say: &say{Words: text}}})
}
