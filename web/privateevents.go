package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
)

// eventBody is the body of a request that tells of an event.
type eventBody struct {
	Event    string          `json:"event"`
	Customer customerKey     `json:"customer"`
	At       string          `json:"at"` // RFC 3339; "": now
	Data     json.RawMessage `json:"data"`
	Key      string          `json:"key"` // or the header Idempotency-Key
}

// customerKey is a key as text; programs may write the number that it is.
type customerKey string

// UnmarshalJSON reads "4711" and 4711.
func (k *customerKey) UnmarshalJSON(b []byte) error {
	var number json.Number
	if err := json.Unmarshal(b, &number); err == nil {
		*k = customerKey(number)
		return nil
	}
	return json.Unmarshal(b, (*string)(k))
}

// apiEvent takes an event. It is committed before the answer, and an event of the same key has the same answer.
func (p *private) apiEvent(w http.ResponseWriter, r *http.Request, user *access.User) error {
	var body eventBody
	if err := readJSON(r, &body); err != nil {
		return err
	}
	e := campaign.Event{Name: body.Event, Customer: string(body.Customer), Data: body.Data, Key: body.Key, Actor: user.Name}
	if string(body.Data) == "null" {
		e.Data = nil
	}
	if body.At != "" {
		at, err := time.Parse(time.RFC3339, body.At)
		if err != nil {
			return parameter("at", errors.New("write a time by RFC 3339, such as 2026-11-22T15:04:05+07:00"))
		}
		e.At = at
	}
	if err := headerKey(r, &e); err != nil {
		return err
	}
	received, err := p.Runs.Receive(r.Context(), e)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, received)
	return nil
}

// headerKey takes the key of the header Idempotency-Key, with the quotes of a structured field (RFC 9651) or without.
func headerKey(r *http.Request, e *campaign.Event) error {
	key := strings.TrimSpace(r.Header.Get("Idempotency-Key"))
	if len(key) >= 2 && strings.HasPrefix(key, `"`) && strings.HasSuffix(key, `"`) {
		key = key[1 : len(key)-1]
	}
	switch {
	case key == "":
	case e.Key != "" && e.Key != key:
		return parameter("key", errors.New("it is not that of the header Idempotency-Key; send one of them"))
	default:
		e.Key = key
	}
	return nil
}

// eventProblem is the answer to an event that is not taken.
func eventProblem(e *campaign.EventError) *problem {
	status := http.StatusUnprocessableEntity
	if e.Code == campaign.EventKeyReused {
		status = http.StatusConflict
	}
	return &problem{Status: status, Code: e.Code, Detail: e.Problem, Mend: e.Remedy}
}
