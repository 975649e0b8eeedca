package customer

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/wallclock"
)

// Window is a part of the day, in minutes since midnight. Where From is after To, it goes past midnight.
type Window struct{ From, To int }

const day = 24 * 60

// Length is how many minutes the window has.
func (w Window) Length() int { return (w.To - w.From + day) % day }

// has says whether a minute of the day lies in the window or is its end.
func (w Window) has(minute int) bool { return (minute-w.From+day)%day <= w.Length() }

// String is the window as it is written: 20:00-07:00.
func (w Window) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60)
}

// Until is the end of the window where a moment lies in it, in a zone, and else the moment.
func (w Window) Until(at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	y, m, d := local.Date()
	minute := local.Hour()*60 + local.Minute()
	if !w.has(minute) || minute == w.To {
		return at
	}
	if minute >= w.From && w.From > w.To {
		d++
	}
	return wallclock.Instant(time.Date(y, m, d, w.To/60, w.To%60, 0, 0, time.UTC), zone)
}

// Next is when the window begins next in a zone, after a moment.
func (w Window) Next(at time.Time, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	for {
		begin := wallclock.Instant(time.Date(y, m, d, w.From/60, w.From%60, 0, 0, time.UTC), zone)
		if begin.After(at) {
			return begin
		}
		d++
	}
}

// QuietHours is when nothing is sent, in each customer's own zone. The zero value says nothing about it.
type QuietHours struct {
	None bool // explicitly none
	Window
}

// awake is how many minutes of the day quiet hours must leave: where clocks are put forward, an hour is missing.
const awake = 2 * 60

// QuietForm is how quiet hours are written.
const QuietForm = `^([01]?[0-9]|2[0-3]):([0-5][0-9]) ?- ?([01]?[0-9]|2[0-3]):([0-5][0-9])$|^none$`

var (
	quietForm  = regexp.MustCompile(QuietForm)
	quietHours = regexp.MustCompile(`^(\d{1,2})(?:[:.]?(\d\d))? ?(?:-|–|to) ?(\d{1,2})(?:[:.]?(\d\d))?$`)
)

// UnmarshalScalar reads 20:00-07:00, or none.
func (q *QuietHours) UnmarshalScalar(text string) error {
	if text == "none" {
		*q = QuietHours{None: true}
		return nil
	}
	m := quietForm.FindStringSubmatch(text)
	if m == nil {
		return errors.New(`expected from when until when nothing is sent, such as "20:00-07:00", or none` + meantHours(text))
	}
	n := make([]int, 4)
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // they are digits
	}
	w := Window{From: n[0]*60 + n[1], To: n[2]*60 + n[3]}
	if length := w.Length(); length == 0 || length > day-awake {
		return fmt.Errorf("quiet hours must leave %d hours of the day at least", awake/60)
	}
	*q = QuietHours{Window: w}
	return nil
}

// meantHours is what a text such as 20-7 most likely means.
func meantHours(text string) string {
	m := quietHours.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	n := make([]int, 4)
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // digits, or nothing
	}
	if n[0] > 23 || n[2] > 23 || n[1] > 59 || n[3] > 59 {
		return ""
	}
	return fmt.Sprintf(`: write "%s"`, Window{n[0]*60 + n[1], n[2]*60 + n[3]})
}

// With is when nothing is sent of a campaign that says own, where q holds for all: in both, unless own says none. The
// windows neither overlap nor touch; whole says that they would leave too little of the day.
func (q QuietHours) With(own QuietHours) (windows []Window, whole bool) {
	if own.None {
		return nil, false
	}
	for _, w := range []Window{q.Window, own.Window} {
		if w.Length() == 0 {
			continue
		}
		if len(windows) == 0 || !windows[0].meets(w) {
			windows = append(windows, w)
			continue
		}
		if windows[0], whole = windows[0].union(w); whole {
			return nil, true
		}
	}
	left := day
	for _, w := range windows {
		left -= w.Length()
	}
	return windows, left < awake
}

func (w Window) meets(o Window) bool { return w.has(o.From) || o.has(w.From) }

// union of two windows that meet; whole: of all day.
func (w Window) union(o Window) (u Window, whole bool) {
	if !w.has(o.From) {
		w, o = o, w
	}
	length := max(w.Length(), (o.From-w.From+day)%day+o.Length())
	return Window{From: w.From, To: (w.From + length) % day}, length > day-awake
}

// Cap is how many messages a customer gets at most within a time, of all campaigns and channels together. The zero value
// says nothing about it.
type Cap struct {
	None   bool // explicitly none: the campaign is not under caps, and its messages do not count for any
	Most   int
	Within time.Duration
}

const (
	capMost   = 1000
	capWithin = 366 * 24 * time.Hour
)

// CapForm is how a Cap is written.
const CapForm = `^([1-9][0-9]{0,3}) ?per ?([1-9][0-9]{0,3}[hdw])$|^none$`

var (
	capForm = regexp.MustCompile(CapForm)
	capLike = regexp.MustCompile(`^([1-9]\d{0,3}) ?(?:x|×|times|messages?)? ?(?:per|in|every|a|an|/)(?: an?| the| one)? ?(\d{0,3}) ?(h|d|w|hours?|days?|weeks?)$`)
)

// UnmarshalScalar reads 2 per 7d, or none.
func (c *Cap) UnmarshalScalar(text string) error {
	if text == "none" {
		*c = Cap{None: true}
		return nil
	}
	m := capForm.FindStringSubmatch(text)
	if m == nil {
		return errors.New(`expected how many messages within what time, such as "2 per 7d", or none` + meantCap(text))
	}
	var within Span
	if err := within.UnmarshalScalar(m[2]); err != nil {
		return err
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > capMost || time.Duration(within) > capWithin {
		return fmt.Errorf("a cap is of at most %d messages, and within 366d at most", capMost)
	}
	*c = Cap{Most: n, Within: time.Duration(within)}
	return nil
}

// meantCap is what a text such as 2 in a week most likely means.
func meantCap(text string) string {
	m := capLike.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	n, err := strconv.Atoi(m[2])
	unit := m[3][:1]
	if err != nil {
		n = 1
	}
	if unit == "w" && n*7 < 1000 {
		n, unit = n*7, "d"
	}
	return fmt.Sprintf(`: write "%s per %d%s"`, m[1], n, unit)
}

// String is the cap as it is written: 2 per 7d.
func (c Cap) String() string {
	if c.None {
		return "none"
	}
	return fmt.Sprintf("%d per %s", c.Most, Span(c.Within))
}

// With are the caps of a campaign that says own, where c holds for all: both, unless own says none.
func (c Cap) With(own Cap) []Cap {
	if own.None {
		return nil
	}
	return slices.DeleteFunc(slices.Compact([]Cap{c, own}), func(c Cap) bool { return c.Most == 0 })
}

// Stricter says that whatever holds c holds other, too.
func (c Cap) Stricter(other Cap) bool { return c.Most <= other.Most && c.Within >= other.Within }

// Span is a length of time as it is written in limits: 6h, 2d, 1w. A day is 24 hours.
type Span time.Duration

// SpanForm is how a Span is written.
const SpanForm = `^[1-9][0-9]{0,3}[hdw]$`

var (
	spanForm = regexp.MustCompile(SpanForm)
	spanLike = regexp.MustCompile(`^([1-9]\d{0,3}) ?(h|d|w)(?:rs?|ours?|ays?|eeks?)$`)
)

// UnmarshalScalar reads 6h.
func (s *Span) UnmarshalScalar(text string) error {
	if !spanForm.MatchString(text) {
		if m := spanLike.FindStringSubmatch(strings.ToLower(text)); m != nil {
			return fmt.Errorf("expected a length of time such as 6h or 2d: write %s%s", m[1], m[2])
		}
		return errors.New("expected a length of time in hours, days or weeks, such as 6h, 2d or 1w")
	}
	units := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	n, err := strconv.Atoi(text[:len(text)-1])
	*s = Span(time.Duration(n) * units[text[len(text)-1]])
	return err
}

// String is the time as it is written, in days where these are whole.
func (s Span) String() string {
	if d := time.Duration(s); d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return fmt.Sprintf("%dh", time.Duration(s)/time.Hour)
}
