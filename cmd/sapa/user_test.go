package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sapaIn runs a verb with something on its standard input.
func (w *world) sapaIn(in string, args ...string) (int, string) {
	w.t.Helper()
	var out terminalText
	a := newApp(func(name string) string { return w.env[name] }, strings.NewReader(in), &out, &out)
	if w.now != nil {
		a.now = w.now
	}
	root := newRootCommand(a)
	root.SetArgs(append([]string{"--project", w.dir}, args...))
	code := a.exitCode(root.ExecuteContext(w.t.Context()))
	return code, out.String()
}

func (w *world) wantIn(in string, code int, want string, args ...string) {
	w.t.Helper()
	got, printed := w.sapaIn(in, args...)
	if got != code || printed != want {
		w.t.Errorf("sapa %s: exit code %d, want %d, and printed (-want +got):\n%s", strings.Join(args, " "), got, code, cmp.Diff(want, printed))
	}
}

const passphrase = "kopi pagi di semarang"

func TestUsersByCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w.now = func() time.Time { return at }
	w.ok("migrate")
	w.want(exitOK, "no users yet; add one with: sapa user add NAME --role operator\n", "user", "list")
	w.wantIn(passphrase+"\n", exitOK, "user ani is added, role operator\n", "user", "add", "ani", "--role", "operator", "--password-stdin")
	w.want(exitOK, "user shop is added, role marketer\nmake a token with: sapa user token add shop\n", "user", "add", "shop", "--role", "marketer", "--no-password")
	w.want(exitFailed, "sapa: there is no terminal to ask for the password; use --password-stdin, or --no-password for a user who has API tokens only\n", "user", "add", "budi", "--role", "agent")
	w.wantIn("\n", exitFailed, "sapa: standard input has no password on its first line\n", "user", "add", "budi", "--role", "agent", "--password-stdin")
	w.wantIn("kurang\n", exitFailed, "sapa: the password has 6 characters; take at least 15, such as four or five words\n", "user", "add", "budi", "--role", "agent", "--password-stdin")
	w.want(exitUsage, "sapa: --role: no role \"agnet\"; did you mean \"agent\"?\n  write one of: marketer, agent, analyst, operator\n", "user", "add", "budi", "--role", "agnet")
	w.want(exitFailed, "sapa: there is a user ani already; change them with: sapa user set-role, password, enable\n", "user", "add", "ani", "--role", "agent", "--no-password")
	w.want(exitOK, "user shop has the role analyst from now on\n", "user", "set-role", "shop", "analyst")
	w.want(exitOK, "user shop is disabled\n", "user", "disable", "shop")
	w.want(exitOK, `┌──────┬──────────┬──────────┬────────┬──────────┬────────────┬────────────┐
│ NAME │ ROLE     │ PASSWORD │ TOKENS │ SESSIONS │ SINCE      │ DISABLED   │
├──────┼──────────┼──────────┼────────┼──────────┼────────────┼────────────┤
│ ani  │ operator │ yes      │      0 │        0 │ 2026-11-22 │            │
│ shop │ analyst  │          │      0 │        0 │ 2026-11-22 │ 2026-11-22 │
└──────┴──────────┴──────────┴────────┴──────────┴────────────┴────────────┘
`, "user", "list")
	w.want(exitOK, "user shop is enabled\n", "user", "enable", "shop")
	w.wantIn(passphrase+" dua\n", exitOK, "user ani has a new password; their sessions are ended\n", "user", "password", "ani", "--password-stdin")
	w.want(exitOK, "user ani has no password any more; their sessions are ended, their tokens still work\n", "user", "password", "ani", "--no-password")
	w.want(exitFailed, "sapa: no such user \"annie\"\n  did you mean \"ani\"?\n", "user", "disable", "annie")

	printed := w.ok("user", "token", "add", "shop", "--label", "web shop", "--expires", "30d")
	if !regexp.MustCompile(`^token 1 of shop, which works until 22 Dec 2026; keep it now, it can't be shown again:\nsapa_[-_0-9A-Za-z]{43}\n$`).MatchString(printed) {
		t.Errorf("token add printed\n%s", printed)
	}
	w.ok("user", "token", "add", "shop", "--expires", "never")
	w.want(exitUsage, "sapa: --expires soon: write days such as 90d, at most 3650d, or never\n", "user", "token", "add", "shop", "--expires", "soon")
	w.want(exitOK, "token 2 is revoked\n", "user", "token", "revoke", "2")
	at = at.AddDate(0, 0, 30)
	w.want(exitOK, `┌───────┬──────┬──────────┬────────────┬────────────┬───────────┬─────────┐
│ TOKEN │ USER │ LABEL    │ MADE       │ EXPIRES    │ LAST USED │ STATE   │
├───────┼──────┼──────────┼────────────┼────────────┼───────────┼─────────┤
│     2 │ shop │          │ 2026-11-22 │            │           │ revoked │
│     1 │ shop │ web shop │ 2026-11-22 │ 2026-12-22 │           │ expired │
└───────┴──────┴──────────┴────────────┴────────────┴───────────┴─────────┘
`, "user", "token", "list", "shop")

	code, printed := w.sapa("log", "--subject", "user", "--json")
	if code != exitOK || strings.Contains(printed, "sapa_") || strings.Contains(printed, passphrase) || strings.Count(printed, `"actor": "ani"`) != 10 {
		t.Errorf("log --json ends with %d:\n%s", code, printed)
	}
}

func TestLogByCommand(t *testing.T) {
	t.Parallel()
	w := newShop(t, 2, "")
	w.ok("run", "hello")
	w.env["SAPA_ACTOR"] = "budi"
	w.ok("user", "add", "cici", "--role", "agent", "--no-password")
	number := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`)
	_, printed := w.sapa("log", "--actor", "budi")
	want := `┌─────┬──────────────────────┬───────┬──────────┬───────────┬────────────────────────────┐
│ NO. │ WHEN                 │ ACTOR │ ACTION   │ SUBJECT   │ DETAILS                    │
├─────┼──────────────────────┼───────┼──────────┼───────────┼────────────────────────────┤
│   N │ WHEN                 │ budi  │ user add │ user cici │ password false, role agent │
└─────┴──────────────────────┴───────┴──────────┴───────────┴────────────────────────────┘
`
	got := number.ReplaceAllString(printed, "WHEN                ")
	got = regexp.MustCompile(`│ +\d+ │ W`).ReplaceAllString(got, "│   N │ W")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sapa log (-want +got):\n%s", diff)
	}
	for args, want := range map[string]int{"--action run": 1, "--subject campaign": 1, "--since 1h --limit 500": w.number(`select count(*) from sapa.audit_log`), "--actor nobody": 0} {
		printed := w.ok(append([]string{"log"}, strings.Fields(args)...)...)
		if got := strings.Count(printed, "\n│") - 1; got != want {
			t.Errorf("sapa log %s has %d entries, want %d:\n%s", args, got, want, printed)
		}
	}
	if printed := w.ok("log", "--limit", "1"); !strings.Contains(printed, "older ones: sapa log --before ") {
		t.Errorf("a page:\n%s", printed)
	}
	w.want(exitUsage, "sapa: --limit and --before: write numbers from 1\n", "log", "--limit", "0")
	w.want(exitUsage, "sapa: --since yesterday is neither a date such as 2026-11-01 nor a time such as 30d or 12h\n", "log", "--since", "yesterday")
}
