package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/report"
)

// theClock is the time before a line of sapa status --watch.
var theClock = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `)

func TestWatchUntilDone(t *testing.T) {
	t.Parallel()
	w := newShop(t, 40, ", rate: 20/s")
	w.exec(`update public.customers set email = 'bounce@example.com' where id = 3`)
	sending := w.start("run", "hello")
	w.until("it sends", func() bool { return w.caught() > 0 })
	w.want(exitUsage, "sapa: --until-done belongs to --watch; give both\n", "status", "--until-done")
	w.want(exitUsage, "sapa: --watch writes no JSON; leave one of --watch and --json out\n", "status", "--watch", "--json")
	endless := w.start("status", "--watch")
	code, printed := w.sapa("status", "--watch", "--until-done")
	lines := strings.Split(strings.TrimSpace(theClock.ReplaceAllString(printed, "")), "\n")
	if want := "run 1 hello done: 39 of 40 sent, 1 failed"; code != exitPartial || lines[len(lines)-1] != want {
		t.Errorf("exit code %d, the last line is not %q:\n%s", code, want, printed)
	}
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "run 1 hello sending: ") || !strings.HasSuffix(lines[0], " waiting") {
		t.Errorf("it did not say what was on its way:\n%s", printed)
	}
	for i := range lines[1:] {
		if lines[i] == lines[i+1] {
			t.Errorf("a line came again without a change: %s", lines[i])
		}
	}
	sending.wait()
	w.until("the other one has seen the end, too", func() bool { return strings.Contains(endless.printed(), lines[len(lines)-1]) })
	endless.stop()
	if code, printed := endless.wait(); code != exitOK {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, printed)
	}
	w.want(exitOK, "no run is under way\n", "status", "--watch", "--until-done")
}

// Who waits for the end of a run that stands still is told.
func TestWatchAPausedRun(t *testing.T) {
	t.Parallel()
	w := newShop(t, 20, ", rate: 5/s")
	sending := w.start("run", "hello")
	w.until("it sends", func() bool { return w.caught() > 0 })
	watching := w.start("status", "1", "--watch", "--until-done")
	w.until("it is watched", func() bool { return strings.Contains(watching.printed(), "run 1 hello sending") })
	w.ok("pause", "1")
	code, printed := watching.wait()
	if code != exitFailed || !strings.Contains(printed, "run 1 hello paused: ") || !strings.HasSuffix(printed, "sapa: run 1 is paused; see: sapa status 1\n") {
		t.Errorf("exit code %d\n%s", code, printed)
	}
	w.ok("cancel", "1")
	code, printed = w.sapa("status", "1", "--watch", "--until-done")
	if code != exitFailed || !strings.HasSuffix(printed, "sapa: run 1 was cancelled\n") {
		t.Errorf("exit code %d\n%s", code, printed)
	}
	sending.wait()
}

// In a terminal each look is drawn over the one before.
func TestWatchInATerminal(t *testing.T) {
	t.Parallel()
	w := newShop(t, 3, "")
	w.ok("run", "hello")
	var screen bytes.Buffer
	a := newApp(func(name string) string { return w.env[name] }, strings.NewReader(""), &screen, &screen)
	a.dir = w.dir
	s, err := a.openProjectDB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	watch := &watcher{a: a, s: s, filter: report.Filter{}, tty: true, said: map[int]string{}}
	for range 2 {
		screen.Reset()
		if ended, err := watch.look(t.Context()); err != nil || ended {
			t.Fatal(ended, err)
		}
		text := screen.String()
		if !strings.HasPrefix(text, "\x1b[H") || !strings.HasSuffix(text, "\x1b[J") || !strings.Contains(text, "hello") || !strings.Contains(text, "\x1b[K\n") {
			t.Errorf("%q", text)
		}
	}
	watch.untilDone = true
	screen.Reset()
	if ended, err := watch.look(t.Context()); err != nil || !ended || !strings.HasSuffix(screen.String(), " run 1 hello done: 3 of 3 sent\n") {
		t.Errorf("%v %v %q", ended, err, screen.String())
	}
}
