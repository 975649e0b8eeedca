package sandbox

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"
)

// note is the page of a text.
type note struct {
	Message
	Form         url.Values
	Body         string
	Events       []Event
	Characters   int
	Price        string
	Customer     string // the number to answer as, "" of a refused text
	Sender       string
	Stopped      bool
	Said         []said
	InboundURL   string
	Newer, Older int64
}

// said is one text of a conversation.
type said struct {
	Message
	Body  string
	Fault string // why the webhook did not take it
}

// maxConversation is how many texts of a conversation are shown.
const maxConversation = 50

func (p *pages) text(w http.ResponseWriter, m Message) {
	text, err := p.server.Text(m.ID)
	if err != nil {
		p.server.config.Log.Error("read a text of the sandbox", slog.Int64("id", m.ID), slog.Any("err", err))
		p.fail(w, http.StatusInternalServerError, "The text could not be read: "+err.Error())
		return
	}
	if m.Channel == ChannelVoice {
		p.call(w, text)
		return
	}
	n := note{Message: text.Message, Form: text.Form, Body: bodyOf(text.Form), Events: text.Events, InboundURL: p.server.inboundURL(m.Channel)}
	n.Older, n.Newer = p.neighbours(m.ID)
	n.Characters = utf8.RuneCountInString(n.Body)
	if !m.SMS.SentAt.IsZero() {
		n.Price = priceOf(m.SMS)
	}
	if m.Verdict.Accepted {
		n.Customer, n.Sender = partners(text.Message)
		n.Stopped = p.server.optOuts.has(n.Customer, n.Sender)
		n.Said = p.server.conversation(n.Customer, n.Sender)
	}
	p.show(w, http.StatusOK, "text", n.Title(), n)
}

// Title is the page's heading.
func (n note) Title() string {
	what := "Text"
	if n.Channel == ChannelWhatsApp {
		what = "WhatsApp message"
	}
	switch n.SMS.Direction {
	case Inbound:
		return what + " from " + bareNumber(n.From)
	case OutboundReply:
		return "Answer to " + bareNumber(n.To[0])
	default:
		return what + " to " + bareNumber(n.To[0])
	}
}

// partners are the customer and the sender of a text, whoever wrote it.
func partners(m Message) (customer, sender string) {
	if m.SMS.Direction == Inbound {
		return m.From, m.To[0]
	}
	return m.To[0], m.From
}

// conversation is the last texts between two numbers, oldest first.
func (s *Server) conversation(customer, sender string) []said {
	var list []said
	for id := s.store.count(); id >= 1 && len(list) < maxConversation; id-- {
		m, ok := s.store.matchingText(id, textFilter{})
		if !ok {
			continue
		}
		if c, from := partners(m); c != customer || from != sender {
			continue
		}
		_, form, err := s.store.form(id)
		one := said{Message: m, Body: bodyOf(form)}
		if err != nil {
			one.Fault = err.Error()
		}
		if m.SMS.Direction == Inbound {
			for _, e := range s.store.events(id) {
				one.Fault = e.Fault
			}
		}
		list = append(list, one)
	}
	slices.Reverse(list)
	return list
}

// reply sends a text as the customer of the page's text. The page shows what came of it, good or bad.
func (p *pages) reply(w http.ResponseWriter, r *http.Request) {
	m, _, ok := p.find(w, r)
	if !ok {
		return
	}
	if m.SMS == nil || !m.Verdict.Accepted || m.Channel == ChannelVoice {
		p.fail(w, http.StatusNotFound, "Only texts that were accepted can be answered.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	customer, sender := partners(m)
	body := r.PostFormValue("body")
	if err := checkReply(customer, sender, body); err != nil {
		p.fail(w, http.StatusBadRequest, fmt.Sprintf("The answer can't be sent: %s.", err))
		return
	}
	if _, err := p.server.Reply(r.Context(), customer, sender, body); err != nil {
		p.server.config.Log.Warn("a customer's text was not taken", slog.Int64("id", m.ID), slog.Any("err", err))
	}
	http.Redirect(w, r, "/messages/"+strconv.FormatInt(m.ID, 10)+"#conversation", http.StatusSeeOther)
}
