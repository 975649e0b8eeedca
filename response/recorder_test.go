package response

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newRecorder(t testing.TB, pool *pgxpool.Pool, opts RecorderOptions) *Recorder {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	r := NewRecorder(pool, opts)
	t.Cleanup(func() { closeRecorder(t, r) })
	return r
}

func closeRecorder(t testing.TB, r *Recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func openHit(message int64, at time.Time) Hit {
	return Hit{At: at, MessageID: message, Kind: HitOpen, Verdict: Human, IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "Thunderbird"}
}

func clickHit(message int64, link int, at time.Time) Hit {
	return Hit{At: at, MessageID: message, Kind: HitClick, Part: HTML, Link: link, Verdict: Human, IP: netip.MustParseAddr("192.0.2.7")}
}

func mustRecord(t testing.TB, r *Recorder, hits ...Hit) {
	t.Helper()
	for _, h := range hits {
		if err := r.Record(t.Context(), h); err != nil {
			t.Fatalf("record %+v: %v", h, err)
		}
	}
}

func TestRecorderCounts(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers", "https://shop.example/a", "https://shop.example/b").Run(t, "", 5)
	r := newRecorder(t, pool, RecorderOptions{})

	one, two := run.Base+1, run.Base+2
	proxied := openHit(two, noon)
	proxied.Verdict, proxied.Reason = Proxy, "Apple Mail Privacy Protection"
	scanned := clickHit(two, 0, noon)
	scanned.Verdict = Scanner
	mustRecord(t, r,
		openHit(one, noon), openHit(one, noon.Add(time.Minute)), proxied,
		clickHit(one, 0, noon.Add(2*time.Minute)), clickHit(one, 0, noon.Add(3*time.Minute)), clickHit(one, 1, noon.Add(time.Hour)), scanned,
		Hit{At: noon, MessageID: two, Kind: HitPage, Verdict: Human},
		openHit(run.Base+6, noon), openHit(1, noon), // no such messages
	)
	want := []string{"click 3/1", "click html 0 2/1", "click html 1 1/1", "machine_click 1/1", "machine_open 1/1", "open 2/1"}
	if diff := cmp.Diff(want, totals(t, pool)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, totalsOfHits(t, pool)); diff != "" {
		t.Errorf("hits and responses (-want +got):\n%s", diff)
	}
	got := lines(t, pool, `select concat_ws(' ', kind, nullif(part, ''), nullif(link, -1), to_char(first_at, 'HH24:MI')) from responses where message_id = $1 order by 1`, one)
	if diff := cmp.Diff([]string{"click 12:02", "click html 0 12:02", "click html 1 13:00", "open 12:00"}, got); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	if s := r.Stats(); s.Recorded != 8 || s.Unknown != 2 || s.Dropped != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestRecorderCommitsManyAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 1000)
	r := newRecorder(t, pool, RecorderOptions{})
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if err := r.Record(t.Context(), openHit(run.Base+1+int64(i%500), noon)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]string{"open 1000/500"}, totals(t, pool)); diff != "" {
		t.Error(diff)
	}
	if s := r.Stats(); s.Recorded != 1000 || s.Commits > 200 {
		t.Errorf("%d hits took %d commits", s.Recorded, s.Commits)
	}
}

// block keeps hits from being written until the returned function is called.
func block(t testing.TB, pool *pgxpool.Pool) (release func()) {
	t.Helper()
	return lock(t, pool, "hits")
}

// lock keeps everybody from a table until the returned function is called.
func lock(t testing.TB, pool *pgxpool.Pool, table string) (release func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `lock table `+table+` in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Error(err)
		}
	}
}

func TestRecorderNeverBlocks(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 10)
	r := newRecorder(t, pool, RecorderOptions{Queue: 3})
	release := block(t, pool)
	defer release()
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := r.Record(ctx, openHit(run.Base+1+int64(i), noon)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("record while the table is locked: %v", err)
		}
		cancel()
	}
	if err := r.Record(t.Context(), openHit(run.Base+4, noon)); !errors.Is(err, ErrDropped) {
		t.Errorf("record into a full queue: %v", err)
	}
	release()
	closeRecorder(t, r)
	if diff := cmp.Diff([]string{"open 3/3"}, totals(t, pool)); diff != "" {
		t.Errorf("late hits are not lost:\n%s", diff)
	}
	if s := r.Stats(); s.Late != 3 || s.Dropped != 1 || s.Recorded != 3 {
		t.Errorf("stats: %+v", s)
	}
	if err := r.Record(t.Context(), openHit(run.Base+4, noon)); !errors.Is(err, ErrClosed) {
		t.Errorf("record after close: %v", err)
	}
}

// signalWriter tells when something is logged.
type signalWriter struct {
	once   sync.Once
	logged chan struct{}
	mu     sync.Mutex
	text   strings.Builder
}

func (w *signalWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once.Do(func() { close(w.logged) })
	return w.text.Write(p)
}

// busy is a database that ends statements which wait for a lock of block.
func busy(t testing.TB) *pgxpool.Pool { return pgtest.Pool(t, pgtest.Setting("lock_timeout", "20ms")) }

func TestRecorderWaitsForPostgres(t *testing.T) {
	t.Parallel()
	pool := busy(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 10)
	log := &signalWriter{logged: make(chan struct{})}
	r := newRecorder(t, pool, RecorderOptions{Log: slog.New(slog.NewTextHandler(log, nil))})
	release := block(t, pool)
	defer release()
	result := make(chan error, 1)
	go func() { result <- r.Record(t.Context(), openHit(run.Base+1, noon)) }()
	<-log.logged
	release()
	if err := <-result; err != nil {
		t.Errorf("record after PostgreSQL came back: %v", err)
	}
	if diff := cmp.Diff([]string{"open 1/1"}, totals(t, pool)); diff != "" {
		t.Error(diff)
	}
}

func TestRecorderGivesUp(t *testing.T) {
	t.Parallel()
	pool := busy(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 10)
	log := &signalWriter{logged: make(chan struct{})}
	r := newRecorder(t, pool, RecorderOptions{RetryFor: 60 * time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))})
	release := block(t, pool)
	defer release()
	if err := r.Record(t.Context(), openHit(run.Base+1, noon)); !errors.Is(err, ErrDropped) {
		t.Errorf("record with PostgreSQL away for good: %v", err)
	}
	if s := r.Stats(); s.Dropped != 1 {
		t.Errorf("stats: %+v", s)
	}
	closeRecorder(t, r)
	text := log.text.String()
	if !strings.Contains(text, `msg="hits dropped" hits=1`) || !strings.Contains(text, "recorded=0 late=0 dropped=1") || strings.Contains(text, "192.0.2.7") {
		t.Errorf("the log is wrong:\n%s", text)
	}
}

// A statement that PostgreSQL will refuse again is neither tried again nor tried with fewer hits.
func TestRecorderDoesNotRepeatWhatIsRefused(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 10)
	log := &signalWriter{logged: make(chan struct{})}
	r := newRecorder(t, pool, RecorderOptions{Log: slog.New(slog.NewTextHandler(log, nil))})
	ledgertest.Exec(t, pool, `alter table hits rename to hits_away`)
	hits := []Hit{openHit(run.Base+1, noon), openHit(run.Base+2, noon)}
	if err := r.persist(t.Context(), hits); !errors.Is(err, ErrDropped) {
		t.Errorf("persist: %v", err)
	}
	if s := r.Stats(); s.Dropped != 2 {
		t.Errorf("stats: %+v", s)
	}
	text := log.text.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, `msg="hits dropped" hits=2`) {
		t.Errorf("the log is wrong:\n%s", text)
	}
}

func TestOneRefusedHitKeepsItsBatch(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 10)
	r := newRecorder(t, pool, RecorderOptions{})
	hits := []Hit{openHit(run.Base+1, noon), openHit(run.Base+2, noon), openHit(run.Base+3, noon), openHit(run.Base+4, noon)}
	hits[2].Kind = "bogus" // violates the check of hits.kind
	if err := r.persist(t.Context(), hits); !errors.Is(err, ErrDropped) {
		t.Errorf("persist: %v", err)
	}
	if diff := cmp.Diff([]string{"open 3/3"}, totals(t, pool)); diff != "" {
		t.Error(diff)
	}
}

func TestRecorderTakesAnyUserAgent(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 10)
	r := newRecorder(t, pool, RecorderOptions{})
	for _, agent := range []string{"a\x00b", "a\xffb", strings.Repeat("é", 400), strings.Repeat("x", 299) + "é"} {
		h := openHit(run.Base+1, noon)
		h.UserAgent = agent
		mustRecord(t, r, h)
	}
	got := lines(t, pool, `select left(user_agent, 3) || ' ' || octet_length(user_agent) from hits order by id`)
	if diff := cmp.Diff([]string{"a?b 3", "a?b 3", "ééé 300", "xxx 299"}, got); diff != "" {
		t.Error(diff)
	}
}

// A program that follows every link at once is told from a person, also when the first hits were counted already.
func TestBursts(t *testing.T) {
	t.Parallel()
	page := func(message int64, at time.Time) Hit {
		return Hit{At: at, MessageID: message, Kind: HitPage, Verdict: Human, IP: netip.MustParseAddr("192.0.2.7")}
	}
	ms := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	for name, c := range map[string]struct {
		hits func(m int64) []Hit
		want []string
	}{
		"two links, two commits": {
			func(m int64) []Hit { return []Hit{clickHit(m, 0, ms(0)), clickHit(m, 1, ms(400))} },
			[]string{"machine_click 2/1"},
		},
		"a link and the unsubscribe page": {
			func(m int64) []Hit { return []Hit{page(m, ms(0)), clickHit(m, 0, ms(900))} },
			[]string{"machine_click 1/1"},
		},
		"with the pixel": {
			func(m int64) []Hit { return []Hit{openHit(m, ms(0)), clickHit(m, 0, ms(10)), clickHit(m, 1, ms(20))} },
			[]string{"machine_click 2/1", "machine_open 1/1"},
		},
		"the person comes later": {
			func(m int64) []Hit {
				return []Hit{clickHit(m, 0, ms(0)), clickHit(m, 1, ms(10)), openHit(m, ms(60_000)), clickHit(m, 0, ms(61_000))}
			},
			[]string{"click 1/1", "click html 0 1/1", "machine_click 2/1", "open 1/1"},
		},
		"the person came before": {
			func(m int64) []Hit {
				return []Hit{clickHit(m, 1, ms(0)), clickHit(m, 0, ms(5000)), clickHit(m, 1, ms(5010))}
			},
			[]string{"click 1/1", "click html 1 1/1", "machine_click 2/1"},
		},
		"one link twice": {
			func(m int64) []Hit { return []Hit{clickHit(m, 0, ms(0)), clickHit(m, 0, ms(200))} },
			[]string{"click 2/1", "click html 0 2/1"},
		},
		"a quick reader": {
			func(m int64) []Hit {
				return []Hit{openHit(m, ms(0)), clickHit(m, 0, ms(700)), clickHit(m, 1, ms(1800))}
			},
			[]string{"click 2/1", "click html 0 1/1", "click html 1 1/1", "open 1/1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 2)
			r := newRecorder(t, pool, RecorderOptions{})
			mustRecord(t, r, c.hits(run.Base+1)...)
			if diff := cmp.Diff(c.want, totals(t, pool)); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(totalsOfHits(t, pool), totals(t, pool)); diff != "" {
				t.Errorf("totals are not those of the hits:\n%s", diff)
			}
		})
	}
}

// A person's open that another process records, while a burst of the message is judged again, still counts.
func TestBurstBesideAnotherProcess(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "offer", "offers").Run(t, "", 2)
	r, message := newRecorder(t, pool, RecorderOptions{}), run.Base+1
	mustRecord(t, r, openHit(message, noon), clickHit(message, 0, noon.Add(10*time.Millisecond)))

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	person := openHit(message, noon.Add(time.Minute))
	rows := &hitRows{counts: map[countKey]*countSum{}}
	rows.add(int32(run.ID), &person)
	if err := rows.insert(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	judged := make(chan error, 1)
	go func() { judged <- r.Record(t.Context(), clickHit(message, 1, noon.Add(20*time.Millisecond))) }()
	awaitBlocked(t, pool, judged)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-judged; err != nil {
		t.Error(err)
	}
	want := []string{"machine_click 2/1", "machine_open 1/1", "open 1/1"}
	if diff := cmp.Diff(want, totals(t, pool)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, totalsOfHits(t, pool)); diff != "" {
		t.Errorf("hits and responses (-want +got):\n%s", diff)
	}
	got := lines(t, pool, `select to_char(first_at, 'HH24:MI') from responses where kind = 'open'`)
	if diff := cmp.Diff([]string{"12:01"}, got); diff != "" {
		t.Error(diff)
	}
}

// awaitBlocked waits until a session of the pool waits for another one's lock, or the work that should is done.
func awaitBlocked(t testing.TB, pool *pgxpool.Pool, done chan error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		var blocked bool
		err := pool.QueryRow(t.Context(), `
			select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`).Scan(&blocked)
		if err != nil {
			t.Fatal(err)
		}
		if blocked {
			return
		}
		select {
		case err := <-done:
			done <- err
			return
		default:
		}
	}
}

// BenchmarkRecorder is durable hits from 128 clients; BenchmarkInsertPerHit the same rows, each in a commit of its own.
// The throw-away server doesn't wait for the disk, so on a real one the ratio is greater.
func BenchmarkRecorder(b *testing.B) {
	pool := pgtest.Pool(b)
	run := ledgertest.NewCampaign(b, pool, "offer", "offers").Run(b, "", 100_000)
	r := newRecorder(b, pool, RecorderOptions{})
	record(b, run, func(h Hit) error { return r.Record(b.Context(), h) })
	b.ReportMetric(float64(r.Stats().Recorded)/float64(r.Stats().Commits), "hits/commit")
}

func BenchmarkInsertPerHit(b *testing.B) {
	pool := pgtest.Pool(b)
	run := ledgertest.NewCampaign(b, pool, "offer", "offers").Run(b, "", 100_000)
	record(b, run, func(h Hit) error {
		_, err := pool.Exec(b.Context(), `insert into hits (at, message_id, kind, ip, user_agent, verdict) values ($1, $2, $3, $4, $5, $6)`,
			h.At, h.MessageID, h.Kind, h.IP, h.UserAgent, h.Verdict)
		return err
	})
}

func record(b *testing.B, run *ledgertest.Run, write func(Hit) error) {
	var n atomic.Int64
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := write(openHit(run.Base+1+n.Add(1)%100_000, noon)); err != nil {
				b.Error(err)
			}
		}
	})
}
