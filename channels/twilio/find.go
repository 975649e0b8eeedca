package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels"
)

// sent is a message or a call as Twilio's API shows it.
type sent struct {
	channels.Report
	segments        int
	price, currency string
	created         time.Time
}

func (s sent) inquiry() channels.Inquiry {
	i := channels.Inquiry{Report: s.Report, Segments: s.segments}
	if price := strings.TrimPrefix(s.price, "-"); price != "" { // what Twilio charges is negative
		i.Price, i.Currency = price, strings.ToUpper(s.currency)
	}
	return i
}

// Inquire asks for one message or call: how far it got, its price, and of a text in how many parts it went.
func (c *Channel) Inquire(ctx context.Context, providerID string) (channels.Inquiry, error) {
	if !plain.MatchString(providerID) {
		return channels.Inquiry{}, fmt.Errorf("ask Twilio for a message: %w", channels.ErrNoMessage)
	}
	var found sent
	a, err := c.ask(ctx, c.inquiries, func(api *openapi.ApiService) (err error) {
		found, err = c.fetch(api, c.cfg, providerID)
		return err
	})
	if err == nil && found.ProviderID != "" {
		return found.inquiry(), nil
	}
	return channels.Inquiry{}, c.explainInquiry("message "+providerID, a, err)
}

// explainInquiry turns an answer that is no message into an error of Inquire or Find.
func (c *Channel) explainInquiry(what string, a answer, err error) error {
	switch {
	case a.status == http.StatusNotFound && a.code == codeNotFound:
		return fmt.Errorf("ask Twilio for %s: %w", what, channels.ErrNoMessage)
	case a.status == http.StatusTooManyRequests:
		return channels.Unavailable(fmt.Errorf("ask Twilio for %s: %s", what, a))
	}
	if err := c.explainOpen(a, err); err != nil {
		return err
	}
	return channels.Unavailable(errors.New("Twilio's answer can't be read"))
}

// Find looks for a message among those that Twilio created for the number in the time, sent by our sender, that are not
// known as others. Of messages, the one that has a mark of the lost one in its text is it, as long as there is one only;
// without marks nothing is looked for, since other programs may have used the same account. Calls have no text: a call is
// found where it is the only one from our number to the customer's in that time.
func (c *Channel) Find(ctx context.Context, lost channels.Lost) (channels.Inquiry, error) {
	var list []sent
	a, err := c.ask(ctx, c.inquiries, func(api *openapi.ApiService) (err error) {
		list, err = c.find(api, c.cfg, lost)
		return err
	})
	if err != nil || a.status >= http.StatusMultipleChoices {
		return channels.Inquiry{}, c.explainInquiry("a message without an answer", a, err)
	}
	list = slices.DeleteFunc(list, func(s sent) bool {
		return s.ProviderID == "" || slices.Contains(lost.Known, s.ProviderID) || !within(s.created, lost)
	})
	if len(list) != 1 {
		return channels.Inquiry{}, fmt.Errorf("%d messages fit: %w", len(list), channels.ErrNoMessage)
	}
	return list[0].inquiry(), nil
}

// within says whether Twilio created something in the time in which it was handed over. Its times have no fractions, and
// its clock may differ from ours.
func within(created time.Time, lost channels.Lost) bool {
	const clocks = 5 * time.Second
	return !created.Before(lost.Since.Add(-clocks)) && !created.After(lost.Until.Add(clocks))
}

// findMost is how many entries are looked at. Where there are more to one number within a day or two, none is found.
const findMost = 200

// findMessages lists what may be the lost message. What waits at Twilio has no time of sending yet; it is asked for again
// later.
func findMessages(api *openapi.ApiService, cfg Config, lost channels.Lost, prefix string) ([]sent, error) {
	if len(lost.Marks) == 0 {
		return nil, nil
	}
	p := &openapi.ListMessageParams{PathAccountSid: &cfg.AccountSID}
	p.SetTo(prefix + lost.To).SetDateSentAfter(lost.Since.Add(-time.Minute)).SetPageSize(findMost)
	page, err := api.PageMessage(p, "", "")
	if err != nil || text(page.NextPageUri) != "" {
		return nil, err
	}
	var list []sent
	for i := range page.Messages {
		m := &page.Messages[i]
		if text(m.Direction) == "outbound-api" && sentByUs(cfg, m, prefix) && marked(text(m.Body), lost.Marks) {
			list = append(list, sentMessage(m))
		}
	}
	return list, nil
}

func sentByUs(cfg Config, m *openapi.ApiV2010Message, prefix string) bool {
	if cfg.MessagingService != "" {
		return text(m.MessagingServiceSid) == cfg.MessagingService
	}
	return text(m.From) == prefix+cfg.From
}

func marked(body string, marks []string) bool {
	return slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(body, mark) })
}

func sentMessage(m *openapi.ApiV2010Message) sent {
	code := 0
	if m.ErrorCode != nil {
		code = *m.ErrorCode
	}
	s := sent{
		Report: report(text(m.Sid), statusOf(text(m.Status)), code, text(m.ErrorMessage)),
		price:  text(m.Price), currency: text(m.PriceUnit), created: moment(text(m.DateCreated)),
	}
	if n, err := strconv.Atoi(text(m.NumSegments)); err == nil {
		s.segments = n
	}
	return s
}

// moment reads a time as the API writes it (RFC 2822); zero for anything else.
func moment(text string) time.Time {
	at, err := time.Parse(time.RFC1123Z, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
