package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/response"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// site is a public listener on loopback over a database with one run of ten messages.
type site struct {
	t      *testing.T
	pool   *pgxpool.Pool
	run    *ledgertest.Run
	urls   *response.URLs
	client *http.Client
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func newSite(t *testing.T, change func(*PublicDeps)) *site {
	t.Helper()
	return newSiteOn(t, pgtest.Pool(t), change)
}

func newSiteOn(t *testing.T, pool *pgxpool.Pool, change func(*PublicDeps)) *site {
	t.Helper()
	s := &site{t: t, pool: pool, log: &lockedBuffer{}}
	s.run = ledgertest.NewCampaign(t, s.pool, "oil-change", "service-reminders", "https://bengkel.example/booking").Run(t, "", 10)
	keys, err := response.LoadKeyring(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	rec := response.NewRecorder(s.pool, response.RecorderOptions{Log: log})
	deps := PublicDeps{
		Tracker: response.NewTracker(s.pool, keys, rec), Company: "Bengkel Maju", Log: log,
		Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) },
	}
	if change != nil {
		change(&deps)
	}
	base := serve(t, Public(deps))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := rec.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if s.urls, err = response.NewURLs(base, keys); err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	s.client = &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// serve answers on a port of loopback until the test ends.
func serve(t *testing.T, h http.Handler) (base string) {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ServeListener(ctx, l, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, url, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("User-Agent", browser)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (s *site) lines(sql string, args ...any) []string {
	s.t.Helper()
	rows, _ := s.pool.Query(s.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *site) hits() []string {
	s.t.Helper()
	return s.lines(`select concat_ws(' ', kind, message_id - $1, host(ip), verdict) from hits order by id`, s.run.Base)
}

func (s *site) consents() []string {
	s.t.Helper()
	return s.lines(`select concat_ws(' ', customer_key, channel, topic, granted, source) from consents order by id`)
}
