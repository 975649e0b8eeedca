package customer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Quiet hours as people write them are refused with how they are written here.
func TestQuietHoursAsWritten(t *testing.T) {
	t.Parallel()
	const expected = `expected from when until when nothing is sent, such as "20:00-07:00", or none`
	for text, want := range map[string]string{
		"20:00-07:00": "", "20:00 - 7:00": "", "00:00-06:00": "", "12:00-13:30": "", "none": "", "22:00-20:00": "",
		"20-7": expected + `: write "20:00-07:00"`, "20.30 – 7": expected + `: write "20:30-07:00"`, "2000-0700": expected + `: write "20:00-07:00"`,
		"20:00": expected, "25-7": expected, "20:00-24:00": expected, "at night": expected, "": expected,
		"07:00-07:00": "quiet hours must leave 2 hours of the day at least", "07:00-05:01": "quiet hours must leave 2 hours of the day at least",
	} {
		if err := new(QuietHours).UnmarshalScalar(text); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A campaign's quiet hours hold beside the company's: as one window where they meet, else as two.
func TestQuietHoursTogether(t *testing.T) {
	t.Parallel()
	read := func(text string) (q QuietHours) {
		if text != "" {
			if err := q.UnmarshalScalar(text); err != nil {
				t.Fatal(err)
			}
		}
		return q
	}
	for _, c := range []struct{ company, own, want string }{
		{"", "", ""},
		{"20:00-07:00", "", "20:00-07:00"},
		{"", "20:00-07:00", "20:00-07:00"},
		{"20:00-07:00", "none", ""},
		{"none", "20:00-07:00", "20:00-07:00"},
		{"20:00-07:00", "22:00-06:00", "20:00-07:00"},
		{"22:00-06:00", "20:00-07:00", "20:00-07:00"},
		{"20:00-07:00", "22:00-08:00", "20:00-08:00"},
		{"20:00-07:00", "18:00-21:00", "18:00-07:00"},
		{"20:00-07:00", "07:00-08:00", "20:00-08:00"},
		{"20:00-07:00", "19:00-20:00", "19:00-07:00"},
		{"20:00-07:00", "12:00-13:00", "20:00-07:00 12:00-13:00"},
		{"01:00-02:00", "03:00-04:00", "01:00-02:00 03:00-04:00"},
		{"20:00-07:00", "06:00-21:00", "whole"},
		{"20:00-07:00", "07:00-20:00", "whole"},
		{"20:00-07:00", "08:00-19:30", "whole"},
		{"20:00-07:00", "08:00-19:00", "20:00-07:00 08:00-19:00"},
	} {
		windows, whole := read(c.company).With(read(c.own))
		got := ""
		for i, w := range windows {
			if i > 0 {
				got += " "
			}
			got += w.String()
		}
		if whole {
			got = "whole"
		}
		if got != c.want {
			t.Errorf("%q with %q: got %s, want %s", c.company, c.own, got, c.want)
		}
	}
}

// A window's next beginning is found across midnight and over changes of the clocks.
func TestNextQuietHours(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := Window{From: 2*60 + 30, To: 7 * 60}
	for at, want := range map[string]string{
		"2027-03-26T12:00+01:00": "2027-03-27T02:30:00+01:00",
		"2027-03-27T02:30+01:00": "2027-03-28T03:30:00+02:00", // half past two does not exist
		"2027-10-31T00:00+02:00": "2027-10-31T02:30:00+01:00", // and here twice
	} {
		from, err := time.Parse("2006-01-02T15:04Z07:00", at)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Next(from, berlin).Format(time.RFC3339); got != want {
			t.Errorf("after %s: got %s, want %s", at, got, want)
		}
	}
}

// Caps as people write them are refused with how they are written here; a campaign's holds beside the company's.
func TestCaps(t *testing.T) {
	t.Parallel()
	const expected = `expected how many messages within what time, such as "2 per 7d", or none`
	for text, want := range map[string]string{
		"2 per 7d": "", "1per1h": "", "none": "", "1000 per 366d": "", "3 per 52w": "",
		"2 in a week": expected + `: write "2 per 7d"`, "2 per week": expected + `: write "2 per 7d"`, "3/day": expected + `: write "3 per 1d"`,
		"2 messages per 2 weeks": expected + `: write "2 per 14d"`, "1 every 12 hours": expected + `: write "1 per 12h"`,
		"2": expected, "0 per 7d": expected, "2 per 7m": expected, "twice": expected, "": expected,
		"1001 per 7d": "a cap is of at most 1000 messages, and within 366d at most", "2 per 400d": "a cap is of at most 1000 messages, and within 366d at most",
	} {
		if err := new(Cap).UnmarshalScalar(text); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	week := Cap{Most: 2, Within: 7 * 24 * time.Hour}
	day := Cap{Most: 1, Within: 24 * time.Hour}
	for _, c := range []struct {
		company, own Cap
		want         []Cap
	}{
		{Cap{}, Cap{}, nil},
		{week, Cap{}, []Cap{week}},
		{Cap{}, day, []Cap{day}},
		{week, day, []Cap{week, day}},
		{week, week, []Cap{week}},
		{week, Cap{None: true}, nil},
	} {
		if d := cmp.Diff(c.want, c.company.With(c.own)); d != "" && len(c.want)+len(c.company.With(c.own)) > 0 {
			t.Error(d)
		}
	}
	if got := week.String() + ", " + day.String(); got != "2 per 7d, 1 per 1d" {
		t.Error(got)
	}
	if !(Cap{Most: 1, Within: week.Within}).Stricter(week) || week.Stricter(day) || day.Stricter(week) {
		t.Error("stricter is wrong")
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	const hint = "expected a length of time such as 6h or 2d: write "
	for text, want := range map[string]string{
		"6h": "", "2d": "", "1w": "", "4 hours": hint + "4h", "2 days": hint + "2d", "1 Week": hint + "1w", "4hrs": hint + "4h",
		"30m": "expected a length of time in hours, days or weeks, such as 6h, 2d or 1w", "0h": "expected a length of time in hours, days or weeks, such as 6h, 2d or 1w",
	} {
		if err := new(Span).UnmarshalScalar(text); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
