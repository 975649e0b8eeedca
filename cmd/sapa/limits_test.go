package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A dry run says what quiet hours, spreading and caps would do; a run says until when it rests, the list of messages when each
// goes, and its status who was beyond the cap.
func TestLimitsAreShown(t *testing.T) {
	t.Parallel()
	w := newShop(t, 25, "")
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	w.now = func() time.Time { return now }
	w.file("sapa.yaml", `customers: {table: customers, key: id, email: email, name: name, timezone: {default: UTC}}
channels:
  email: {smtp: "smtp://`+w.smtp+`", from: "Toko <halo@toko.example>"}
public_url: `+w.public+"\n")
	w.ok("run", "hello")
	more := strings.Replace(hello, "campaign: hello", "campaign: more", 1)
	w.file("campaigns/more.yaml", more+`limits: {quiet_hours: "20:00-07:00", cap: 1 per 7d, on_cap: postpone, spread: 1h}`+"\n")
	w.ok("apply")
	now = now.Add(9 * time.Hour)
	_, printed := w.sapa("run", "more", "--dry-run", "--show", "0")
	seven := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	local := func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 MST") }
	for _, line := range []string{
		"\n  go from " + local(seven) + " to " + local(seven.Add(30*time.Minute)) + "\n",
		"\n  put off to the end of quiet hours: 25\n",
		"\n  beyond a cap as things are now, and to be put off when their time comes: 25\n",
	} {
		if !strings.Contains(printed, line) {
			t.Errorf("%q is not in\n%s", line, printed)
		}
	}
	if _, printed := w.sapa("run", "more"); !strings.Contains(printed, "until "+seven.Format("Mon 2 Jan 15:04")) {
		t.Errorf("the run says\n%s", printed)
	}
	_, printed = w.sapa("messages", "2")
	counts := map[string]int{}
	for _, m := range regexp.MustCompile(`planned, goes (\S+ \S+ \S+)`).FindAllStringSubmatch(printed, -1) {
		counts[m[1]]++
	}
	if d := cmp.Diff(map[string]int{local(seven): 13, local(seven.Add(30 * time.Minute)): 12}, counts); d != "" {
		t.Errorf("%s\n%s", d, printed)
	}
	w.file("campaigns/more.yaml", more+"limits: {cap: 1 per 7d}\n")
	w.ok("cancel", "2")
	w.ok("apply")
	w.ok("run", "more")
	if _, printed := w.sapa("status", "3"); !regexp.MustCompile(`25\s+skipped\s+cap 25\n`).MatchString(printed) {
		t.Errorf("the status is\n%s", printed)
	}
}
