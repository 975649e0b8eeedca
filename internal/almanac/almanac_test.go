package almanac

import (
	"testing"
	"time"
)

func TestDaysOfAYear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule string
		year int
		want string
	}{
		{"12-22", 2026, "2026-12-22"},
		{"02-29", 2024, "2024-02-29"},
		{"02-29", 2025, "2025-02-28"},
		{"02-29", 1900, "1900-02-28"},
		{"second sunday of may", 2026, "2026-05-10"},
		{"Second  Sunday in May", 2022, "2022-05-08"}, // 1 May was a Sunday
		{"first monday of september", 2025, "2025-09-01"},
		{"third monday of january", 2024, "2024-01-15"},
		{"fourth thursday of november", 2026, "2026-11-26"},
		{"fourth thursday of november + 1", 2026, "2026-11-27"},
		{"fourth thursday of november + 4 days", 2025, "2025-12-01"},
		{"last monday of may", 2026, "2026-05-25"},
		{"last monday of may", 2027, "2027-05-31"},
		{"last sunday of december", 2028, "2028-12-31"},
		{"01-01 - 1", 2026, "2025-12-31"},
		{"easter", 2024, "2024-03-31"},
		{"easter", 2025, "2025-04-20"},
		{"easter", 2026, "2026-04-05"},
		{"easter", 2038, "2038-04-25"}, // the latest there is
		{"easter", 2285, "2285-03-22"}, // the earliest
		{"easter", 1954, "1954-04-18"},
		{"easter - 2", 2026, "2026-04-03"},
		{"easter+39", 2026, "2026-05-14"},
		{"orthodox easter", 2024, "2024-05-05"},
		{"orthodox easter", 2025, "2025-04-20"},
		{"orthodox easter", 2026, "2026-04-12"},
		{"2027-03-10", 2027, "2027-03-10"},
	} {
		d, err := Parse(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		if got := d.In(c.year); len(got) != 1 || got[0].Format(time.DateOnly) != c.want {
			t.Errorf("%s in %d: %v, want %s", c.rule, c.year, got, c.want)
		}
	}
}

func TestWhatIsNoDay(t *testing.T) {
	t.Parallel()
	const form = "expected a date such as 2027-03-10, or a rule such as 12-22, second sunday of may or easter - 2"
	const weekday = "expected first, second, third, fourth or last, a weekday and a month, as in second sunday of may"
	for text, want := range map[string]string{
		"": form, "christmas": form, "12/22": form, "2027-02-30": form, "sunday": form, "easter - many": form,
		"13-01": "expected a month and a day that exist, such as 12-22", "02-30": "expected a month and a day that exist, such as 12-22",
		"fifth sunday of may": weekday, "second sunnday of may": weekday, "second sunday of mai": weekday,
	} {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestOwnDaysGoBeforeATables(t *testing.T) {
	t.Parallel()
	parse := func(texts ...string) Days {
		d, err := Parse(texts...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	table := parse("2026-03-21", "2026-03-22", "2027-03-10")
	for _, c := range []struct {
		own  Days
		year int
		want []string
	}{
		{parse("2027-03-09"), 2026, []string{"2026-03-21", "2026-03-22"}},
		{parse("2027-03-09"), 2027, []string{"2027-03-09"}},
		{parse("2031-01-26", "2031-01-25"), 2031, []string{"2031-01-25", "2031-01-26"}},
		{parse("05-01"), 2026, []string{"2026-05-01"}},
		{Days{}, 2032, nil},
	} {
		var got []string
		for _, day := range table.Over(c.own).In(c.year) {
			got = append(got, day.Format(time.DateOnly))
		}
		if len(got) != len(c.want) {
			t.Errorf("%d: %v, want %v", c.year, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%d: %v, want %v", c.year, got, c.want)
			}
		}
	}
}
