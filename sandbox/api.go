package sandbox

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
)

// apiList answers GET /api/messages?to=&subject=&q=&which=accepted|refused|all|conversation&channel=email|sms|whatsapp|voice&page=&per_page=
// with a Listing.
func (p *pages) apiList(w http.ResponseWriter, r *http.Request) {
	filter, page := readQuery(r.URL.Query())
	p.json(w, http.StatusOK, p.server.Messages(filter, page))
}

// apiMessage answers GET /api/messages/{id} with the message and what it says.
func (p *pages) apiMessage(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		p.json(w, http.StatusNotFound, apiError{ErrNotFound.Error()})
		return
	}
	m, raw, err := p.server.Message(id)
	switch {
	case errors.Is(err, ErrNotFound):
		p.json(w, http.StatusNotFound, apiError{ErrNotFound.Error()})
		return
	case err != nil:
		p.json(w, http.StatusInternalServerError, apiError{err.Error()})
		return
	}
	if m.SMS != nil {
		p.apiText(w, m)
		return
	}
	answer := struct {
		Message
		*Mail
	}{Message: m}
	if m.Verdict.Accepted {
		if answer.Mail, err = ParseMail(raw); err != nil {
			p.json(w, http.StatusInternalServerError, apiError{err.Error()})
			return
		}
	}
	p.json(w, http.StatusOK, answer)
}

// apiText answers with a text, its request and what became of it.
func (p *pages) apiText(w http.ResponseWriter, m Message) {
	text, err := p.server.Text(m.ID)
	if err != nil {
		p.json(w, http.StatusInternalServerError, apiError{err.Error()})
		return
	}
	p.json(w, http.StatusOK, text)
}

// apiCounts answers GET /api/counts.
func (p *pages) apiCounts(w http.ResponseWriter, _ *http.Request) {
	p.json(w, http.StatusOK, p.server.Counts())
}

// apiLog answers GET /api/log with WriteLog's lines.
func (p *pages) apiLog(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := p.server.WriteLog(w); err != nil {
		p.server.config.Log.Debug("answer an API request", slog.Any("err", err))
	}
}

type apiError struct {
	Error string `json:"error"`
}

func (p *pages) json(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(answer); err != nil {
		p.server.config.Log.Debug("answer an API request", slog.Any("err", err))
	}
}
