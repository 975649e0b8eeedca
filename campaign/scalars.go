package campaign

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// The forms of scalars, for the decoder and for the JSON Schema alike.
const (
	durationForm  = `^[1-9][0-9]{0,3}[hdw]$`
	clockForm     = `^([01]?[0-9]|2[0-3]):[0-5][0-9]$`
	civilForm     = `^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2})?$`
	civilTimeHint = "a date and time such as 2026-12-24 08:00"
)

// Duration is a length of time as marketers write it: 12h, 300d, 2w. A day is 24 hours. There is no unit for minutes,
// since 6m would be taken for months.
type Duration time.Duration

// UnmarshalScalar reads 300d.
func (d *Duration) UnmarshalScalar(text string) error {
	if !regexp.MustCompile(durationForm).MatchString(text) {
		return errors.New("expected a duration such as 300d, 2w or 12h")
	}
	units := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	n, err := strconv.Atoi(text[:len(text)-1])
	*d = Duration(time.Duration(n) * units[text[len(text)-1]])
	return err
}

// Priority says which campaigns come first: the higher number.
type Priority int

const priorityMost = 100

// UnmarshalScalar reads 10.
func (p *Priority) UnmarshalScalar(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < -priorityMost || n > priorityMost {
		return fmt.Errorf("expected a whole number from %d to %d, such as 10; the higher one comes first", -priorityMost, priorityMost)
	}
	*p = Priority(n)
	return nil
}

// Texts is one text or a list of texts.
type Texts []string

// UnmarshalNode takes both forms.
func (t *Texts) UnmarshalNode(n strictyaml.Node) diag.List {
	switch n.Kind() {
	case strictyaml.Text:
		*t = Texts{n.Text()}
		return nil
	case strictyaml.Map:
		return diag.List{n.Expected("such as [vehicle.id, vehicle.next_service_on]", "one text or a list of them")}
	}
	return n.Decode((*[]string)(t))
}

// ReplyAddress is an e-mail address, normalised.
type ReplyAddress string

// UnmarshalScalar reads an address, with or without a name.
func (a *ReplyAddress) UnmarshalScalar(text string) error {
	var m customer.Mailbox
	if err := m.UnmarshalScalar(text); err != nil {
		return err
	}
	*a = ReplyAddress(m.Addr)
	return nil
}

// ClockTime is a time of day, in minutes since midnight.
type ClockTime int

// UnmarshalScalar reads 18:00.
func (c *ClockTime) UnmarshalScalar(text string) error {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return errors.New(`expected a time of day such as "18:00"`)
	}
	*c = clockOf(t)
	return nil
}

// CivilTime is a date and time without a zone.
type CivilTime time.Time

// UnmarshalScalar reads 2026-12-24 08:00. A date alone is refused: nobody wants a campaign to go out at midnight.
func (c *CivilTime) UnmarshalScalar(text string) error {
	t, ok := parseCivil(text, "2006-01-02 15:04", "2006-01-02 15:04:05")
	if !ok {
		return errors.New("expected " + civilTimeHint)
	}
	*c = CivilTime(t)
	return nil
}

func parseCivil(text string, layouts ...string) (time.Time, bool) {
	text = strings.Replace(strings.TrimSpace(text), "T", " ", 1)
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// ParseTick reads what --as-of takes: a date, or a date and time, in the company's zone.
func ParseTick(text string) (time.Time, error) {
	t, ok := parseCivil(text, time.DateOnly, "2006-01-02 15:04", "2006-01-02 15:04:05")
	if !ok {
		return t, fmt.Errorf("%q: expected a date such as 2026-12-24, or %s", text, civilTimeHint)
	}
	return t, nil
}
