package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHolidays prints the company's holidays, and refuses a campaign that goes by one whose date is not known.
func TestHolidays(t *testing.T) {
	t.Parallel()
	w := newShop(t, 1, "")
	sapa, err := os.ReadFile(filepath.Join(w.dir, "sapa.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.file("sapa.yaml", string(sapa)+"country: ID\nholidays:\n  founding_day: 03-14\n  club_night: [2020-05-01, 2020-05-02]\n  mothers_day: last sunday of may\n")
	printed := w.ok("holidays", "2020")
	for _, line := range []string{
		"│ 2020-03-14 │ Saturday  │ founding_day        │                              │                                       │ sapa.yaml  │",
		"│ 2020-05-02 │ Saturday  │ club_night          │                              │                                       │ sapa.yaml  │",
		"│ 2020-05-31 │ Sunday    │ mothers_day         │ Hari Ibu                     │ hari_ibu                              │ sapa.yaml  │",
		"│ 2020-08-17 │ Monday    │ independence_day    │ Proklamasi Kemerdekaan       │ proklamasi, hari_kemerdekaan          │ every year │",
		"idul_adha, idul_fitri, imlek, islamic_new_year, isra_mikraj, maulid, nyepi, waisak: not known in 2020. Rules that ask for them " +
			"then are refused until sapa.yaml says when they are, as in\nholidays: {idul_adha: 2020-…}\n",
	} {
		if !strings.Contains(printed, line) {
			t.Errorf("this is not there: %s\n%s", line, printed)
		}
	}
	if printed := w.ok("holidays", "2026", "--country", "US", "--json"); !strings.Contains(printed, `{
      "date": "2026-11-26",
      "weekday": "Thursday",
      "holiday": "thanksgiving",
      "title": "Thanksgiving Day",
      "status": "every year"
    }`) {
		t.Error(printed)
	}
	w.want(exitUsage, "sapa: no table of holidays for \"DE\"; there are those of AU, GB, ID, MY, SG, US\n", "holidays", "--country", "DE")
	w.want(exitUsage, "sapa: \"soon\" is no year from 1900 to 2200\n", "holidays", "soon")

	w.file("campaigns/club.yaml", "campaign: club\naudience: {where: 'holiday(\"club_night\")'}\ncontent: {email: {subject: Halo, text: Halo}}\n")
	year := time.Now().Year()
	w.want(exitFailed, fmt.Sprintf(`sapa: 1 problem
campaigns/club.yaml:2:20: no date of club_night in %[1]d is known: write it in sapa.yaml, as in holidays: {club_night: %[1]d-…}
   2 | audience: {where: 'holiday("club_night")'}
     |                    ^^^^^^^^^^^^^^^^^^^^^
`, year), "validate")
	if code, printed := w.sapa("segment", "count", `holiday("club_night")`); code != exitFailed || !strings.Contains(printed, "no date of club_night") {
		t.Errorf("%d: %s", code, printed)
	}
	w.ok("segment", "count", `holiday("founding_day", days(7)) || random_split("a", "10%")`)
}

// Everything that a run could ask is looked at for holidays without a date: also who counts as a customer, occasions, and
// segments that no campaign uses.
func TestHolidaysOfEverything(t *testing.T) {
	t.Parallel()
	w := newShop(t, 1, "")
	sapa, err := os.ReadFile(filepath.Join(w.dir, "sapa.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	year := time.Now().Year()
	w.file("sapa.yaml", strings.Replace(string(sapa), "name: name}", "name: name, where: 'customer.id > 0 || holiday(\"club_night\")'}", 1)+"country: ID\nholidays:\n  club_night: 2020-05-01\n")
	w.file("campaigns/club.yaml", "campaign: club\naudience:\n  where: \"true\"\n  occasion:\n  - today()\n  - holiday(\"club_night\")\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.file("segments/unused.yaml", "segment: unused\nwhere: holiday(\"club_night\")\n")
	code, printed := w.sapa("validate")
	missing := fmt.Sprintf("no date of club_night in %[1]d is known: write it in sapa.yaml, as in holidays: {club_night: %[1]d-…}", year)
	for _, place := range []string{"sapa.yaml:1:93: ", "campaigns/club.yaml:6:5: ", "segments/unused.yaml:2:8: "} {
		if code != exitFailed || !strings.Contains(printed, "\n"+place+missing+"\n") || strings.Count(printed, missing) != 3 {
			t.Errorf("exit %d: not once at %s\n%s", code, place, printed)
		}
	}
}

// Looking ahead for a next date ends where a holiday has no date any more; what is known today is said all the same.
func TestWhyWithoutNextYearsHoliday(t *testing.T) {
	t.Parallel()
	w := whyWorld(t)
	sapa, err := os.ReadFile(filepath.Join(w.dir, "sapa.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.file("sapa.yaml", string(sapa)+"holidays: {founders: 2026-12-01}\n")
	w.file("campaigns/founders.yaml", "campaign: founders\naudience: {where: 'customer.city == \"Bali\" && holiday(\"founders\", days(1))'}\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.ok("apply")
	for _, args := range [][]string{
		{"why", "1", `customer.city == "Bali" && holiday("founders", days(1))`},
		{"why", "1", "founders"},
		{"why", "1", `holiday("founders", days(1))`},
	} {
		if printed := w.ok(args...); strings.Contains(printed, "2026-11-30") != (len(args[2]) == len(`holiday("founders", days(1))`)) {
			t.Errorf("%s", printed)
		}
	}
	if _, err := w.sapa("why", "1", "founders", "--as-of", "2027-01-05"); !strings.Contains(err, "no date of founders in 2027 is known") {
		t.Error(err)
	}
}
