package privacy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
)

const november = Month(10)

// settled is a shop of which November is over.
func settled(t *testing.T) *shop {
	s := setup(t)
	s.zul()
	s.two.Settle(t, 1, 5, "failed", "refused")
	s.exec(`update runs set state = 'done' where id = $1`, s.two.ID)
	if list, err := report.Check(t.Context(), s.pool); err != nil || len(list) > 0 {
		// The history's second and third hits have no totals of their own; they are mended before anything is compared.
		_, err = report.Mend(t.Context(), s.pool)
		s.must(err)
	}
	return s
}

// totalViews are the documented views that say something about runs and not about single messages or hits.
func (s *shop) totalViews() map[string][]string {
	s.t.Helper()
	views := s.texts(`select table_name::text from information_schema.views v where table_schema = current_schema() and table_name like 'report\_%' and table_name <> 'report_channels' -- which counts messages
		and not exists (select from information_schema.columns c where c.table_schema = v.table_schema and c.table_name = v.table_name and c.column_name in ('message_id', 'hit_id'))
		order by 1`)
	if len(views) < 4 {
		s.t.Fatalf("views: %v", views)
	}
	said := map[string][]string{}
	for _, v := range views {
		said[v] = s.texts(`select v::text from ` + pgx.Identifier{v}.Sanitize() + ` v order by 1`)
	}
	return said
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := settled(t)
	before := s.totalViews()
	if len(before["report_runs"]) != 3 || len(before["report_undelivered"]) != 0 && len(before["report_undelivered"]) != 1 {
		t.Fatalf("%v", before)
	}
	p, err := Prune(t.Context(), s.pool, november, "ani")
	s.must(err)
	if diff := cmp.Diff(Pruned{Month: november, Runs: 3, Messages: 15, Attempts: 7}, p); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, s.totalViews()); diff != "" {
		t.Errorf("the reports say something else:\n%s", diff)
	}
	for table, want := range map[string]int{
		"messages": 0, "attempts": 0, "hits": 0, "responses": 0, "delivery_reports": 0,
		"short_links": 1, "occasions": 15, "consents": 1, "inbound": 2, "suppressions": 1,
	} {
		if n := s.number(`select count(*) from ` + table); n != want {
			t.Errorf("%s has %d rows, want %d", table, n, want)
		}
	}
	for name, check := range map[string]func() ([]report.Difference, error){
		"check": func() ([]report.Difference, error) { return report.Check(t.Context(), s.pool) },
		"mend":  func() ([]report.Difference, error) { return report.Mend(t.Context(), s.pool) },
	} {
		if list, err := check(); err != nil || len(list) > 0 {
			t.Errorf("%s: %v %v", name, list, err)
		}
	}
	if diff := cmp.Diff(before, s.totalViews()); diff != "" {
		t.Errorf("mending changed the reports:\n%s", diff)
	}
	if diff := cmp.Diff([]string{`ani prune month 2026-11 {"runs": 3, "attempts": 7, "messages": 15}`},
		s.texts(`select concat_ws(' ', actor, action, subject, detail) from audit_log where action = 'prune'`)); diff != "" {
		t.Error(diff)
	}
	if again, err := Prune(t.Context(), s.pool, november, "ani"); err != nil || again.Messages != 0 {
		t.Errorf("again: %+v %v", again, err)
	}
	if months, err := Months(t.Context(), s.pool, november+5); err != nil || len(months) > 0 {
		t.Errorf("%v %v", months, err)
	}
}

// TestLinksOfPrunedMonths clicks on links of mails whose messages are gone.
func TestLinksOfPrunedMonths(t *testing.T) {
	t.Parallel()
	s := settled(t)
	keys, err := response.LoadKeyring(t.Context(), s.pool)
	s.must(err)
	sign := func(kind response.Kind) string {
		token, err := keys.Sign(response.Token{Kind: kind, MessageID: s.one.Base + 2, Part: response.HTML})
		s.must(err)
		return token
	}
	_, err = Prune(t.Context(), s.pool, november, "ani")
	s.must(err)
	before := s.totalViews()
	rec := response.NewRecorder(s.pool, response.RecorderOptions{})
	tracker := response.NewTracker(s.pool, keys, rec)
	visit := response.Visit{At: today, IP: netip.MustParseAddr("203.0.113.9"), Method: "GET", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
	target, err := tracker.Click(t.Context(), sign(response.Click), visit)
	if err != nil || target != "https://bengkel.example/hadiah" {
		t.Errorf("click: %q %v", target, err)
	}
	s.must(tracker.Open(t.Context(), sign(response.Open), visit))
	visit.Method = "POST"
	_, err = tracker.Unsubscribe(t.Context(), sign(response.Unsubscribe), response.ThisTopic, response.ByPage, visit)
	s.must(err)
	s.must(rec.Close(t.Context()))
	if diff := cmp.Diff([]string{"c2 * news f"}, s.texts(`select concat_ws(' ', customer_key, channel, topic, granted) from consents where customer_key = 'c2'`)); diff != "" {
		t.Errorf("unsubscribing:\n%s", diff)
	}
	if n := s.number(`select count(*) from hits`) + s.number(`select count(*) from responses`); n != 0 {
		t.Errorf("%d rows refer to messages that are gone", n)
	}
	if diff := cmp.Diff(before, s.totalViews()); diff != "" {
		t.Errorf("the reports count them again:\n%s", diff)
	}
}

func TestPruneRefuses(t *testing.T) {
	t.Parallel()
	s := settled(t)
	for _, tt := range []struct{ change, undo, want string }{
		{
			`update runs set state = 'paused' where id = 2`, `update runs set state = 'done' where id = 2`,
			"2026-11 stays: run 2 of hello is paused",
		},
		{
			`update runs set state = 'planning' where id = 2`, `update runs set state = 'done' where id = 2`,
			"2026-11 stays: run 2 of hello is planning",
		},
		{
			`update messages set state = 'unknown' where run_id in (1, 3) and customer_key = 'c2'`, `update messages set state = 'sent' where state = 'unknown'`,
			"2026-11 stays: run 1 of hello has 1 unknown, run 3 of hello has 1 unknown",
		},
		{
			`update messages set state = 'planned' where run_id = 1 and customer_key < 'c3'`, `update messages set state = 'sent' where state = 'planned'`,
			"2026-11 stays: run 1 of hello has 2 planned",
		},
		{
			`update messages set state = 'claimed' where run_id = 1 and customer_key < 'c3'`, `update messages set state = 'sent' where state = 'claimed'`,
			"2026-11 stays: run 1 of hello has 2 claimed",
		},
	} {
		s.exec(tt.change)
		_, err := Prune(t.Context(), s.pool, november, "ani")
		if open, ok := errors.AsType[*OpenError](err); !ok || open.Error() != tt.want {
			t.Errorf("%s: %v", tt.change, err)
		}
		if n := s.number(`select count(*) from messages`); n != 15 {
			t.Errorf("%s: %d messages are left", tt.change, n)
		}
		s.exec(tt.undo)
	}
}

// TestPruneChecksAgainUnderLock: what was over when it was looked at first may have been retried since.
func TestPruneChecksAgainUnderLock(t *testing.T) {
	t.Parallel()
	s := settled(t)
	retry, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = retry.Exec(t.Context(), `update messages set state = 'planned' where run_id = 2 and customer_key = 'c1'`)
	s.must(err)
	done := make(chan error, 1)
	go func() {
		_, err := Prune(t.Context(), s.pool, november, "ani")
		done <- err
	}()
	for s.number(`select count(*) from pg_locks where not granted and relation = 'messages'::regclass`) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	s.must(retry.Commit(t.Context()))
	if open, ok := errors.AsType[*OpenError](<-done); !ok || open.Error() != "2026-11 stays: run 2 of hello has 1 planned" {
		t.Errorf("%v", open)
	}
}

// TestPruneIsFinishedLater: a process that dies between dropping and deleting leaves the rest to the next.
func TestPruneIsFinishedLater(t *testing.T) {
	t.Parallel()
	s := settled(t)
	p := Pruned{Month: november}
	s.must(pg.InTx(t.Context(), s.pool, func(tx pgx.Tx) error { return p.drop(t.Context(), tx, "ani") }))
	if n := s.number(`select count(*) from hits`); n == 0 {
		t.Fatal("nothing is left to delete")
	}
	s.must(Sweep(t.Context(), s.pool))
	if n := s.number(`select count(*) from hits`); n != 0 {
		t.Errorf("%d hits are left", n)
	}
	if n := s.number(`select count(*) from pruned_months where swept`); n != 1 {
		t.Errorf("%d months are swept", n)
	}
}

// TestCheckTellsLostMonths: a month that is gone without having been pruned is said, and not mended away.
func TestCheckTellsLostMonths(t *testing.T) {
	t.Parallel()
	s := settled(t)
	before := s.totalViews()
	s.exec(`drop table messages_2026_11`)
	list, err := report.Mend(t.Context(), s.pool)
	s.must(err)
	if len(list) > 0 {
		t.Errorf("mended %v", list)
	}
	if diff := cmp.Diff(before, s.totalViews()); diff != "" {
		t.Error(diff)
	}
	list, err = report.Check(t.Context(), s.pool)
	s.must(err)
	var got []string
	for _, d := range list {
		got = append(got, d.String())
	}
	want := []string{}
	for run := 1; run <= 3; run++ {
		want = append(want, fmt.Sprintf("run %d, messages of a month that is gone and was not pruned: the totals say 5, the ledger 0", run))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMonth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Month{"2026-01": 0, "2026-11": 10, "2027-02": 13} {
		m, err := ParseMonth(text)
		if err != nil || m != want || m.String() != text {
			t.Errorf("%s: %d %v %s", text, m, err, m)
		}
	}
	if m := MonthOf(ledgertest.Tick); m != november || m.partition("messages") != "messages_2026_11" {
		t.Errorf("%v %s", m, m.partition("messages"))
	}
	_, err := ParseMonth("May")
	if err == nil || !strings.Contains(err.Error(), `"May" is no month; write it as 2026-05`) {
		t.Errorf("%v", err)
	}
}
