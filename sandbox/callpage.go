package sandbox

import (
	"net/http"
	"strings"
)

// transcript is what was heard during a call: what it says, and the key with the answer to it. Nothing where nobody
// answered, as far as is known by now.
func transcript(t Text) []Heard {
	script, err := readCall(t.Form.Get("Twiml"))
	if err != nil || t.SMS.SentAt.IsZero() {
		return nil
	}
	heard := script.lines("call")
	for _, e := range t.Events {
		key, pressed := strings.CutPrefix(e.Status, "pressed ")
		if !pressed {
			continue
		}
		heard = append(heard, Heard{"customer", "presses " + key})
		for _, line := range strings.Split(e.Words, "\n") {
			if line != "" {
				heard = append(heard, Heard{"answer", line})
			}
		}
	}
	return heard
}

// ring is the page of a call.
type ring struct {
	Text
	Price        string
	Seconds      string
	Planned      []Heard // what the call would have said
	Newer, Older int64
}

func (p *pages) call(w http.ResponseWriter, text Text) {
	r := ring{Text: text}
	r.Older, r.Newer = p.neighbours(text.ID)
	if script, err := readCall(text.Form.Get("Twiml")); err == nil {
		r.Planned = script.lines("call")
	}
	if text.SMS.Status == "completed" {
		r.Seconds, r.Price = callDuration(text.Form), callPrice(text.Form)
	}
	p.show(w, http.StatusOK, "call", "Call to "+text.To[0], r)
}
