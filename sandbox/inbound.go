package sandbox

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/fnv"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/channels/twilio"
)

// optOuts is who wrote STOP to whom, and which senders stand for Messaging Services.
type optOuts struct {
	mu       sync.Mutex
	stopped  map[[2]string]bool      // (customer, sender or service)
	services map[string]string       // service by its sender
	sessions map[[2]string]time.Time // when a customer last wrote to a sender
}

func newOptOuts() *optOuts {
	return &optOuts{stopped: map[[2]string]bool{}, services: map[string]string{}, sessions: map[[2]string]time.Time{}}
}

// sender is the one number in the pool of a Messaging Service. It follows from the service's SID.
func (o *optOuts) sender(service string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(service))
	number := fmt.Sprintf("+1555%07d", h.Sum32()%10_000_000)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.services[number] = service
	return number
}

// service is the Messaging Service of a sender, "" when it is none's.
func (o *optOuts) service(sender string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.services[sender]
}

func (o *optOuts) has(customer, sender string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stopped[[2]string{customer, sender}]
}

// hear remembers a customer's STOP or START and returns what Twilio makes of the text: STOP, START, HELP, or "" when it
// is none of these.
func (o *optOuts) hear(customer, sender, body string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := [2]string{customer, sender}
	switch strings.ToUpper(strings.TrimSpace(body)) {
	case "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT":
		o.stopped[key] = true
		return "STOP"
	case "START", "UNSTOP":
		delete(o.stopped, key)
		return "START"
	case "YES":
		if !o.stopped[key] {
			return ""
		}
		delete(o.stopped, key)
		return "START"
	case "HELP", "INFO":
		return "HELP"
	}
	return ""
}

// recall rebuilds what is remembered from the folder.
func (s *Server) recall() {
	for m := range s.store.all(Filter{Which: All}) {
		if m.SMS != nil && m.SMS.Service != "" {
			s.optOuts.sender(m.SMS.Service)
		}
	}
	for m := range s.store.all(Filter{Which: Conversation}) {
		if m.SMS.Direction == Inbound {
			s.hear(m.From, m.To[0], m.Subject, m.ReceivedAt)
		}
	}
}

// hear remembers what a customer wrote and returns what Twilio makes of it. On WhatsApp, Twilio leaves STOP to its client.
func (s *Server) hear(customer, sender, body string, at time.Time) string {
	s.optOuts.wrote(customer, sender, at)
	if strings.HasPrefix(customer, whatsAppPrefix) {
		return ""
	}
	return s.optOuts.hear(customer, sender, body)
}

// optOutAnswer is what Twilio itself answers to STOP, START and HELP.
func optOutAnswer(kind string) string {
	switch kind {
	case "STOP":
		return "You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe."
	case "START":
		return "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply."
	case "HELP":
		return "Reply STOP to unsubscribe. Msg&Data Rates May Apply."
	}
	return ""
}

// Reply plays a customer who writes a text, or on WhatsApp where whatsapp: stands before the numbers: from is the
// customer's number, to the sender's. The text goes to Config.InboundURL as Twilio sends it, signed, and the answer is what comes back to the customer: the texts of the TwiML,
// each on a line of its own, "" without one. STOP, START and HELP, and Twilio's other English words for them, are
// answered and remembered as Twilio does, and told to the webhook as OptOutType; nothing else is sent to a customer who
// has stopped.
//
// The customer's text is kept in any case; the error says why the webhook did not take it.
func (s *Server) Reply(ctx context.Context, from, to, body string) (string, error) {
	if err := checkReply(from, to, body); err != nil {
		return "", fmt.Errorf("customer's text: %w", err)
	}
	kind := s.hear(from, to, body, s.config.Now())
	m, err := s.keepConversation(Inbound, from, to, body)
	if err != nil {
		return "", fmt.Errorf("customer's text: %w", err)
	}
	said := optOutAnswer(kind)
	texts, err := s.callInbound(ctx, m, body, kind)
	if said != "" {
		if _, err := s.keepConversation(OutboundReply, to, from, said); err != nil {
			return "", fmt.Errorf("customer's text: %w", err)
		}
	}
	if err != nil {
		return said, fmt.Errorf("customer's text: %w", err)
	}
	if s.optOuts.has(from, to) {
		texts = nil // refused with error 21610
	}
	for _, text := range texts {
		if _, err := s.keepConversation(OutboundReply, to, from, text); err != nil {
			return "", fmt.Errorf("customer's text: %w", err)
		}
		said = strings.TrimPrefix(said+"\n"+text, "\n")
	}
	return said, nil
}

func checkReply(from, to, body string) error {
	switch {
	case !isNumber(bareNumber(from)):
		return fmt.Errorf("%q is not a customer's number: write it as +628111234567", from)
	case strings.HasPrefix(from, whatsAppPrefix) != strings.HasPrefix(to, whatsAppPrefix):
		return errors.New("both must be WhatsApp's numbers, whatsapp:+62…, or neither")
	case !isSender(bareNumber(to)):
		return fmt.Errorf("%q is not a sender's number", to)
	case strings.TrimSpace(body) == "":
		return errors.New("it is empty: write something")
	case utf8.RuneCountInString(body) > maxBody:
		return fmt.Errorf("it has more than %d characters", maxBody)
	}
	return nil
}

// keepConversation makes a text that is no message of the sender durable.
func (s *Server) keepConversation(direction Direction, from, to, body string) (Message, error) {
	form := url.Values{"From": {from}, "To": {to}, "Body": {body}}
	m := s.newText(form)
	m.SMS.Direction = direction
	if direction == Inbound {
		m.SMS.Service = s.optOuts.service(bareNumber(to))
	}
	m.Verdict.Accepted = true
	return s.store.keepText(m, form)
}

// callInbound tells the webhook of a customer's text and returns what is to be answered.
func (s *Server) callInbound(ctx context.Context, m Message, body, kind string) ([]string, error) {
	answer, err := s.network.client.post(ctx, s.inboundURL(m.Channel), inboundForm(s.config.AccountSID, m, body, kind))
	var texts []string
	if err == nil {
		texts, err = readTwiML(answer)
	}
	e := Event{At: s.config.Now(), Status: "received", Callback: true, Attempts: 1, Code: answer.status}
	if err != nil {
		e.Fault = err.Error()
	}
	return texts, errors.Join(err, s.store.keepEvent(m.ID, e))
}

// inboundForm is what Twilio says of a customer's text.
// https://www.twilio.com/docs/messaging/guides/webhook-request
func inboundForm(account string, m Message, body, kind string) url.Values {
	form := url.Values{
		"MessageSid": {m.MessageID}, "SmsSid": {m.MessageID}, "SmsMessageSid": {m.MessageID}, "SmsStatus": {"received"},
		"AccountSid": {account}, "ApiVersion": {apiVersion}, "From": {m.From}, "To": {m.To[0]}, "Body": {body},
		"NumMedia": {"0"}, "NumSegments": {strconv.Itoa(twilio.Measure(body).Segments)},
	}
	for _, name := range []string{"FromCity", "FromState", "FromZip", "FromCountry", "ToCity", "ToState", "ToZip", "ToCountry"} {
		form.Set(name, "") // as for numbers that Twilio can't place
	}
	if m.SMS.Service != "" {
		form.Set("MessagingServiceSid", m.SMS.Service)
	}
	if kind != "" {
		form.Set("OptOutType", kind)
	}
	if m.Channel == ChannelWhatsApp {
		form.Set("WaId", strings.TrimPrefix(bareNumber(m.From), "+"))
		form.Set("ProfileName", "")
	}
	return form
}

// readTwiML is the texts that a webhook's answer asks to send: those of <Message>, or a plain text as it is. The answer
// may be empty.
func readTwiML(a answer) ([]string, error) {
	kind, _, _ := mime.ParseMediaType(a.contentType)
	switch {
	case strings.TrimSpace(a.body) == "" || a.status == http.StatusNoContent:
		return nil, nil
	case kind == "text/plain":
		return []string{a.body}, nil
	case kind != "text/xml" && kind != "application/xml":
		return nil, fmt.Errorf("the webhook answered with %q: Twilio wants text/xml (error 12300)", a.contentType)
	}
	var document struct {
		XMLName  xml.Name `xml:"Response"`
		Messages []struct {
			Text string `xml:",chardata"`
			Body string `xml:"Body"`
		} `xml:"Message"`
	}
	if err := xml.Unmarshal([]byte(a.body), &document); err != nil {
		return nil, fmt.Errorf("the webhook's answer is not TwiML (error 12100): %w", err)
	}
	var texts []string
	for _, m := range document.Messages {
		if m.Body == "" {
			m.Body = strings.TrimSpace(m.Text)
		}
		if m.Body != "" {
			texts = append(texts, m.Body)
		}
	}
	return texts, nil
}
