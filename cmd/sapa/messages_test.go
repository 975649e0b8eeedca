package main

import (
	"strings"
	"testing"
)

func TestMessagesCommand(t *testing.T) {
	t.Parallel()
	r := setupReading(t)
	rows := func(args ...string) int {
		t.Helper()
		code, printed := r.run(append([]string{"messages"}, args...)...)
		if code != exitOK {
			t.Errorf("sapa messages %s: exit code %d\n%s", strings.Join(args, " "), code, printed)
		}
		return strings.Count(printed, "│ c")
	}
	if n := rows("2"); n != 50 {
		t.Errorf("%d rows without --limit", n)
	}
	if n := rows("2", "--limit", "0"); n != 1200 {
		t.Errorf("%d rows with --limit 0", n)
	}
	if n := rows("2", "--limit", "0", "--state", "held_out"); n != 0 {
		t.Errorf("%d rows held out", n)
	}
	if _, printed := r.run("messages", "2", "--state", "held_out", "--limit", "0"); strings.Contains(printed, "the first") {
		t.Errorf("all is not the first so many:\n%s", printed)
	}
	r.want(exitUsage, "sapa: --limit -1: write a number from 1, or 0 for all\n", "messages", "2", "--limit", "-1")
	r.want(exitFailed, "sapa: there is no run 7; see: sapa status --all\n", "messages", "7")
	if _, printed := r.run("messages", "--help"); !strings.Contains(printed, "skipped, held_out or unknown") || !strings.Contains(printed, "0 = all") {
		t.Errorf("help is\n%s", printed)
	}
}
