package sandbox

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxTwiML is how long the TwiML of a call may be, in characters.
const maxTwiML = 4000

// registerCalls adds the Calls resource.
func (a *twilioAPI) registerCalls(mux *http.ServeMux) {
	mux.HandleFunc("POST /"+apiVersion+"/Accounts/{account}/Calls.json", a.guard(a.createCall))
	mux.HandleFunc("GET /"+apiVersion+"/Accounts/{account}/Calls.json", a.guard(a.listCalls))
	mux.HandleFunc("GET /"+apiVersion+"/Accounts/{account}/Calls/{file}", a.guard(a.fetchCall))
}

func (a *twilioAPI) createCall(w http.ResponseWriter, r *http.Request) {
	a.take(w, r, func(url.Values) string { return ChannelVoice })
}

// checkCall is what Twilio's API would refuse a request for a call with; the zero Reply when it would take it.
func (s *Server) checkCall(form url.Values) Reply {
	to, from, twiml := form.Get("To"), form.Get("From"), form.Get("Twiml")
	switch {
	case to == "":
		return bad(21201, "No 'To' number is specified")
	case from == "":
		return bad(21213, "No 'From' number is specified")
	case !isNumber(to):
		return invalidTo()
	case !isNumber(from):
		return bad(21212, "Invalid From Number (caller ID): "+from)
	case twiml == "":
		return bad(21205, "Url parameter is required.") // also without Url: the sandbox fetches nothing
	case utf8.RuneCountInString(twiml) > maxTwiML:
		return bad(21218, "Twiml is longer than 4000 characters")
	}
	if _, err := readCall(twiml); err != nil {
		return bad(12100, "Document parse failure: "+oneLine(err))
	}
	for _, event := range form["StatusCallbackEvent"] {
		if !slices.Contains([]string{"initiated", "ringing", "answered", "completed"}, event) {
			return bad(21626, "Invalid 'StatusCallbackEvent': "+event)
		}
	}
	return checkOptions(form)
}

// newCall is the call of a request, as yet without a verdict.
func (s *Server) newCall(form url.Values) Message {
	script, _ := readCall(form.Get("Twiml")) // what can't be read is refused, with no words of it
	told := form["StatusCallbackEvent"]
	if len(told) == 0 {
		told = []string{"completed"}
	}
	return Message{
		Channel: ChannelVoice, ReceivedAt: s.config.Now(), From: form.Get("From"), To: []string{form.Get("To")},
		Subject: clip(strings.ToValidUTF8(script.firstWords(), "\uFFFD"), maxTextShown), MessageID: newID("CA"),
		Token: tokenOfCallback(form.Get("StatusCallback")), Size: len(form.Get("Twiml")), Verdict: Verdict{Stage: AtRequest},
		SMS: &SMS{Direction: Outbound, callback: form.Get("StatusCallback") != "", told: strings.Join(told, " ")},
	}
}

// callSteps are the changes of a call's status, and the key that is pressed.
func (t *SMS) callSteps() []act {
	steps := []act{{status: "queued"}, {status: "initiated"}, {status: "ringing"}}
	if t.end != "" {
		return append(steps, act{status: t.end})
	}
	steps = append(steps, act{status: "in-progress"})
	if t.press != "" {
		steps = append(steps, act{status: "pressed " + t.press, press: t.press})
	}
	return append(steps, act{status: "completed"})
}

// tells says whether the client wants to be told of a status.
func (t *SMS) tells(channel, status string) bool {
	if channel != ChannelVoice {
		return true
	}
	event := map[string]string{"queued": "none", "initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}[status]
	if event == "" {
		event = "completed" // however it ended
	}
	return slices.Contains(strings.Fields(t.told), event)
}

// sipCode is how a network ends a call (RFC 3261 section 21).
func sipCode(status string) string {
	return map[string]string{"completed": "200", "busy": "486", "no-answer": "487", "failed": "404", "canceled": "487"}[status]
}

// callForm is what a status callback of a call says.
// https://www.twilio.com/docs/voice/api/call-resource#statuscallback
func callForm(account string, m Message, form url.Values, a act, number int, now time.Time) url.Values {
	said := callBasics(account, m, a.status)
	said.Set("CallbackSource", "call-progress-events")
	said.Set("SequenceNumber", strconv.Itoa(number))
	said.Set("Timestamp", now.UTC().Format(time.RFC1123Z))
	if code := sipCode(a.status); code != "" {
		said.Set("SipResponseCode", code)
		said.Set("CallDuration", "0")
		if a.status == "completed" {
			said.Set("CallDuration", callDuration(form))
		}
	}
	return said
}

// pressForm is what Twilio tells the address of a <Gather>.
// https://www.twilio.com/docs/voice/twiml/gather
func pressForm(account string, m Message, key string) url.Values {
	said := callBasics(account, m, "in-progress")
	said.Set("Digits", key)
	said.Set("FinishedOnKey", "")
	said.Set("msg", "Gather End")
	return said
}

func callBasics(account string, m Message, status string) url.Values {
	return url.Values{
		"CallSid": {m.MessageID}, "CallStatus": {status}, "AccountSid": {account}, "ApiVersion": {apiVersion},
		"Direction": {string(Outbound)}, "From": {m.From}, "To": {m.To[0]}, "Caller": {m.From}, "Called": {m.To[0]},
	}
}

func callDuration(form url.Values) string {
	script, err := readCall(form.Get("Twiml"))
	if err != nil {
		return "0"
	}
	return strconv.Itoa(script.seconds())
}

// callResource is Twilio's call as JSON.
type callResource struct {
	SID             string            `json:"sid"`
	DateCreated     string            `json:"date_created"`
	DateUpdated     string            `json:"date_updated"`
	ParentCallSID   *string           `json:"parent_call_sid"`
	AccountSID      string            `json:"account_sid"`
	To              string            `json:"to"`
	ToFormatted     string            `json:"to_formatted"`
	From            string            `json:"from"`
	FromFormatted   string            `json:"from_formatted"`
	PhoneNumberSID  *string           `json:"phone_number_sid"`
	Status          string            `json:"status"`
	StartTime       *string           `json:"start_time"`
	EndTime         *string           `json:"end_time"`
	Duration        *string           `json:"duration"`
	Price           *string           `json:"price"`
	PriceUnit       string            `json:"price_unit"`
	Direction       Direction         `json:"direction"`
	AnsweredBy      *string           `json:"answered_by"`
	APIVersion      string            `json:"api_version"`
	ForwardedFrom   *string           `json:"forwarded_from"`
	GroupSID        *string           `json:"group_sid"`
	CallerName      *string           `json:"caller_name"`
	QueueTime       string            `json:"queue_time"`
	TrunkSID        *string           `json:"trunk_sid"`
	URI             string            `json:"uri"`
	SubresourceURIs map[string]string `json:"subresource_uris"`
}

// callResource is a call as Twilio's API shows it: it has a time of start once it was answered or has ended, and then a
// price.
func (a *twilioAPI) callResource(m Message, form url.Values) callResource {
	uri := a.callsPath() + "/" + m.MessageID
	r := callResource{
		SID: m.MessageID, DateCreated: m.ReceivedAt.UTC().Format(time.RFC1123Z), DateUpdated: m.SMS.UpdatedAt.UTC().Format(time.RFC1123Z),
		AccountSID: a.server.config.AccountSID, To: m.To[0], ToFormatted: m.To[0], From: m.From, FromFormatted: m.From,
		Status: callStatus(m.SMS.Status), PriceUnit: "USD", Direction: m.SMS.Direction, APIVersion: apiVersion, QueueTime: "0", URI: uri + ".json",
		SubresourceURIs: map[string]string{"recordings": uri + "/Recordings.json", "events": uri + "/Events.json"},
	}
	if !m.SMS.SentAt.IsZero() {
		r.StartTime = new(m.SMS.SentAt.UTC().Format(time.RFC1123Z))
	}
	if sipCode(m.SMS.Status) == "" {
		return r
	}
	ended := m.SMS.UpdatedAt.UTC().Format(time.RFC1123Z)
	r.EndTime, r.Duration, r.Price = &ended, new("0"), new("0.00000")
	if r.StartTime == nil {
		r.StartTime = &ended
	}
	if m.SMS.Status == "completed" {
		r.Duration, r.Price = new(callDuration(form)), new(callPrice(form))
	}
	return r
}

// callStatus is a status as the resource has it: it knows no "initiated".
func callStatus(status string) string {
	if status == "initiated" {
		return "queued"
	}
	return status
}

// callPrice is 2 cents for each minute begun, as Twilio writes it.
func callPrice(form url.Values) string {
	seconds, _ := strconv.Atoi(callDuration(form))
	return "-0." + strconv.Itoa(100 + 2*((seconds+59)/60))[1:] + "000"
}

func (a *twilioAPI) callsPath() string {
	return "/" + apiVersion + "/Accounts/" + a.server.config.AccountSID + "/Calls"
}

func (a *twilioAPI) fetchCall(w http.ResponseWriter, r *http.Request) {
	id, isJSON := strings.CutSuffix(r.PathValue("file"), ".json")
	m, err := a.server.store.bySID(id)
	if !isJSON || errors.Is(err, ErrNotFound) || err == nil && m.Channel != ChannelVoice {
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
	a.answer(w, http.StatusOK, a.callResource(m, form))
}

// callPage is Twilio's answer to a listing of calls.
type callPage struct {
	Calls []callResource `json:"calls"`
	paging
}

func (a *twilioAPI) listCalls(w http.ResponseWriter, r *http.Request) {
	p := callPage{Calls: []callResource{}}
	a.listing(w, r, "StartTime", a.callsPath(), &p.paging, func(m Message, form url.Values) {
		p.Calls = append(p.Calls, a.callResource(m, form))
	}, func() any { return p })
}
