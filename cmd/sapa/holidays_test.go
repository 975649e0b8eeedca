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
