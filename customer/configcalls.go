package customer

import (
	"errors"
	"regexp"
	"strconv"
	"time"

	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// CallsSettings is how the company's people work through its list of calls. docs/calls.md says what each means; what is not
// written is in WithDefaults.
type CallsSettings struct {
	Hours CallHours `yaml:"hours"` // when calls are offered, in the customer's zone
	Claim CallSpan  `yaml:"claim"` // how long a call is kept for whom it was given to
	Tries int       `yaml:"tries"` // how often somebody is called who does not answer
	Again CallSpan  `yaml:"again"` // after which time they are called again
	Cost  Money     `yaml:"cost"`  // of a call, as an estimate
	Card  []string  `yaml:"card"`  // columns of the customers' table that agents see, besides the name
}

// WithDefaults are the settings with what sapa.yaml does not say.
func (s CallsSettings) WithDefaults() CallsSettings {
	if s.Hours.Length() == 0 {
		s.Hours = CallHours{Window{From: 8 * 60, To: 20 * 60}}
	}
	if s.Claim == 0 {
		s.Claim = CallSpan(15 * time.Minute)
	}
	if s.Tries == 0 {
		s.Tries = 3
	}
	if s.Again == 0 {
		s.Again = CallSpan(3 * time.Hour)
	}
	return s
}

// CallHours is a part of the day.
type CallHours struct{ Window }

// UnmarshalScalar reads 08:00-20:00.
func (h *CallHours) UnmarshalScalar(text string) error {
	const expected = `expected from when until when people may be called, such as "08:00-20:00"; "00:00-23:59" is the whole day`
	m := quietForm.FindStringSubmatch(text)
	if m == nil || m[1] == "" {
		return errors.New(expected)
	}
	n := make([]int, 4)
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // they are digits
	}
	h.Window = Window{From: n[0]*60 + n[1], To: n[2]*60 + n[3]}
	if h.Length() == 0 {
		return errors.New(expected)
	}
	return nil
}

// Closed is the rest of the day.
func (h CallHours) Closed() Window { return Window{From: h.To, To: h.From} }

// CallSpan is a length of time as it is written: 15m, 3h, 1d.
type CallSpan time.Duration

var callSpan = regexp.MustCompile(`^([1-9][0-9]{0,3})([mhd])$`)

// UnmarshalScalar reads 15m.
func (s *CallSpan) UnmarshalScalar(text string) error {
	m := callSpan.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a length of time in minutes, hours or days, such as 15m, 3h or 1d")
	}
	n, err := strconv.Atoi(m[1])
	*s = CallSpan(time.Duration(n) * map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]])
	return err
}

// The longest that is taken, and the most.
const (
	longestClaim = CallSpan(4 * time.Hour)
	mostTries    = 20
	mostOnCard   = 20
)

// calls checks the settings of the list of calls.
func (c *checker) calls(s *CallsSettings) {
	if s == nil {
		return
	}
	const calls = "$.channels.calls"
	if s.Claim > longestClaim {
		c.problem(calls+".claim", "write for example 15m", "for so long, a call that somebody forgot would wait; 4h at most")
	}
	if c.file.Has(calls+".tries") && c.file.Sound(calls+".tries") && (s.Tries < 1 || s.Tries > mostTries) {
		c.problem(calls+".tries", "write a number from 1 to 20", "so often nobody is called")
	}
	if len(s.Card) > mostOnCard {
		c.problem(calls+".card", "name those that an agent needs to see, 20 at most", "%d columns are no card", len(s.Card))
	}
}

// callCard checks that the columns of the agents' card are there.
func (r *resolver) callCard(s *CallsSettings, t *catalogTable) {
	if s == nil {
		return
	}
	for i, column := range s.Card {
		r.column(strictyaml.Index("$.channels.calls.card", i), t, column)
	}
}
