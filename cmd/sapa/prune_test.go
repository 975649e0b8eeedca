package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestPruneCommand(t *testing.T) {
	t.Parallel()
	r := setupReading(t)
	later := func() time.Time { return ledgertest.Tick.AddDate(0, 3, 0) }
	want := func(code int, want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		env := func(name string) string { return map[string]string{"DATABASE_URL": pgtest.URL(r.pool)}[name] }
		got := runAt(t.Context(), later, args, env, &out)
		if got != code {
			t.Errorf("sapa %s: exit code %d, want %d", strings.Join(args, " "), got, code)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("sapa %s printed (-want +got):\n%s", strings.Join(args, " "), diff)
		}
	}
	want(exitUsage, "sapa: say the first month that stays, such as --before 2026-05\nsee: sapa prune --help\n", "prune")
	want(exitUsage, "sapa: --before \"last year\" is no month; write it as 2026-05\n", "prune", "--before", "last year")
	want(exitUsage, "sapa: --before 2027-03: only months that are over can be dropped, so 2027-02 at the latest\n", "prune", "--before", "2027-03")
	want(exitOK, "there are no messages before 2026-11\n", "prune", "--before", "2026-11")
	want(exitPartial, "2026-11 stays: run 2 of birthday is sending\n", "prune", "--before", "2026-12")
	ledgertest.Exec(t, r.pool, `update runs set state = 'done'`)
	want(exitPartial, "2026-11 stays: run 2 of birthday has 1197 planned\n", "prune", "--before", "2026-12", "--yes")
	ledgertest.Exec(t, r.pool, `update messages set state = 'sent' where state = 'planned'`)
	ledgertest.Exec(t, r.pool, `insert into run_totals (run_id, state, delta) values (2, 'sent', 1197), (2, 'planned', -1197)`)
	would := "2026-11 would be dropped: 1,220 messages and 20 attempts of 2 runs\n"
	want(exitOK, would, "prune", "--before", "2026-12", "--dry-run")
	want(exitFailed, would+"sapa: nothing was changed; to go ahead without being asked, add --yes\n", "prune", "--before", "2026-12")
	_, before := r.run("report", "--csv")
	want(exitOK, "2026-11 is dropped: 1,220 messages and 20 attempts of 2 runs\n", "prune", "--before", "2026-12", "--yes")
	if _, after := r.run("report", "--csv"); after != before || !strings.Contains(after, "1197") {
		t.Errorf("the report said\n%s\nand says\n%s", before, after)
	}
	want(exitOK, "everything adds up\n", "check")
	want(exitOK, "there are no messages before 2027-02\n", "prune", "--before", "2027-02", "--yes")
	want(exitOK, "{\n  \"months\": [],\n  \"stay\": []\n}\n", "prune", "--before", "2027-02", "--yes", "--json")
}
