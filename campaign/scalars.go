package campaign

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Duration is a length of time as marketers write it: 90m, 12h, 300d, 2w. A day is 24 hours.
type Duration time.Duration

var durationUnits = map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// UnmarshalScalar reads 300d.
func (d *Duration) UnmarshalScalar(text string) error {
	wrong := errors.New("expected a duration such as 300d, 2w, 12h or 90m")
	if len(text) < 2 {
		return wrong
	}
	unit, ok := durationUnits[text[len(text)-1]]
	n, err := strconv.Atoi(text[:len(text)-1])
	if !ok || err != nil || n < 1 || n > 100_000 {
		return wrong
	}
	*d = Duration(time.Duration(n) * unit)
	return nil
}

// Texts is one text or a list of texts.
type Texts []string

// UnmarshalNode takes both forms.
func (t *Texts) UnmarshalNode(n strictyaml.Node) diag.List {
	if n.Kind() == strictyaml.Text {
		*t = Texts{n.Text()}
		return nil
	}
	return n.Decode((*[]string)(t))
}

// ClockTime is a time of day, in minutes since midnight.
type ClockTime int

// UnmarshalScalar reads 18:00.
func (c *ClockTime) UnmarshalScalar(text string) error {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return errors.New(`expected a time of day such as "18:00"`)
	}
	*c = ClockTime(t.Hour()*60 + t.Minute())
	return nil
}

// CivilTime is a date and time without a zone.
type CivilTime time.Time

// UnmarshalScalar reads 2026-12-24 08:00.
func (c *CivilTime) UnmarshalScalar(text string) error {
	t, err := parseCivil(text)
	if err != nil {
		return err
	}
	*c = CivilTime(t)
	return nil
}

func parseCivil(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("expected a date and time such as 2026-12-24 08:00")
}

// ParseTick reads what --as-of takes: a date, or a date and time, in the company's zone.
func ParseTick(text string) (time.Time, error) {
	t, err := parseCivil(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q: %w", text, err)
	}
	return t, nil
}
