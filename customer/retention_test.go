package customer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	cfg, problems := LoadConfig("sapa.yaml", "customers:\n  table: t\n  key: id\nretention: {hits: 30d, links: 2w, inbound: never, evidence: 5y, messages: 24mo, addresses: 18 mo}\n", testEnv)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := Retention{
		Hits: Age{Days: 30}, Links: Age{Days: 14}, Letters: Age{Days: 365}, Calls: Age{Days: 365}, Alerts: Age{Days: 90}, Events: Age{Days: 365}, Words: DefaultRetention().Words, Evidence: Age{Months: 60}, Messages: Age{Months: 24}, Addresses: Age{Months: 18},
	}
	if diff := cmp.Diff(want, cfg.Retention); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, a := range []Age{want.Hits, want.Links, want.Inbound, want.Evidence, want.Messages, want.Addresses} {
		got = append(got, a.String())
	}
	if diff := cmp.Diff([]string{"30d", "14d", "never", "5y", "2y", "18mo"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAgeBefore(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 3, 31, 10, 30, 0, 0, time.FixedZone("WIB", 7*3600))
	for _, tt := range []struct {
		age  Age
		want string
	}{
		{Age{Days: 90}, "2026-12-31T03:30:00Z"},
		{Age{Months: 1}, "2027-02-28T03:30:00Z"}, // February has no 31st
		{Age{Months: 37}, "2024-02-29T03:30:00Z"},
		{Age{Months: 60}, "2022-03-31T03:30:00Z"},
	} {
		if got := tt.age.Before(now).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s before %s is %s, want %s", tt.age, now, got, tt.want)
		}
	}
	if (Age{}).Ends() || !(Age{Days: 1}).Ends() {
		t.Error("never ends, or a day does not")
	}
}
