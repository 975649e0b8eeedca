package privacy

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
)

// january is a month and a half after everything that the history made.
var january = time.Date(2027, 1, 15, 2, 0, 0, 0, time.UTC)

func (s *shop) keeper(r customer.Retention, now time.Time) (*Keeper, *bytes.Buffer) {
	var log bytes.Buffer
	return &Keeper{
		Pool: s.pool, Schema: s.schema, Retention: r, Actor: "sapa", Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
	}, &log
}

// young adds one of everything that is too young to go.
func (s *shop) young() {
	at := january.AddDate(0, 0, -5)
	s.exec(`insert into hits (at, message_id, kind, ip, user_agent) values ($1, $2, 'open', '192.0.2.1', 'Young/1')`, at, s.one.Base+2)
	s.exec(`insert into inbound (at, channel, provider_id, sender, sender_hash, recipient, body, kind) values ($1, 'sms', 'YOUNG', '+62811', '\x01', '+628110001', 'Young', 'reply')`, at)
	consent := func(key string, granted bool, at time.Time, mark string) {
		s.must(customer.SetConsent(s.t.Context(), s.pool, customer.ConsentChange{CustomerKey: key, Channel: "email", Topic: "news", Granted: granted, Source: "page", Evidence: map[string]any{"mark": mark}, At: at}))
	}
	consent("c2", false, at, "Young")
	consent("c3", true, january.AddDate(0, -2, 0), "StillCounts")
	consent("c4", true, january.AddDate(0, -2, 0), "Superseded")
	consent("c4", true, january.AddDate(0, -2, 0), "StillCounts")
	s.exec(`update addresses set seen_at = $1`, january.AddDate(0, -2, 0))
	s.exec(`insert into addresses (channel, raw, normalised, hash, seen_at) values ('email', 'young@mail.example', 'young@mail.example', '\x01', $1)`, at)
}

func TestRetention(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.zul()
	s.young()
	month := customer.Age{Days: 30}
	k, log := s.keeper(customer.Retention{Hits: month, Links: month, Letters: month, Calls: month, Words: month, Inbound: month, Alerts: month, Events: month, Evidence: month, Addresses: month}, january)
	// Of the history: two hits, two links, two words of November's messages (and the other 5 + 1 answers), two texts, the
	// evidence of a withdrawal and what was replaced, and the phone numbers, which no message of December uses; mail
	// addresses are in a plan.
	want := []Kept{
		{"hits", "30d", january.AddDate(0, 0, -30), 2},
		{"links", "30d", january.AddDate(0, 0, -30), 2},
		{"letters", "30d", january.AddDate(0, 0, -30), 1},
		{"calls", "30d", january.AddDate(0, 0, -30), 2},
		{"words", "30d", january.AddDate(0, 0, -30), 8},
		{"inbound", "30d", january.AddDate(0, 0, -30), 2},
		{"alerts", "30d", january.AddDate(0, 0, -30), 1},
		{"events", "30d", january.AddDate(0, 0, -30), 1},
		{"evidence", "30d", january.AddDate(0, 0, -30), 2},
		{"addresses", "30d", january.AddDate(0, 0, -30), 2},
		{Kind: "messages", Age: "never"},
	}
	before := s.everything()
	looked, err := k.Look(t.Context())
	s.must(err)
	if diff := cmp.Diff(want, looked.Kinds); diff != "" {
		t.Errorf("a look:\n%s", diff)
	}
	if diff := cmp.Diff(before, s.everything()); diff != "" {
		t.Errorf("a look changed:\n%s", diff)
	}
	done, err := k.Run(t.Context())
	s.must(err)
	if diff := cmp.Diff(want, done.Kinds); diff != "" {
		t.Errorf("the run:\n%s", diff)
	}
	// What is in the plan keeps its address, the suppressed one is in the book; all else is gone.
	if diff := cmp.Diff([]string{"addresses", "suppressions"}, holding(t, s.pool, zulkifli()...)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"addresses", "consents", "hits", "inbound"}, holding(t, s.pool, "Young", "young@mail.example")); diff != "" {
		t.Errorf("young:\n%s", diff)
	}
	if n := s.number(`select count(*) from consents where evidence ->> 'mark' = 'StillCounts'`); n != 2 {
		t.Errorf("%d consents that count have evidence, want 2", n)
	}
	if found := holding(t, s.pool, "Superseded"); len(found) > 0 {
		t.Errorf("still in %v", found)
	}
	line := "level=INFO msg=retention hits=2 links=2 letters=1 calls=2 words=8 inbound=2 alerts=1 events=1 evidence=2 addresses=2\n"
	if diff := cmp.Diff(line, log.String()); diff != "" {
		t.Errorf("log:\n%s", diff)
	}
	if diff := cmp.Diff([]string{`sapa retention personal data {"hits": 2, "calls": 2, "links": 2, "words": 8, "alerts": 1, "events": 1, "inbound": 2, "letters": 1, "evidence": 2, "addresses": 2}`},
		s.texts(`select concat_ws(' ', actor, action, subject, detail) from audit_log where action = 'retention'`)); diff != "" {
		t.Error(diff)
	}
	again, err := k.Run(t.Context())
	s.must(err)
	for _, kept := range again.Kinds {
		if kept.Rows != 0 {
			t.Errorf("again: %+v", kept)
		}
	}
	if n := s.number(`select count(*) from addresses where seen_at = $1`, january); n != 4 {
		t.Errorf("%d addresses in use are marked as seen, want 4", n)
	}
}

// everything counts rows of all tables, and what of personal data is in them.
func (s *shop) everything() map[string]string {
	said := map[string]string{}
	for _, table := range []string{"addresses", "attempts", "calls", "call_tries", "consents", "delivery_reports", "hits", "inbound", "messages", "short_links", "suppressions", "audit_log", "upkeep"} {
		said[table] = s.texts(`select md5(coalesce(string_agg(t::text, '' order by t::text), '')) from ` + table + ` t`)[0]
	}
	return said
}

func TestRetentionDefaults(t *testing.T) {
	t.Parallel()
	s := setup(t)
	k, _ := s.keeper(customer.DefaultRetention(), january)
	done, err := k.Look(t.Context())
	s.must(err)
	var got []string
	for _, kept := range done.Kinds {
		got = append(got, kept.Kind+" "+kept.Age)
	}
	want := []string{"hits 90d", "links 365d", "letters 365d", "calls 365d", "words 365d", "inbound 365d", "alerts 90d", "events 365d", "evidence 5y", "addresses 730d", "messages never"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRetentionDropsMonths(t *testing.T) {
	t.Parallel()
	s := settled(t)
	s.exec(`select ensure_month(11)`)
	retention := customer.Retention{Messages: customer.Age{Months: 1}}
	early, _ := s.keeper(retention, time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC))
	done, err := early.Run(t.Context())
	s.must(err)
	if len(done.Months)+len(done.Stay) > 0 { // 30 November is not a month ago
		t.Errorf("too early: %+v", done)
	}
	s.exec(`update messages set state = 'unknown' where id = $1`, s.one.Base+1)
	k, log := s.keeper(retention, january)
	done, err = k.Run(t.Context())
	s.must(err)
	if diff := cmp.Diff([]string{"2026-11 stays: run 1 of hello has 1 unknown"}, done.Stay); diff != "" {
		t.Error(diff)
	}
	if want := `level=WARN msg="a month of messages can't be dropped" why="2026-11 stays: run 1 of hello has 1 unknown"`; !strings.HasPrefix(log.String(), want) {
		t.Errorf("log: %s", log)
	}
	s.exec(`update messages set state = 'sent' where state = 'unknown'`)
	looked, err := k.Look(t.Context())
	s.must(err)
	done, err = k.Run(t.Context())
	s.must(err)
	want := []Pruned{{Month: november, Runs: 3, Messages: 15, Attempts: 7}}
	if diff := cmp.Diff(want, looked.Months); diff != "" {
		t.Errorf("a look:\n%s", diff)
	}
	if diff := cmp.Diff(want, done.Months); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"messages_2026_12"}, s.texts(`select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'messages'::regclass`)); diff != "" {
		t.Error(diff)
	}
}

// TestRetentionOnceADay lets several processes look at the same time.
func TestRetentionOnceADay(t *testing.T) {
	t.Parallel()
	s := setup(t)
	times := func(now time.Time) int {
		var mu sync.Mutex
		var wg sync.WaitGroup
		n := 0
		for range 4 {
			k, _ := s.keeper(customer.Retention{}, now)
			wg.Go(func() {
				done, err := k.RunDue(t.Context())
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if done != nil {
					n++
				}
			})
		}
		wg.Wait()
		return n
	}
	var got []string
	for _, after := range []time.Duration{0, time.Hour, 23 * time.Hour, 24 * time.Hour, 25 * time.Hour} {
		got = append(got, fmt.Sprintf("%s %d", after, times(january.Add(after))))
	}
	if diff := cmp.Diff([]string{"0s 1", "1h0m0s 0", "23h0m0s 0", "24h0m0s 1", "25h0m0s 0"}, got); diff != "" {
		t.Error(diff)
	}
	// A failure is tried again after an hour.
	s.exec(`alter table shop.customers rename to elsewhere`)
	s.exec(`insert into erasures (customer_key, key_hash, at, actor, row_present) values ('c1', '', now(), 'ani', true)`)
	k, _ := s.keeper(customer.Retention{}, january.Add(48*time.Hour))
	if _, err := k.RunDue(t.Context()); err == nil {
		t.Error("it did not notice that the table is gone")
	}
	s.exec(`alter table shop.elsewhere rename to customers`)
	if n := times(january.Add(48*time.Hour + 59*time.Minute)); n != 0 {
		t.Error("tried again too early")
	}
	if n := times(january.Add(49 * time.Hour)); n != 1 {
		t.Errorf("tried again %d times", n)
	}
}
