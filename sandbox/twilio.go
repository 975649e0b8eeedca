package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/channels/twilio"
)

// apiVersion is the version of Twilio's API, and the first part of its paths.
const apiVersion = "2010-04-01"

// maxForm bounds a request, in octets.
const maxForm = 64 << 10

// twilioAPI answers the requests of Twilio's Messages and Calls APIs, with its words and its errors.
type twilioAPI struct{ server *Server }

func (a *twilioAPI) register(mux *http.ServeMux) {
	mux.HandleFunc("POST /"+apiVersion+"/Accounts/{account}/Messages.json", a.guard(a.create))
	mux.HandleFunc("GET /"+apiVersion+"/Accounts/{account}/Messages.json", a.guard(a.list))
	mux.HandleFunc("GET /"+apiVersion+"/Accounts/{account}/Messages/{file}", a.guard(a.fetch))
	a.registerCalls(mux)
	mux.HandleFunc("GET /"+apiVersion+"/Accounts/{file}", a.guard(a.account))
	mux.HandleFunc("/"+apiVersion+"/", a.guard(func(w http.ResponseWriter, r *http.Request) { a.fail(w, notFound(r)) }))
}

// guard asks for the account's credentials (HTTP Basic).
func (a *twilioAPI) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		config := a.server.config
		user, password, _ := r.BasicAuth()
		account := r.PathValue("account")
		if account == "" {
			account, _ = strings.CutSuffix(r.PathValue("file"), ".json")
		}
		known := equal(user, config.AccountSID) && equal(password, config.AuthToken)
		if !known || account != "" && account != config.AccountSID {
			w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
			a.fail(w, Reply{Code: http.StatusUnauthorized, Error: 20003, Words: "Authenticate"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next(w, r)
	}
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// create takes a text or a WhatsApp message.
func (a *twilioAPI) create(w http.ResponseWriter, r *http.Request) { a.take(w, r, phoneChannel) }

// take takes a text, a WhatsApp message or a call. Whatever the answer is, it is durable before it is told, except where a
// rule cuts the connection before it is accepted.
func (a *twilioAPI) take(w http.ResponseWriter, r *http.Request, channelOf func(url.Values) string) {
	if err := r.ParseForm(); err != nil {
		a.fail(w, Reply{Code: http.StatusBadRequest, Error: 20001, Words: "The request could not be read: " + err.Error()})
		return
	}
	form := r.PostForm
	channel := channelOf(form)
	delay, rule, found := a.server.rules.at(AtRequest, form.Get("To"))
	a.server.pause(r.Context(), delay)
	if rule.Drop != DropNone || rule.Reply.Code >= 500 {
		a.server.unanswered.Add(1)
	} else {
		defer a.noteGone(r.Context())
	}
	switch {
	case rule.Drop == DropBefore || rule.Drop == HangBefore:
		a.leave(r, rule)
	case found && rule.Drop == DropNone:
		a.refuse(w, a.server.newMessage(channel, form), form, rule.Reply, rule.name())
	default:
		if reply := a.server.check(channel, form); reply.Code != 0 {
			a.refuse(w, a.server.newMessage(channel, form), form, reply, "")
			return
		}
		a.accept(w, r, a.server.newMessage(channel, form), form, rule)
	}
}

// noteGone counts a request whose client did not wait for its answer.
func (a *twilioAPI) noteGone(client context.Context) {
	if client.Err() != nil {
		a.server.unanswered.Add(1)
	}
}

// leave ends the request without an answer.
func (a *twilioAPI) leave(r *http.Request, rule Rule) {
	if rule.Drop == HangBefore || rule.Drop == HangAfter {
		a.server.pause(r.Context(), a.server.config.Hang)
	}
	panic(http.ErrAbortHandler)
}

// pause waits, at the longest until the client or the sandbox is gone.
func (s *Server) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-s.done:
	}
}

// check is what Twilio's API would refuse a request with; the zero Reply when it would take it.
func (s *Server) check(channel string, form url.Values) Reply {
	if channel == ChannelVoice {
		return s.checkCall(form)
	}
	return s.checkText(form)
}

// newMessage is the message of a request, as yet without a verdict.
func (s *Server) newMessage(channel string, form url.Values) Message {
	if channel == ChannelVoice {
		return s.newCall(form)
	}
	return s.newText(form)
}

// destine decides what becomes of a message that is accepted.
func (a *twilioAPI) destine(m *Message, form url.Values) fortune {
	f := a.server.rules.carrier(m.Channel, form.Get("To"))
	m.SMS.fate, m.SMS.callbacks, m.SMS.end = f.fate.Fail, f.callbacks.Callbacks, f.end.End
	if m.Channel == ChannelWhatsApp && form.Get("ContentSid") == "" && !a.server.optOuts.inSession(m.To[0], m.From, m.ReceivedAt) {
		m.SMS.fate = errOutsideSession
	}
	if m.Channel == ChannelVoice {
		if script, err := readCall(form.Get("Twiml")); err == nil {
			if _, asks := script.gather(); asks {
				m.SMS.press = f.press.Press
			}
		}
	}
	return f
}

func (a *twilioAPI) accept(w http.ResponseWriter, r *http.Request, m Message, form url.Values, rule Rule) {
	f := a.destine(&m, form)
	if validity, _ := strconv.Atoi(form.Get("ValidityPeriod")); validity > 0 && a.server.config.Pace > time.Duration(validity)*time.Second {
		m.SMS.fate = 30036
	}
	m.Verdict.Accepted, m.Verdict.Code, m.Verdict.Words = true, http.StatusCreated, "Created"
	m.Verdict.Rule, m.Verdict.Withheld = joinNames(rule, f.fate, f.callbacks, f.end, f.press), rule.Drop != DropNone
	m, err := a.server.store.keepText(m, form)
	if err != nil {
		a.fail(w, cannotWrite(err))
		return
	}
	a.server.network.expect()
	begin := func() { a.server.network.begin(r.Context(), m) }
	if m.SMS.callbacks == CallbacksEarly || rule.Drop != DropNone {
		begin()
	} else {
		defer begin()
	}
	switch {
	case rule.Reply.Code != 0:
		a.fail(w, rule.Reply)
	case rule.Drop != DropNone:
		a.leave(r, rule)
	default:
		a.answer(w, http.StatusCreated, a.show(m, form))
	}
}

// show is a message or a call as Twilio's API shows it.
func (a *twilioAPI) show(m Message, form url.Values) any {
	if m.Channel == ChannelVoice {
		return a.callResource(m, form)
	}
	return a.resource(m, form)
}

func joinNames(rules ...Rule) string {
	var names []string
	for _, r := range rules {
		if r.name() != "" {
			names = append(names, r.name())
		}
	}
	return strings.Join(names, ", ")
}

// newText is the text of a request, as yet without a verdict.
func (s *Server) newText(form url.Values) Message {
	body, service, from := bodyOf(form), form.Get("MessagingServiceSid"), form.Get("From")
	channel := phoneChannel(form)
	if from == "" && service != "" {
		from = s.optOuts.sender(service)
		if channel == ChannelWhatsApp {
			from = whatsAppPrefix + from
		}
	}
	size := twilio.Measure(body)
	if channel == ChannelWhatsApp {
		size = twilio.Measurement{Segments: 1} // it has no parts
	}
	return Message{
		Channel: channel, ReceivedAt: s.config.Now(), From: from, To: []string{form.Get("To")},
		Subject: clip(strings.ToValidUTF8(body, "\uFFFD"), maxTextShown), MessageID: newSID(form),
		Token: tokenOfCallback(form.Get("StatusCallback")), Size: len(body), Verdict: Verdict{Stage: AtRequest},
		SMS: &SMS{
			Direction: Outbound, Service: service, Segments: size.Segments, Encoding: size.Encoding,
			callback: form.Get("StatusCallback") != "",
		},
	}
}

func newSID(form url.Values) string {
	if form.Get("MediaUrl") != "" {
		return newID("MM")
	}
	return newID("SM")
}

// newID is a new SID.
func newID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return prefix + hex.EncodeToString(b[:])
}

// refuse makes the verdict durable and tells it.
func (a *twilioAPI) refuse(w http.ResponseWriter, m Message, form url.Values, reply Reply, rule string) {
	reply.Words = strings.ReplaceAll(reply.Words, "{to}", form.Get("To"))
	m.MessageID = "" // there is no such text
	m.Verdict.Code, m.Verdict.Words, m.Verdict.Rule = reply.Code, reply.Words, rule
	if reply.Error != 0 {
		m.Verdict.Enhanced = strconv.Itoa(reply.Error)
	}
	if _, err := a.server.store.keepText(m, form); err != nil {
		reply = cannotWrite(err)
	}
	a.fail(w, reply)
}

func (a *twilioAPI) fetch(w http.ResponseWriter, r *http.Request) {
	id, isJSON := strings.CutSuffix(r.PathValue("file"), ".json")
	m, err := a.server.store.bySID(id)
	if !isJSON || errors.Is(err, ErrNotFound) || err == nil && m.Channel == ChannelVoice {
		a.fail(w, notFound(r))
		return
	}
	var form url.Values
	if err == nil {
		_, form, err = a.server.store.form(m.ID)
	}
	if err != nil {
		a.fail(w, cannotRead(err))
		return
	}
	a.answer(w, http.StatusOK, a.resource(m, form))
}

// account answers whether the credentials are right.
func (a *twilioAPI) account(w http.ResponseWriter, r *http.Request) {
	if path.Ext(r.PathValue("file")) != ".json" {
		a.fail(w, notFound(r))
		return
	}
	own := "/" + apiVersion + "/Accounts/" + a.server.config.AccountSID
	since := a.server.since.UTC().Format(time.RFC1123Z)
	a.answer(w, http.StatusOK, map[string]any{
		"sid": a.server.config.AccountSID, "owner_account_sid": a.server.config.AccountSID, "friendly_name": "Sapa sandbox",
		"status": "active", "type": "Full", "auth_token": a.server.config.AuthToken, "date_created": since, "date_updated": since,
		"uri": own + ".json", "subresource_uris": map[string]string{"messages": own + "/Messages.json", "calls": own + "/Calls.json"},
	})
}

// fault is Twilio's error as JSON.
type fault struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

// fail answers with an error. One without a code of Twilio's comes from something before it, and is a page.
func (a *twilioAPI) fail(w http.ResponseWriter, reply Reply) {
	if reply.Code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	if reply.Error == 0 {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(reply.Code)
		_, _ = fmt.Fprintf(w, "<html><head><title>%d %[2]s</title></head><body><h1>%[1]d %[2]s</h1></body></html>\n", reply.Code, html.EscapeString(reply.Words))
		return
	}
	a.answer(w, reply.Code, fault{
		Code: reply.Error, Message: reply.Words, Status: reply.Code,
		MoreInfo: "https://www.twilio.com/docs/errors/" + strconv.Itoa(reply.Error),
	})
}

// answer sends the answer at once: status callbacks may follow before the request's handler returns.
func (a *twilioAPI) answer(w http.ResponseWriter, status int, content any) {
	text, err := json.Marshal(content)
	if err != nil {
		a.server.config.Log.Error("answer a request to Twilio's API", slog.Any("err", err))
		status, text = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
	_ = http.NewResponseController(w).Flush() // the client may be gone
}
