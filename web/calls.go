package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/delivery/calldesk"
	"github.com/sapa-crm/sapa/report"
)

// CallDeps is what the pages and the API of calls need; without Desk there are none.
type CallDeps struct {
	Desk    *calldesk.Desk
	Runs    func(context.Context) ([]report.CallRun, error)
	History func(ctx context.Context, customerKey string) ([]report.Contact, error)
}

// callsView is an agent's page: the call that they have, or what there is to do.
type callsView struct {
	Call     *calldesk.Call
	Local    string // the time where the customer lives
	Earliest string // what the field of a call back takes
	History  []report.Contact
	Due      int64 // without a call
	Later    int64
	None     bool   // the agent asked, and there was none
	Open     bool   // the page is about this call, of which nothing was noted so far
	Wrong    string // what is wrong with what was sent
	Note, At string
}

// Ways are the buttons for what came of a call; calling back has a field of its own.
func (callsView) Ways() []callWay {
	return []callWay{
		{calls.Reached, "Reached", "", 1},
		{calls.Interested, "Interested", "", 2},
		{calls.Order, "Ordered", "", 3},
		{calls.NoAnswer, "No answer", "quiet", 4},
		{calls.WrongNumber, "Wrong number", "quiet", 5},
		{calls.DoNotCall, "Never call again", "danger", 6},
	}
}

// callWay is a button.
type callWay struct {
	Outcome calls.Outcome
	Label   string
	Class   string
	Key     int // with Alt, on the keyboard
}

// Who is the customer's name, or else their key.
func (v callsView) Who() string { return cmp.Or(v.Call.Name, "Customer "+v.Call.CustomerKey) }

// callsDone says what came of the button, after the redirect.
var callsDone = map[string]string{
	"done": "That is noted.", "again": "That is noted; the call comes again.", "release": "The call is anybody’s again.",
	"late": "That is noted. The run had stopped waiting for it meanwhile; it counts all the same.",
}

// callsPage shows the call that the agent has, or how many wait.
func (p *private) callsPage(w http.ResponseWriter, r *http.Request, s *access.Session) {
	p.showCall(w, r, s, http.StatusOK, 0, callsView{None: r.URL.Query().Get("done") == "none"})
}

// callPage shows a call that the agent has at the address to which its form goes, for who loads that page again; any other
// call is not shown.
func (p *private) callPage(w http.ResponseWriter, r *http.Request, s *access.Session) {
	id, ok := pathCall(r)
	if !ok || p.Calls.Desk == nil {
		p.unknown(w, r, s)
		return
	}
	p.showCall(w, r, s, http.StatusOK, id, callsView{Open: true})
}

// pathCall is the call that a path names.
func pathCall(r *http.Request) (id int64, ok bool) {
	id, err := strconv.ParseInt(r.PathValue("call"), 10, 64)
	return id, err == nil && id > 0
}

// showCall shows the call that the agent has; only is the one that the page is about, 0 any.
func (p *private) showCall(w http.ResponseWriter, r *http.Request, s *access.Session, status int, only int64, v callsView) {
	if p.Calls.Desk == nil {
		p.say(w, r, s, http.StatusNotFound, "Nobody is called", "This company has no list of calls. Where it should have one, docs/calls.md says how.")
		return
	}
	page := &privateView{Title: "Calls", User: &s.User, Done: callsDone[r.URL.Query().Get("done")], Calls: &v}
	var err error
	v.Call, err = p.Calls.Desk.Current(r.Context(), s.User.Name)
	switch {
	case errors.Is(err, calldesk.ErrNone) && v.Open, err == nil && v.Open && v.Call.ID != only:
		http.Redirect(w, r, "/calls", http.StatusSeeOther)
		return
	case errors.Is(err, calldesk.ErrNone):
		err = p.callsWaiting(r.Context(), &v)
	case err == nil:
		page.Title, page.Done = "Call "+v.Who(), ""
		err = p.callDetails(r.Context(), &v)
	}
	if only != 0 && !v.Open && (v.Call == nil || v.Call.ID != only) { // what was written is not about another customer
		v.Wrong, v.Note, v.At = v.Wrong+" Nothing was noted, and the call is not yours any more.", "", ""
	}
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	p.show(w, r, status, "calls", page)
}

// callsWaiting counts what there is to do.
func (p *private) callsWaiting(ctx context.Context, v *callsView) error {
	runs, err := p.Calls.Runs(ctx)
	for _, run := range runs {
		if run.State == "sending" {
			v.Due, v.Later = v.Due+run.Due, v.Later+run.Later
		}
	}
	return err
}

func (p *private) callDetails(ctx context.Context, v *callsView) (err error) {
	zone, err := time.LoadLocation(v.Call.Zone)
	if err != nil {
		zone = p.Zone
	}
	now := p.Now().In(zone)
	v.Local, v.Earliest = now.Format("15:04"), now.Format("2006-01-02T15:04")
	v.History, err = p.Calls.History(ctx, v.Call.CustomerKey)
	return err
}

// nextCall takes the next call for the agent.
func (p *private) nextCall(w http.ResponseWriter, r *http.Request, s *access.Session) {
	if p.Calls.Desk == nil {
		p.unknown(w, r, s)
		return
	}
	_, err := p.Calls.Desk.Next(r.Context(), s.User.Name)
	switch {
	case errors.Is(err, calldesk.ErrNone):
		http.Redirect(w, r, "/calls?done=none", http.StatusSeeOther)
	case err != nil:
		p.trouble(w, r, s, err)
	default:
		http.Redirect(w, r, "/calls", http.StatusSeeOther)
	}
}

// sayCall takes what came of a call, or gives it back.
func (p *private) sayCall(w http.ResponseWriter, r *http.Request, s *access.Session) {
	id, ok := pathCall(r)
	if !ok || p.Calls.Desk == nil {
		p.unknown(w, r, s)
		return
	}
	if err := r.ParseForm(); err != nil {
		p.say(w, r, s, http.StatusBadRequest, "This form can’t be read", "Go back and try again. A note may have some thousand letters.")
		return
	}
	said, err := p.finishCall(r.Context(), s.User.Name, id, r.PostForm)
	switch {
	case errors.Is(err, calldesk.ErrTime), errors.Is(err, errNoOutcome):
		p.showCall(w, r, s, http.StatusUnprocessableEntity, id, callsView{Wrong: firstLetter(err.Error()) + ".", Note: r.PostForm.Get("note"), At: r.PostForm.Get("at")})
	case errors.Is(err, calldesk.ErrState):
		p.say(w, r, s, http.StatusConflict, "That is not possible now", firstLetter(err.Error())+". Nothing was noted; go on with the next call.")
	case errors.Is(err, calldesk.ErrNotFound):
		p.unknown(w, r, s)
	case err != nil:
		p.trouble(w, r, s, err)
	default:
		http.Redirect(w, r, "/calls?done="+said, http.StatusSeeOther)
	}
}

// errNoOutcome is for a form without a button.
var errNoOutcome = errors.New("say what came of the call with one of the buttons")

// finishCall does what a form says, and tells what to say then.
func (p *private) finishCall(ctx context.Context, agent string, id int64, form url.Values) (said string, err error) {
	if form.Get("outcome") == "release" {
		return "release", p.Calls.Desk.Release(ctx, agent, id)
	}
	outcome, err := calls.ParseOutcome(form.Get("outcome"))
	if err != nil {
		return "", errNoOutcome
	}
	result := calldesk.Result{Outcome: outcome, Note: form.Get("note")}
	if outcome == calls.CallBack {
		result.At = form.Get("at")
	}
	done, err := p.Calls.Desk.Done(ctx, agent, id, result)
	switch {
	case err != nil:
		return "", err
	case done.Open:
		return "again", nil
	case done.Late:
		return "late", nil
	}
	return "done", nil
}

// inCalls puts an error of the list of calls into its class.
func inCalls(err error) error {
	switch {
	case errors.Is(err, calldesk.ErrNotFound):
		return &problem{Status: http.StatusNotFound, Code: "not_found", Detail: err.Error(), Mend: "POST /v1/calls/next gives out calls"}
	case errors.Is(err, calldesk.ErrState):
		return &problem{Status: http.StatusConflict, Code: "wrong_state", Detail: err.Error(), Mend: "go on with the next one: POST /v1/calls/next"}
	case errors.Is(err, calldesk.ErrTime):
		return parameter("at", err)
	}
	return err
}

// apiCall is a call as the API gives it out.
type apiCall struct {
	*calldesk.Call
	History []report.Contact `json:"history"`
}

// apiCalls lists what there is to do, by run.
func (p *private) apiCalls(w http.ResponseWriter, r *http.Request, _ *access.User) error {
	if p.Calls.Desk == nil {
		return errNoCalls
	}
	runs, err := p.Calls.Runs(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"runs": runs})
	return nil
}

// errNoCalls is for installations without the channel.
var errNoCalls = &problem{Status: http.StatusNotFound, Code: "not_found", Detail: "this company has no list of calls", Mend: "in sapa.yaml, below channels:, write  calls: {}"}

// apiNextCall gives out the caller's next call; null where there is none.
func (p *private) apiNextCall(w http.ResponseWriter, r *http.Request, user *access.User) error {
	if err := readJSON(r, &struct{}{}); err != nil {
		return err
	}
	if p.Calls.Desk == nil {
		return errNoCalls
	}
	call, err := p.Calls.Desk.Next(r.Context(), user.Name)
	if errors.Is(err, calldesk.ErrNone) {
		writeJSON(w, http.StatusOK, map[string]any{"call": nil})
		return nil
	}
	if err != nil {
		return err
	}
	history, err := p.Calls.History(r.Context(), call.CustomerKey)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"call": apiCall{call, history}})
	return nil
}

// doneBody is the body of a request that says what came of a call.
type doneBody struct {
	Outcome string `json:"outcome"`
	Note    string `json:"note"`
	At      string `json:"at"` // of call-back
}

func (p *private) apiCallDone(w http.ResponseWriter, r *http.Request, user *access.User) error {
	var body doneBody
	if err := readJSON(r, &body); err != nil {
		return err
	}
	id, err := p.apiCallID(r)
	if err != nil {
		return err
	}
	outcome, err := calls.ParseOutcome(body.Outcome)
	if err != nil {
		detail, mend := inTwo(err)
		return &problem{Status: http.StatusUnprocessableEntity, Code: "invalid_parameter", Detail: detail, Mend: mend}
	}
	said, err := p.Calls.Desk.Done(r.Context(), user.Name, id, calldesk.Result{Outcome: outcome, Note: body.Note, At: body.At})
	if err != nil {
		return inCalls(err)
	}
	writeJSON(w, http.StatusOK, said)
	return nil
}

func (p *private) apiCallRelease(w http.ResponseWriter, r *http.Request, user *access.User) error {
	if err := readJSON(r, &struct{}{}); err != nil {
		return err
	}
	id, err := p.apiCallID(r)
	if err != nil {
		return err
	}
	if err := p.Calls.Desk.Release(r.Context(), user.Name, id); err != nil {
		return inCalls(err)
	}
	writeJSON(w, http.StatusOK, map[string]any{"released": strconv.FormatInt(id, 10)})
	return nil
}

// apiCallID is the call that a path names.
func (p *private) apiCallID(r *http.Request) (int64, error) {
	if p.Calls.Desk == nil {
		return 0, errNoCalls
	}
	id, ok := pathCall(r)
	if !ok {
		return 0, inCalls(fmt.Errorf("call %q: %w", r.PathValue("call"), calldesk.ErrNotFound))
	}
	return id, nil
}
