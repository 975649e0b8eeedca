package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/report"
)

// apiRoute is an operation of the API. Its handler answers with an error, or has answered.
type apiRoute struct {
	pattern string
	needs   access.Permission
	query   []string // the parameters that it knows
	handle  func(http.ResponseWriter, *http.Request, *access.User) error
}

func (p *private) apiRoutes() []apiRoute {
	return []apiRoute{
		{"GET /v1/runs", access.ReadReports, []string{"campaign", "since", "open", "limit"}, p.apiRuns},
		{"GET /v1/runs/{run}", access.ReadReports, nil, p.apiRun},
		{"POST /v1/campaigns/{campaign}/runs", access.ControlRuns, nil, p.apiStart},
		{"POST /v1/runs/{run}/pause", access.ControlRuns, nil, p.apiChange("pause")},
		{"POST /v1/runs/{run}/resume", access.ControlRuns, nil, p.apiChange("resume")},
		{"POST /v1/runs/{run}/cancel", access.ControlRuns, nil, p.apiChange("cancel")},
		{"POST /v1/runs/{run}/retry", access.ControlRuns, nil, p.apiChange("retry")},
		{"POST /v1/events", access.SendEvents, nil, p.apiEvent},
		{"GET /v1/calls", access.MakeCalls, nil, p.apiCalls},
		{"POST /v1/calls/next", access.MakeCalls, nil, p.apiNextCall},
		{"POST /v1/calls/{call}/done", access.MakeCalls, nil, p.apiCallDone},
		{"POST /v1/calls/{call}/release", access.MakeCalls, nil, p.apiCallRelease},
		{"GET /v1/report", access.ReadReports, []string{"campaign", "run", "since"}, p.apiReport},
		{"GET /v1/log", access.ReadLog, []string{"actor", "action", "subject", "since", "before", "limit"}, p.apiLog},
	}
}

// api answers programs. Who has no token learns nothing, not even which paths there are.
func (p *private) api() http.Handler {
	mux := http.NewServeMux()
	for _, route := range p.apiRoutes() {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			user, ok := p.caller(w, r)
			if !ok {
				return
			}
			if err := route.answer(w, r, user); err != nil {
				p.fail(w, r, err)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		if _, ok := p.caller(w, r); ok {
			p.noSuchOperation(w, r)
		}
	})
}

func (route apiRoute) answer(w http.ResponseWriter, r *http.Request, user *access.User) error {
	if !user.Can(route.needs) {
		return notAllowed(user, route.needs)
	}
	if err := knownQuery(r.URL.Query(), route.query); err != nil {
		return err
	}
	return route.handle(w, r, user)
}

// caller is whose token the request has; without one it is answered here.
func (p *private) caller(w http.ResponseWriter, r *http.Request) (*access.User, bool) {
	user, err := p.Gate.Token(r.Context(), r.Header.Get("Authorization"), clientIP(r, p.Trusted))
	if err != nil {
		p.refuseCaller(w, r, err)
	}
	return user, err == nil
}

// refuseCaller answers a request whose token was not let in.
func (p *private) refuseCaller(w http.ResponseWriter, r *http.Request, err error) {
	var blocked *access.BlockedError
	switch {
	case errors.Is(err, access.ErrDenied):
		w.Header().Set("WWW-Authenticate", `Bearer realm="sapa"`)
		p.problem(w, &problem{
			Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: "there is no token that works in the header Authorization",
			Mend: "send  Authorization: Bearer sapa_…  with a token made by: sapa user token add NAME",
		})
	case errors.As(err, &blocked):
		p.problem(w, &problem{
			Status: http.StatusTooManyRequests, Code: "too_many_failures", Detail: "too many wrong tokens came from this address",
			Mend: "correct the token, then try again " + p.wait(w, blocked),
		})
	default:
		p.fail(w, r, err)
	}
}

// noSuchOperation tells apart a path that is not there and a method that it does not have.
func (p *private) noSuchOperation(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, route := range p.apiRoutes() {
		verb, pattern, _ := strings.Cut(route.pattern, " ")
		if fits(pattern, r.URL.Path) {
			allowed = append(allowed, verb)
		}
	}
	if len(allowed) == 0 {
		p.problem(w, &problem{Status: http.StatusNotFound, Code: "not_found", Detail: "there is no " + r.URL.Path, Mend: "docs/access.md lists the API"})
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	p.problem(w, &problem{
		Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Detail: fmt.Sprintf("%s does not answer %s", r.URL.Path, r.Method), Mend: "use " + strings.Join(allowed, " or "),
	})
}

// fits says whether a path has the form of a pattern.
func fits(pattern, path string) bool {
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(a, b string) bool { return a == b || strings.HasPrefix(a, "{") && b != "" })
}

func (p *private) apiRuns(w http.ResponseWriter, r *http.Request, _ *access.User) error {
	q := r.URL.Query()
	f := report.Filter{Campaign: q.Get("campaign")}
	var err error
	if f.Since, err = report.ParseSince(q.Get("since"), p.Now().In(p.Zone)); err != nil {
		return parameter("since", err)
	}
	if f.Latest, err = limit(q); err != nil {
		return err
	}
	switch q.Get("open") {
	case "true":
		f.Open = true
	case "", "false":
	default:
		return parameter("open", errors.New("write true or false"))
	}
	runs, err := p.runs(r.Context(), f)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"runs": runs})
	return nil
}

func (p *private) apiRun(w http.ResponseWriter, r *http.Request, _ *access.User) error {
	run, err := p.findRun(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, run)
	return nil
}

// startBody is the body of a request that starts a run.
type startBody struct {
	AsOf  string `json:"as_of"` // a date, or date and time, in the company's zone; "": now
	Again string `json:"again"` // a label, to repeat on purpose
}

func (p *private) apiStart(w http.ResponseWriter, r *http.Request, user *access.User) error {
	var body startBody
	if err := readJSON(r, &body); err != nil {
		return err
	}
	start := campaign.Start{Campaign: r.PathValue("campaign"), Label: body.Again, Actor: user.Name}
	if body.AsOf != "" {
		var err error
		if start.Tick, err = campaign.ParseTick(body.AsOf); err != nil {
			return parameter("as_of", err)
		}
	}
	run, err := p.Runs.Begin(r.Context(), start)
	if err != nil {
		return err
	}
	return p.answerRun(w, r, http.StatusAccepted, run.ID, nil)
}

func (p *private) apiChange(action string) func(http.ResponseWriter, *http.Request, *access.User) error {
	return func(w http.ResponseWriter, r *http.Request, user *access.User) error {
		if err := readJSON(r, &struct{}{}); err != nil {
			return err
		}
		id, err := strconv.Atoi(r.PathValue("run"))
		if err != nil || id < 1 {
			return fmt.Errorf("run %q: %w; see: GET /v1/runs", r.PathValue("run"), campaign.ErrNotFound)
		}
		n, err := p.change(r.Context(), id, action, user.Name)
		if err != nil {
			return err
		}
		if action == "retry" {
			return p.answerRun(w, r, http.StatusOK, id, &n)
		}
		return p.answerRun(w, r, http.StatusOK, id, nil)
	}
}

// answerRun answers with a run as it is now; plannedAgain is what retry did.
func (p *private) answerRun(w http.ResponseWriter, r *http.Request, status, id int, plannedAgain *int) error {
	run, err := p.findRun(r.Context(), strconv.Itoa(id))
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("/v1/runs/%d", id))
	writeJSON(w, status, struct {
		*report.Run
		PlannedAgain *int `json:"planned_again,omitempty"`
	}{run, plannedAgain})
	return nil
}

func (p *private) apiReport(w http.ResponseWriter, r *http.Request, _ *access.User) error {
	q := r.URL.Query()
	f := report.Filter{Campaign: q.Get("campaign")}
	var err error
	if f.Since, err = report.ParseSince(q.Get("since"), p.Now().In(p.Zone)); err != nil {
		return parameter("since", err)
	}
	if q.Get("run") != "" {
		if f.Run, err = strconv.Atoi(q.Get("run")); err != nil || f.Run < 1 {
			return parameter("run", errors.New("write a run's number"))
		}
	}
	rep, err := p.Reports(r.Context(), f)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return report.WriteJSON(w, rep)
}

func (p *private) apiLog(w http.ResponseWriter, r *http.Request, _ *access.User) error {
	q := r.URL.Query()
	f := access.LogFilter{Actor: q.Get("actor"), Action: q.Get("action"), Subject: q.Get("subject")}
	var err error
	if f.Since, err = report.ParseSince(q.Get("since"), p.Now().In(p.Zone)); err != nil {
		return parameter("since", err)
	}
	if f.Limit, err = limit(q); err != nil {
		return err
	}
	if q.Get("before") != "" {
		if f.Before, err = strconv.ParseInt(q.Get("before"), 10, 64); err != nil || f.Before < 1 {
			return parameter("before", errors.New("write the number of an entry, such as `next` of the page before"))
		}
	}
	list, err := p.Audit(r.Context(), f)
	if err != nil {
		return err
	}
	page := struct {
		Entries []access.Logged `json:"entries"`
		Next    *int64          `json:"next"` // `before` of the next page; null: this may be the last
	}{Entries: list}
	if len(list) == f.Limit {
		page.Next = &list[len(list)-1].ID
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

// The page size of lists.
const (
	usualLimit = 50
	mostLimit  = 500
)

func limit(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return usualLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostLimit {
		return 0, parameter("limit", fmt.Errorf("write a number from 1 to %d", mostLimit))
	}
	return n, nil
}

// parameter is the problem of a value that can't be meant.
func parameter(name string, err error) *problem {
	return &problem{Status: http.StatusUnprocessableEntity, Code: "invalid_parameter", Detail: name + ": " + err.Error(), Mend: "correct " + name + "; docs/access.md says what it takes"}
}

// knownQuery refuses parameters that would be ignored, and those that are there twice.
func knownQuery(q url.Values, known []string) error {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(known, name) {
			return unknownName("parameter", name, known)
		}
		if len(q[name]) > 1 {
			return parameter(name, errors.New("it is there twice"))
		}
	}
	return nil
}

func unknownName(kind, name string, known []string) *problem {
	mend := "leave it out; there are none"
	if len(known) > 0 {
		mend = diag.DidYouMean(name, known)
	}
	return &problem{Status: http.StatusUnprocessableEntity, Code: "unknown_field", Detail: fmt.Sprintf("no %s %q", kind, name), Mend: mend}
}

// notObject is the refusal of a body that is not one JSON object.
func notObject(err error) *problem {
	why := err.Error()
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		why = "what came is of type " + wrong.Value
	}
	return &problem{Status: http.StatusBadRequest, Code: "invalid_json", Detail: "the body is not a JSON object: " + why, Mend: "send one object, such as {}; docs/access.md says what it holds"}
}

// readJSON reads a body of one JSON object without unknown members; no body is an empty one.
func readJSON(r *http.Request, into any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "the body is not said to be JSON", Mend: "send  Content-Type: application/json"}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return notObject(err)
	}
	known := jsonNames(into)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(known, name) {
			return unknownName("field", name, known)
		}
	}
	if err := json.Unmarshal(text, into); err != nil {
		wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
		if !ok {
			return &problem{Status: http.StatusBadRequest, Code: "invalid_json", Detail: "the body can't be read: " + err.Error()}
		}
		return parameter(wrong.Field, fmt.Errorf("it is a %s; write a %s", wrong.Value, wrong.Type))
	}
	return nil
}
