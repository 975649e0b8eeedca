package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// reading runs verbs on a database with two runs of one campaign.
type reading struct {
	t    *testing.T
	pool *pgxpool.Pool
}

func setupReading(t *testing.T) reading {
	t.Helper()
	pool := pgtest.Pool(t)
	c := ledgertest.NewCampaign(t, pool, "birthday", "wishes")
	one, two := c.Run(t, "", 20), c.Run(t, "again", 1200)
	one.Settle(t, 1, 20, "sent", "")
	one.Attempt(t, 1, 20, "accepted", 250, "ok")
	two.Settle(t, 1, 3, "failed", "hard bounce")
	ledgertest.Exec(t, pool, `update runs set state = 'done' where id = $1`, one.ID)
	return reading{t, pool}
}

// run returns the exit code and what was printed on both streams.
func (r reading) run(args ...string) (code int, printed string) {
	r.t.Helper()
	env := map[string]string{"DATABASE_URL": pgtest.URL(r.pool)}
	var out bytes.Buffer
	code = run(r.t.Context(), args, func(name string) string { return env[name] }, strings.NewReader(""), &out, &out)
	return code, out.String()
}

func (r reading) want(code int, want string, args ...string) {
	r.t.Helper()
	gotCode, got := r.run(args...)
	if gotCode != code {
		r.t.Errorf("sapa %s: exit code %d, want %d", strings.Join(args, " "), gotCode, code)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("sapa %s printed (-want +got):\n%s", strings.Join(args, " "), diff)
	}
}

func TestStatusCommand(t *testing.T) {
	t.Parallel()
	r := setupReading(t)
	r.want(exitOK, `birthday · run 2 “again” · tick 2026-11-22 08:00 · version 1 · sending

    1,197  planned       waiting
        0  sent
        3  failed        hard bounce 3
  ─────────────────
    1,200  audience
`, "status")
	r.want(exitOK, `  Run  Campaign  Tick          State    Waiting  Sent  Failed  Unknown
  ────────────────────────────────────────────────────────────────────
    1  birthday  22 Nov 08:00  done           0    20       0        0
    2  birthday  22 Nov 08:00  sending    1,197     0       3        0
`, "status", "--all")
	r.want(exitFailed, "sapa: there is no run 3; see: sapa status --all\n", "status", "3")
	r.want(exitUsage, "sapa: \"birthday\" is not the number of a run; see: sapa status --all\n", "status", "birthday")
}

func TestReportCommand(t *testing.T) {
	t.Parallel()
	r := setupReading(t)
	r.want(exitOK, `birthday · run 1 · tick 2026-11-22 08:00 · version 1 · done

       20  sent
  ─────────────────
       20  audience

        0  opened        0.0% of sent
        0  clicked       0.0% of sent
        0  unsubscribed  0.0% of sent
`, "report", "birthday", "--run", "1")
	if code, printed := r.run("report", "--csv"); code != exitOK || strings.Count(printed, "\n") != 3 {
		t.Errorf("%d:\n%s", code, printed)
	}
	if code, printed := r.run("report", "--json", "--since", "1d"); code != exitOK || !strings.HasPrefix(printed, "{\n  \"at\": ") {
		t.Errorf("%d:\n%s", code, printed)
	}
	r.want(exitFailed, "sapa: there is no campaign \"birtday\"\n  did you mean \"birthday\"?\n", "report", "birtday")
	r.want(exitUsage, "sapa: --since May is neither a date such as 2026-11-01 nor a time such as 30d or 12h\n", "report", "--since", "May")
}

func TestCheckCommand(t *testing.T) {
	t.Parallel()
	r := setupReading(t)
	r.want(exitOK, "everything adds up\n", "check")
	ledgertest.Exec(t, r.pool, `insert into run_totals (run_id, state, delta) values (1, 'sent', 2)`)
	difference := "run 1, sent: the totals say 22, the ledger 20\n"
	r.want(exitFailed, difference+"run 1, audience against its parts: the totals say 20, the ledger 22\nsapa: 2 numbers are not what the ledger says\n", "check")
	r.want(exitOK, difference+"mended 1\neverything adds up\n", "check", "--mend")
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"": "0001-01-01T00:00:00Z", "2026-11-01": "2026-11-01T00:00:00Z", "30d": "2026-10-23T10:30:00Z", "90m": "2026-11-22T09:00:00Z",
	} {
		if got, err := parseSince(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"2026-13-01", "-3d", "-3h", "x"} {
		if _, err := parseSince(bad, now); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
