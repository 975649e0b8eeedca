package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/report"
)

// problem is an error of the API: problem details (RFC 9457) with two members of ours. Programs branch on code, which
// does not change; detail and mend are for people.
type problem struct {
	Title  string `json:"title"` // the status in words
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"`
}

func (e *problem) Error() string { return e.Detail }

// problem answers with an error.
func (p *private) problem(w http.ResponseWriter, e *problem) {
	e.Title = http.StatusText(e.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	writeJSON(w, e.Status, e)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(value) // whoever asked may be gone
}

// fail answers with any error of the API.
func (p *private) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := asProblem(err)
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	if e.Code == "unavailable" {
		p.Log.Error("request failed", slog.String("route", route(r)), slog.Any("error", err))
	}
	p.problem(w, e)
}

// asProblem puts an error into its class.
func asProblem(err error) *problem {
	if e, ok := errors.AsType[*problem](err); ok {
		return e
	}
	if e, ok := errors.AsType[*campaign.EventError](err); ok {
		return eventProblem(e)
	}
	detail, mend := inTwo(err)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: fmt.Sprintf("the body has more than %d bytes", large.Limit)}
	}
	switch {
	case errors.Is(err, campaign.ErrNotFound), errors.Is(err, report.ErrNotFound):
		return &problem{Status: http.StatusNotFound, Code: "not_found", Detail: detail, Mend: strings.Replace(mend, "sapa status --all", "GET /v1/runs", 1)}
	case errors.Is(err, campaign.ErrState):
		return &problem{Status: http.StatusConflict, Code: "wrong_state", Detail: detail, Mend: "look at the run's state: GET /v1/runs/{run}"}
	case errors.Is(err, campaign.ErrQuarantined):
		return &problem{Status: http.StatusConflict, Code: "quarantined", Detail: detail, Mend: mend}
	case errors.Is(err, campaign.ErrTriggered):
		return &problem{Status: http.StatusConflict, Code: "triggered", Detail: detail, Mend: "POST /v1/events"}
	case errors.Is(err, campaign.ErrUnapproved):
		return &problem{Status: http.StatusConflict, Code: "not_approved", Detail: err.Error(), Mend: "on the machine: sapa approve"}
	case errors.Is(err, delivery.ErrForeign):
		return &problem{Status: http.StatusConflict, Code: "foreign_database", Detail: detail, Mend: "on the machine: sapa doctor, then sapa adopt"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{Status: http.StatusServiceUnavailable, Code: "too_slow", Detail: "that took too long; nothing was changed", Mend: "a run may be being planned at this moment: try again in a minute"}
	case unfit(err):
		return &problem{Status: http.StatusConflict, Code: "unfit_version", Detail: "the campaign's version no longer fits the company's tables", Mend: "on the machine: sapa validate, then sapa apply"}
	}
	return &problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "something is not working; nothing was changed", Mend: "the log of sapa serve says what it is; try again in a minute"}
}

// unfit says that a stored version has problems.
func unfit(err error) bool {
	var list diag.List
	return errors.As(err, &list)
}

// inTwo takes the remedy off an error's text, which follows a semicolon or stands on a line of its own.
func inTwo(err error) (detail, mend string) {
	text := err.Error()
	for _, sep := range []string{"\n", "; "} {
		if detail, mend, ok := strings.Cut(text, sep); ok {
			return detail, strings.TrimSpace(mend)
		}
	}
	return text, ""
}

func notAllowed(user *access.User, needs access.Permission) *problem {
	return &problem{
		Status: http.StatusForbidden, Code: "forbidden", Detail: fmt.Sprintf("%s has the role %s, which may not %s", user.Name, user.Role, needs),
		Mend: "use the token of a user who may, or on the machine: sapa user set-role " + user.Name + " ROLE",
	}
}
