package holidays

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/almanac"
)

// TestShippedTablesAreRight: every name once in each country's table, dates in order and without a gap of years, and a
// status for each.
func TestShippedTablesAreRight(t *testing.T) {
	t.Parallel()
	if got := strings.Join(Countries(), " "); got != "AU GB ID MY SG US" {
		t.Errorf("countries %s", got)
	}
	for _, country := range append(Countries(), "", "FR") {
		table := For(country, nil)
		seen := map[string]bool{}
		for _, name := range table.Names() {
			if seen[name] {
				t.Errorf("%s: the name %s stands for two holidays", country, name)
			}
			seen[name] = true
		}
		for _, h := range table.All() {
			checkYears(t, country, h)
		}
	}
}

func checkYears(t *testing.T, country string, h *Holiday) {
	t.Helper()
	known := true
	for year := 2024; year <= 2030; year++ {
		days := h.In(year)
		switch {
		case len(days) > 0 && !known:
			t.Errorf("%s %s: a year before %d is not there", country, h, year)
		case len(days) == 0 && (year <= 2026 || country == "ID"):
			t.Errorf("%s %s: nothing in %d", country, h, year)
		}
		known = len(days) > 0
		if !slices.IsSortedFunc(days, func(a, b Day) int { return a.Date.Compare(b.Date) }) || h.Title == "" {
			t.Errorf("%s %s: %v", country, h, days)
		}
		for _, d := range days {
			if want := map[bool]Status{true: Official, false: Expected}[year <= 2026]; d.Status != Every && d.Status != want {
				t.Errorf("%s %s: %v", country, h, d)
			}
		}
	}
}

func TestWhenHolidaysAre(t *testing.T) {
	t.Parallel()
	own := map[string]almanac.Days{}
	for name, text := range map[string]string{"founding_day": "03-14", "lebaran_club": "2026-03-25", "mothers_day": "05-31"} {
		days, err := almanac.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		own[name] = days
	}
	for _, c := range []struct {
		country, name string
		year          int
		want          string
	}{
		{"ID", "idul_fitri", 2026, "2026-03-21 official, 2026-03-22 official"},
		{"ID", "lebaran", 2027, "2027-03-10 expected, 2027-03-11 expected"},
		{"ID", "hari_ibu", 2026, "2026-12-22 every year"},
		{"ID", "isra_mikraj", 2027, "2027-01-06 expected, 2027-12-26 expected"},
		{"ID", "idul_fitri", 2032, ""},
		{"ID", "good_friday", 2025, "2025-04-18 every year"},
		{"ID", "ascension_day", 2024, "2024-05-09 every year"},
		{"US", "mothers_day", 2026, "2026-05-10 every year"},
		{"US", "thanksgiving", 2026, "2026-11-26 every year"},
		{"US", "labor_day", 2026, "2026-09-07 every year"},
		{"GB", "mothers_day", 2026, "2026-03-15 every year"},
		{"GB", "mothering_sunday", 2025, "2025-03-30 every year"},
		{"SG", "deepavali", 2026, "2026-11-08 official"},
		{"SG", "deepavali", 2027, ""},
		{"MY", "kings_birthday", 2025, "2025-06-02 every year"},
		{"AU", "fathers_day", 2026, "2026-09-06 every year"},
		{"AU", "melbourne_cup", 2026, "2026-11-03 every year"},
		{"FR", "christmas", 2026, "2026-12-25 every year"},
		{"own", "mothers_day", 2026, "2026-05-31 sapa.yaml"},
		{"own", "founding_day", 2030, "2030-03-14 sapa.yaml"},
		{"own", "lebaran_club", 2027, ""},
	} {
		table := For(c.country, nil)
		if c.country == "own" {
			table = For("ID", own)
		}
		h, ok := table.Find(c.name)
		if !ok {
			t.Errorf("%s has no %s", c.country, c.name)
			continue
		}
		var got []string
		for _, d := range h.In(c.year) {
			got = append(got, d.Date.Format(time.DateOnly)+" "+string(d.Status))
		}
		if d := cmp.Diff(c.want, strings.Join(got, ", ")); d != "" {
			t.Errorf("%s %s: %s", c.country, c.name, d)
		}
	}
}

// TestOwnDatesFillATable: a date of sapa.yaml counts for its year, the table's for all others.
func TestOwnDatesFillATable(t *testing.T) {
	t.Parallel()
	days, err := almanac.Parse("2027-03-09", "2027-03-10")
	if err != nil {
		t.Fatal(err)
	}
	h, _ := For("ID", map[string]almanac.Days{"idul_fitri": days}).Find("lebaran")
	if got := h.In(2027); len(got) != 2 || got[0].Status != Own || got[0].Date.Day() != 9 {
		t.Errorf("%v", got)
	}
	if got := h.In(2026); len(got) != 2 || got[0].Status != Official {
		t.Errorf("%v", got)
	}
	const want = "no date of idul_fitri in 2033 is known: write it in sapa.yaml, as in holidays: {idul_fitri: 2033-…}"
	if got := h.Missing(2033).Error(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
