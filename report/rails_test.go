package report_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/report"
)

// The overview says what keeps a campaign from running, also of one of which no version is approved.
func TestOverviewOfRails(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	free := ledgertest.NewCampaign(t, pool, "free", "x")
	bad := ledgertest.NewCampaign(t, pool, "bad", "x")
	waits := ledgertest.NewCampaign(t, pool, "waits", "x")
	ledgertest.Exec(t, pool, `insert into quarantines (campaign_id, version_id, run_id, reason) values ($1, $2, 1, 'the template failed')`, bad.ID, bad.Version)
	ledgertest.Exec(t, pool, `with v as (
			insert into versions (campaign_id, number, topic, source, files, fingerprint, applied_by) values ($1, 2, 'x', 'y', '{}', '\x01', 'ani') returning id)
		insert into approvals (version_id, state, required) select id, 'waiting', true from v`, free.ID)
	ledgertest.Exec(t, pool, `insert into approvals (version_id, state, required) values ($1, 'waiting', true)`, waits.Version)
	ledgertest.Exec(t, pool, `update campaigns set version_id = null where id = $1`, waits.ID)
	list, err := report.Overview(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		line := fmt.Sprint(a.Name, " ", a.Version)
		if a.Waiting != nil {
			line += fmt.Sprint(" waits ", *a.Waiting)
		}
		if a.Quarantine != nil {
			line += " " + *a.Quarantine
		}
		got = append(got, line)
	}
	if d := cmp.Diff([]string{"bad 1 the template failed", "free 1 waits 2", "waits 0 waits 1"}, got); d != "" {
		t.Error(d)
	}
}
