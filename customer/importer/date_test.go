package importer

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestScanDate(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // value: format if the month is first, year-month-day, clock
		"2021-01-13":                    "YYYY-MM-DD 2021-1-13",
		"2021/1/3":                      "YYYY/MM/DD 2021-1-3",
		"01/13/2021":                    "MM/DD/YYYY 2021-1-13",
		"1-13-21":                       "MM-DD-YY 21-1-13",
		"1.3.2021":                      "MM.DD.YYYY 2021-1-3",
		"13 Jan 2021":                   "DD MON YYYY 2021-1-13",
		"13-Agu-21":                     "DD MON YY 21-8-13",
		"13Mei2021":                     "DD MON YYYY 2021-5-13",
		"January 13, 2021":              "MON DD YYYY 2021-1-13",
		"Desember 1, 2021":              "MON DD YYYY 2021-12-1",
		"2021-01-13 08:30":              "YYYY-MM-DD 2021-1-13 8:30:0.",
		"2021-01-13T08:30:05.125Z":      "YYYY-MM-DD 2021-1-13 8:30:5.125 zone 0",
		"2021-01-13 08:30:05+07":        "YYYY-MM-DD 2021-1-13 8:30:5. zone 420",
		"2021-01-13 08:30:05 -03:30":    "YYYY-MM-DD 2021-1-13 8:30:5. zone -210",
		"2021-01-13 08:30:05 +0545":     "YYYY-MM-DD 2021-1-13 8:30:5. zone 345",
		"01/13/2021 8:30 PM":            "MM/DD/YYYY 2021-1-13 20:30:0.",
		"01/13/2021 12:05 am":           "MM/DD/YYYY 2021-1-13 0:5:0.",
		"13 Jan 2021 23:59:59 UTC":      "DD MON YYYY 2021-1-13 23:59:59. zone 0",
		"2021-01-13 08:30:05.000001 +7": "",
		"2021-01-13 24:00":              "",
		"2021-01-13 13:00 PM":           "",
		"2021-01-13x":                   "",
		"2021-01/13":                    "",
		"697-555-0142":                  "",
		"1 (11) 500 555-0162":           "",
		"123-01-13":                     "",
		"01/13/021":                     "",
		"13 Jax 2021":                   "",
		"May I 2021":                    "",
		"20210113":                      "",
		"January 2021":                  "",
	}
	for value, want := range tests {
		got := ""
		if d, ok := scanDate([]byte(value)); ok {
			year, month, day := d.civil(monthDayYear)
			got = fmt.Sprintf("%s %d-%d-%d", dateFormat{d.pattern, monthDayYear}, year, month, day)
			if d.hasClock {
				got += fmt.Sprintf(" %d:%d:%d.%s", d.clock.hour, d.clock.minute, d.clock.second, d.clock.fraction)
			}
			if d.clock.zoned {
				got += fmt.Sprintf(" zone %d", d.clock.offset)
			}
		}
		if got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}

// Whatever a format is called, that name means it.
func TestFormatNames(t *testing.T) {
	t.Parallel()
	for _, f := range knownFormats() {
		got, err := dateFormatNamed(f.String())
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
		if diff := cmp.Diff(f, got, cmp.AllowUnexported(dateFormat{}, datePattern{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
	}
	for loose, want := range map[string]string{"m/d/yyyy": "MM/DD/YYYY", "dd-mmm-yy": "DD MON YY", "DD.MM.YYYY HH:MI": "DD.MM.YYYY", "YYYY-MM-DDTHH:MI:SS": "YYYY-MM-DD"} {
		if f, err := dateFormatNamed(loose); err != nil || f.String() != want {
			t.Errorf("%s is %s, %v; want %s", loose, f, err, want)
		}
	}
	for _, wrong := range []string{"", "MM/DD", "DD-YYYY-MM", "MM/DD-YYYY", "nonsense", "DD"} {
		if f, err := dateFormatNamed(wrong); err == nil {
			t.Errorf("%q is %s, want an error", wrong, f)
		}
	}
}

func TestExists(t *testing.T) {
	t.Parallel()
	for day := time.Date(1896, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 1905; day = day.AddDate(0, 0, 1) {
		if !exists(day.Year(), int(day.Month()), day.Day()) {
			t.Errorf("%s does not exist", day.Format(time.DateOnly))
		}
	}
	for _, d := range [][3]int{{2021, 2, 29}, {1900, 2, 29}, {2021, 2, 30}, {2021, 4, 31}, {2021, 6, 31}, {2021, 9, 31}, {2021, 11, 31}, {2021, 13, 1}, {2021, 0, 1}, {2021, 1, 0}, {0, 1, 1}} {
		if exists(d[0], d[1], d[2]) {
			t.Errorf("%v exists", d)
		}
	}
}

func TestCentury(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		digits int
		births bool
		want   int
	}{
		{1, false, 2001},
		{26, false, 2026},
		{46, false, 2046},
		{47, false, 1947},
		{65, false, 1965},
		{99, false, 1999},
		{26, true, 2026},
		{27, true, 1927},
		{0, true, 2000},
		{65, true, 1965},
	} {
		if got := century(test.digits, latestYear(now, test.births)); got != test.want {
			t.Errorf("%02d (births %v) is %d, want %d", test.digits, test.births, got, test.want)
		}
	}
}
