package metrics

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/response"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

// scrape asks for metrics over HTTP and returns the samples of Sapa's own whose names match.
func scrape(t *testing.T, m *Metrics, names string) []string {
	t.Helper()
	s := httptest.NewServer(m.Handler())
	defer s.Close()
	r, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s %v\n%s", r.Status, err, body)
	}
	pattern := regexp.MustCompile(`^sapa_(` + names + `)[ {_]`)
	var found []string
	for line := range strings.Lines(string(body)) {
		if pattern.MatchString(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	slices.Sort(found)
	return found
}

func want(t *testing.T, m *Metrics, names string, samples ...string) {
	t.Helper()
	if diff := cmp.Diff(samples, scrape(t, m, names)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

func TestWhatAProcessDoes(t *testing.T) {
	t.Parallel()
	m := New("v1.2.3")
	m.Claimed("email", 64)
	m.Claimed("email", 3)
	m.Opened("email", nil)
	m.Opened("email", channels.Unavailable(errors.New("away")))
	m.Opened("email", channels.Permanent(errors.New("wrong password")))
	m.Attempted("email", channels.VerdictAccepted, 3*time.Millisecond)
	m.Attempted("email", channels.VerdictUnknown, time.Minute)
	m.Attempted("email", channels.VerdictUnavailable, 0)
	public := m.Requests("public")
	public("/o/{token}", 200, time.Millisecond)
	public("/c/{token}", 302, time.Millisecond)
	public("/c/{token}", 404, time.Millisecond)
	public("other", 0, time.Millisecond)
	want(t, m, "claimed|sessions_opened|attempts|handed|answer_seconds_count|build|http_requests",
		`sapa_answer_seconds_count{channel="email"} 1`,
		`sapa_attempts_total{channel="email",verdict="accepted"} 1`,
		`sapa_attempts_total{channel="email",verdict="unavailable"} 1`,
		`sapa_attempts_total{channel="email",verdict="unknown"} 1`,
		`sapa_build_info{version="v1.2.3"} 1`,
		`sapa_claimed_messages_total{channel="email"} 67`,
		`sapa_handed_over_total{channel="email"} 2`,
		`sapa_http_requests_total{listener="public",route="/c/{token}",status="3xx"} 1`,
		`sapa_http_requests_total{listener="public",route="/c/{token}",status="4xx"} 1`,
		`sapa_http_requests_total{listener="public",route="/o/{token}",status="2xx"} 1`,
		`sapa_http_requests_total{listener="public",route="other",status="none"} 1`,
		`sapa_sessions_opened_total{channel="email",result="opened"} 1`,
		`sapa_sessions_opened_total{channel="email",result="refused"} 1`,
		`sapa_sessions_opened_total{channel="email",result="unavailable"} 1`,
	)
}

func TestHowAProcessIs(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	m := New("")
	h := delivery.Health{
		Working: true, Worker: 3, Beat: 2 * time.Second, Permit: 20 * time.Second, Pools: map[string]*pgxpool.Stat{"books": pool.Stat()},
		Channels: []delivery.ChannelHealth{{Name: "email", Rate: 50, Connections: 8, Idle: 2}, {Name: "sms", Connections: 1, Broken: true, Trips: 4, Fallback: true}},
	}
	m.Engine(func() delivery.Health { return h })
	m.Hits(func() response.Stats {
		return response.Stats{Recorded: 10, Commits: 2, Late: 1, Dropped: 3, Unknown: 4}
	})
	want(t, m, "working|heartbeat|database|rate|sessions_idle|sessions_max|breaker|fallback|hit|hits|db_connections_max|claimed",
		`sapa_breaker_open{channel="email"} 0`,
		`sapa_breaker_open{channel="sms"} 1`,
		`sapa_breaker_trips{channel="email"} 0`,
		`sapa_breaker_trips{channel="sms"} 4`,
		`sapa_claimed_messages_total{channel="email"} 0`,
		`sapa_claimed_messages_total{channel="sms"} 0`,
		`sapa_database_foreign 0`,
		`sapa_db_connections_max{pool="books"} `+maxConns(pool),
		`sapa_fallback_used{channel="email"} 0`,
		`sapa_fallback_used{channel="sms"} 1`,
		`sapa_heartbeat_age_seconds 2`,
		`sapa_heartbeat_permit_seconds 20`,
		`sapa_hit_commits_total 2`,
		`sapa_hits_total{result="late"} 1`,
		`sapa_hits_total{result="lost"} 3`,
		`sapa_hits_total{result="recorded"} 10`,
		`sapa_hits_total{result="unknown"} 4`,
		`sapa_rate_limit{channel="email"} 50`,
		`sapa_rate_limit{channel="sms"} 0`,
		`sapa_sessions_idle{channel="email"} 2`,
		`sapa_sessions_idle{channel="sms"} 0`,
		`sapa_sessions_max{channel="email"} 8`,
		`sapa_sessions_max{channel="sms"} 1`,
		`sapa_working 1`,
	)
	h = delivery.Health{}
	want(t, m, "working|heartbeat_age", `sapa_working 0`) // no heartbeat before there is a worker
}

// fill makes a ledger with something of everything and returns the time that it is there.
func fill(t *testing.T, pool *pgxpool.Pool) (now time.Time) {
	t.Helper()
	run := ledgertest.NewCampaign(t, pool, "birthday", "greetings").Run(t, "", 100)
	run.Settle(t, 1, 40, "sent", "")
	run.Settle(t, 41, 45, "failed", "refused")
	run.Settle(t, 46, 48, "unknown", "")
	over := ledgertest.NewCampaign(t, pool, "welcome", "greetings").Run(t, "", 7)
	over.Settle(t, 1, 7, "sent", "")
	now = ledgertest.Tick.Add(time.Hour)
	ledgertest.Exec(t, pool, `update runs set state = 'done' where id = $1`, over.ID)
	ledgertest.Exec(t, pool, `insert into batches (run_id, lo, hi, due_at, channel, worker, done) values
		($1, 1, 2, $2::timestamptz - interval '90 s', 'email', null, false), ($1, 3, 4, $2::timestamptz - interval '5 s', 'email', null, false),
		($1, 5, 6, $2::timestamptz + interval '1 h', 'email', null, false), ($1, 7, 8, $2, 'email', 1, false), ($1, 9, 9, $2, 'email', null, true)`, run.ID, now)
	ledgertest.Exec(t, pool, `insert into workers (host, pid, heartbeat_at, stopped_at) values
		('a', 1, clock_timestamp(), null), ('b', 2, clock_timestamp() - interval '2 h', clock_timestamp() - interval '1 h')`)
	ledgertest.Exec(t, pool, `insert into river_job (kind, max_attempts, queue, args) values ('send_batch', 3, 'email', '{}')`)
	return now
}

func TestWhereTheLedgerStands(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	now := fill(t, pool)
	m := New("")
	m.Ledger(pool, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	want(t, m, "ledger|open_run|runs|batches|oldest|workers|schedule|quarantined|reports|river",
		`sapa_batches{channel="email",state="due"} 2`,
		`sapa_batches{channel="email",state="later"} 1`,
		`sapa_batches{channel="email",state="taken"} 1`,
		`sapa_ledger_messages{state="claimed"} 0`,
		`sapa_ledger_messages{state="failed"} 5`,
		`sapa_ledger_messages{state="held_out"} 0`,
		`sapa_ledger_messages{state="planned"} 52`,
		`sapa_ledger_messages{state="sent"} 47`,
		`sapa_ledger_messages{state="skipped"} 0`,
		`sapa_ledger_messages{state="unknown"} 3`,
		`sapa_ledger_up 1`,
		`sapa_oldest_due_seconds{channel="email"} 90`,
		`sapa_open_run_messages{channel="email",state="failed"} 5`,
		`sapa_open_run_messages{channel="email",state="planned"} 52`,
		`sapa_open_run_messages{channel="email",state="sent"} 40`,
		`sapa_open_run_messages{channel="email",state="unknown"} 3`,
		`sapa_quarantined_campaigns 0`,
		`sapa_reports_open 0`,
		`sapa_river_jobs{queue="email",state="available"} 1`,
		`sapa_runs{state="paused"} 0`,
		`sapa_runs{state="planning"} 0`,
		`sapa_runs{state="sending"} 1`,
		`sapa_schedule_lag_seconds 0`,
		`sapa_workers 1`,
	)
}

// Without the database everything else is still told, and that it does not answer.
func TestLedgerAway(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	pool.Close()
	m := New("")
	m.Claimed("email", 1)
	m.Ledger(pool, time.Now, slog.New(slog.DiscardHandler))
	want(t, m, "ledger|claimed|runs", `sapa_claimed_messages_total{channel="email"} 1`, `sapa_ledger_up 0`)
}

// Many who ask at once don't ask the database each time.
func TestLedgerIsAskedSeldom(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "birthday", "greetings").Run(t, "", 10)
	m := New("")
	m.Ledger(pool, time.Now, slog.New(slog.DiscardHandler))
	began := time.Now()
	before := scrape(t, m, "ledger_messages")
	run.Settle(t, 1, 10, "sent", "")
	if after := scrape(t, m, "ledger_messages"); time.Since(began) < lookEvery && cmp.Diff(before, after) != "" {
		t.Errorf("the second time it was asked again:\n%s", cmp.Diff(before, after))
	}
}

// Every metric is in the documentation, and none but those; labels are few.
func TestNames(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	m := New("")
	m.Engine(func() delivery.Health {
		return delivery.Health{Worker: 1, Channels: []delivery.ChannelHealth{{Name: "email"}}, Pools: map[string]*pgxpool.Stat{"books": pool.Stat()}}
	})
	m.Claimed("email", 1)
	m.Attempted("email", channels.VerdictAccepted, 1)
	m.Opened("email", nil)
	m.Requests("public")("/o/{token}", 200, 1)
	m.Hits(func() response.Stats { return response.Stats{} })
	now := fill(t, pool)
	m.Ledger(pool, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"channel", "verdict", "state", "result", "listener", "route", "status", "pool", "queue", "version"}
	known := map[string]bool{}
	for _, f := range families {
		known[f.GetName()] = true
		if !strings.HasPrefix(f.GetName(), "sapa_") {
			continue
		}
		if !strings.Contains(string(text), "`"+f.GetName()+"`") {
			t.Errorf("docs/operating.md does not have %s", f.GetName())
		}
		for _, sample := range f.GetMetric() {
			for _, label := range sample.GetLabel() {
				if !slices.Contains(allowed, label.GetName()) {
					t.Errorf("%s has the label %s", f.GetName(), label.GetName())
				}
			}
		}
	}
	dashboard, err := os.ReadFile("../docs/grafana.json")
	if err != nil || !json.Valid(dashboard) {
		t.Fatalf("docs/grafana.json is no JSON: %v", err)
	}
	for _, name := range regexp.MustCompile(`sapa_[a-z_]+`).FindAllString(string(text)+string(dashboard), -1) {
		if !known[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("the documents have %s, and there is none", name)
		}
	}
}

func maxConns(pool *pgxpool.Pool) string { return strconv.Itoa(int(pool.Stat().MaxConns())) }
