package response

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
)

// texts makes the bundle's messages texts to the numbers +62811000001 …, of which the first five were sent.
func (b *bundle) texts(t testing.TB) {
	t.Helper()
	h, err := customer.LoadHasher(t.Context(), b.pool)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(10) {
		number := "+6281100000" + string(rune('0'+n))
		ledgertest.Exec(t, b.pool, `
			with a as (insert into addresses (channel, raw, normalised, hash) values ('sms', $1, $1, $2) returning id)
			update messages m set channel = 'sms', address_id = a.id from a where m.id = $3`, number, h.Hash("sms", number), b.run.Base+1+n)
	}
	b.run.Settle(t, 1, 5, "sent", "")
	b.run.Attempt(t, 1, 5, "accepted", 201, "")
}

// settled remembers which messages a Hooks wanted settled.
type settled struct {
	mu  sync.Mutex
	ids []int64
}

func (s *settled) settle(_ context.Context, ids []int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, ids...)
	return errors.New("not now")
}

func (b *bundle) hooks(s *settled) *Hooks {
	return NewHooks(b.tracker, HookOptions{
		Company: "Bengkel Maju", Settle: s.settle, Priced: map[string]bool{"sms": true}, Log: slog.New(slog.DiscardHandler),
	})
}

func (b *bundle) report(t testing.TB, h *Hooks, n int64, r channels.Report, at time.Time) {
	t.Helper()
	if err := h.Report(t.Context(), "sms", b.urls.MessageToken(b.run.Base+n), r, at); err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) responses(t testing.TB) []string {
	t.Helper()
	return lines(t, b.pool, `select concat_ws(' ', message_id - $1, kind, nullif(part, ''), nullif(link, -1), to_char(first_at, 'HH24:MI'))
		from responses order by message_id, kind, link`, b.run.Base)
}

// Reports in any order, twice and at the same time say the same in the end.
func TestReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	s := &settled{}
	h := b.hooks(s)
	given := []struct {
		n int64
		r channels.Report
	}{
		{1, channels.Report{ProviderID: "SM1", Status: channels.ReportSent}},
		{1, channels.Report{ProviderID: "SM1", Status: channels.ReportDelivered}},
		{2, channels.Report{ProviderID: "SM2", Status: channels.ReportUndelivered, Code: 30003, Words: "Unreachable destination handset"}},
		{3, channels.Report{ProviderID: "SM3", Status: channels.ReportUndelivered, Code: 30005, Words: "Unknown destination handset", Suppress: "dead number"}},
		{4, channels.Report{ProviderID: "SM4", Status: channels.ReportDelivered}},
		{4, channels.Report{ProviderID: "SM4", Status: channels.ReportRead}},
		{7, channels.Report{ProviderID: "SM7", Status: channels.ReportAccepted}}, // planned
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all sync.WaitGroup
	for range 3 {
		for _, i := range random.Perm(len(given)) {
			all.Go(func() { b.report(t, h, given[i].n, given[i].r, noon.Add(time.Duration(i)*time.Minute)) })
		}
	}
	all.Wait()
	if diff := cmp.Diff([]string{
		"1 delivered 12:01", "2 undelivered 12:02", "2 undelivered 30003 0 12:02", "3 undelivered 12:03", "3 undelivered 30005 0 12:03",
		"4 delivered 12:04", "4 read 12:05",
	}, b.responses(t)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"delivered 2/2", "read 1/1", "undelivered 2/2", "undelivered 30003 0 1/1", "undelivered 30005 0 1/1"}, totals(t, b.pool)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	kept := lines(t, b.pool, `select concat_ws(' ', message_id - $1, provider_id, status, code, words, open, ask_at is not null)
		from delivery_reports order by message_id, status`, b.run.Base)
	if diff := cmp.Diff([]string{
		"1 SM1 delivered f t", "1 SM1 sent f f", "2 SM2 undelivered 30003 Unreachable destination handset f t",
		"3 SM3 undelivered 30005 Unknown destination handset f t", "4 SM4 delivered f t", "4 SM4 read f f", "7 SM7 accepted t f",
	}, kept); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"sms +62811000002 dead number"}, lines(t, b.pool, `select concat_ws(' ', channel, address, reason) from suppressions`)); diff != "" {
		t.Errorf("suppressions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{b.run.Base + 7}, s.ids); diff != "" {
		t.Errorf("settled (-want +got):\n%s", diff)
	}
}

// A replay does not suppress again whom somebody has let back in, and a message sent twice counts once.
func TestReplayedReport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	h := b.hooks(&settled{})
	dead := channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Code: 30005, Suppress: "dead number"}
	b.report(t, h, 1, dead, noon)
	if _, err := customer.Unsuppress(t.Context(), b.pool, "sms", "+62811000000"); err != nil {
		t.Fatal(err)
	}
	b.report(t, h, 1, dead, noon.Add(time.Hour))
	if got := lines(t, b.pool, `select address from suppressions`); len(got) > 0 {
		t.Errorf("a replay suppressed %v again", got)
	}
	again := dead
	again.ProviderID, again.Suppress = "SM9", ""
	b.report(t, h, 1, again, noon.Add(-time.Hour))
	if diff := cmp.Diff([]string{"1 undelivered 11:00", "1 undelivered 30005 0 11:00"}, b.responses(t)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"undelivered 2/1", "undelivered 30005 0 2/1"}, totals(t, b.pool)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

// What is no report on a message of ours is refused; one on a message that no run has is nothing to keep.
func TestReportTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.hooks(&settled{})
	r := channels.Report{ProviderID: "SM1", Status: channels.ReportDelivered}
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"another kind": {b.unsubscribe(1), ErrToken},
		"forged":       {strings.ToUpper(b.urls.MessageToken(b.run.Base + 1)), ErrToken},
		"nothing":      {"", ErrToken},
		"a preview":    {b.urls.MessageToken(1), nil},
	} {
		if err := h.Report(t.Context(), "sms", c.token, r, noon); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if got := lines(t, b.pool, `select status from delivery_reports`); len(got) > 0 {
		t.Errorf("kept %v", got)
	}
}

// While the database refuses, nothing is confirmed; afterwards the provider's repetition is taken.
func TestReportWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	h := b.hooks(&settled{})
	b.report(t, h, 1, channels.Report{ProviderID: "SM1", Status: channels.ReportSent}, noon) // the run is known
	ledgertest.Exec(t, b.pool, `alter table delivery_reports rename to away`)
	r := channels.Report{ProviderID: "SM1", Status: channels.ReportDelivered}
	if err := h.Report(t.Context(), "sms", b.urls.MessageToken(b.run.Base+1), r, noon); err == nil {
		t.Error("confirmed without a table to keep it")
	}
	ledgertest.Exec(t, b.pool, `alter table away rename to delivery_reports`)
	b.report(t, h, 1, r, noon)
	if diff := cmp.Diff([]string{"1 delivered 12:00"}, b.responses(t)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
}

func TestReportURL(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u, err := NewURLs("https://bengkel.example/sapa/", b.keys)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := u.Report("sms", 5), "https://bengkel.example/sapa/hooks/sms/report/"+u.MessageToken(5); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
