package main

import (
	"strings"
	"testing"
	"time"
)

// A run under a warm-up, by hand: the first day's amount goes, the command ends and says until when the rest waits and why, the
// status shows how far the account is, and on the next day the run goes on.
func TestWarmUpByHand(t *testing.T) {
	t.Parallel()
	w := newShop(t, 50, `, warm_up: {start: 20/day, double_every: 1d}`)
	today := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	w.now = func() time.Time { return today }
	const unused = "no run is under way; earlier ones: sapa report\n\nwarm-up: email smtp://MAIL was not used yet: 20 on the first day\n"
	w.want(exitOK, unused, "status")
	code, printed := w.sapa("run", "hello")
	const rests = `run 1 sending: sent 20 of 50
30 wait until Tue 24 Nov 00:00 UTC; sapa serve sends them by itself, or then: sapa resume 1
why: warm-up: today's 20 of smtp://MAIL are used; goes on at 00:00 (UTC)
`
	if !strings.HasSuffix(printed, rests) || code != exitPartial {
		t.Errorf("exit code %d\n%s", code, printed)
	}
	if out := w.ok("status"); !strings.HasSuffix(out, "\nwarm-up: email smtp://MAIL, day 1: 20 of 20 used today\n") {
		t.Errorf("%s", out)
	}
	const fromHere = "nobody else is sending; run 1 goes on from here\n"
	w.want(exitPartial, fromHere+rests, "resume", "1") // nothing more today
	if n := w.caught(); n != 20 {
		t.Errorf("%d messages went, want 20", n)
	}
	today = today.AddDate(0, 0, 1)
	w.want(exitOK, fromHere+"run 1 done: sent 50 of 50\n", "resume", "1")
	if n := w.caught(); n != 50 {
		t.Errorf("%d messages went, want 50", n)
	}
}
