package privacy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// zulsPlaces are the tables that hold something of Zulkifli's after his history.
func zulsPlaces() []string {
	return []string{"addresses", "alerts", "attempts_2026_11", "call_tries", "calls", "consents", "delivery_reports", "events", "hits", "inbound", "letters", "short_links", "suppressions"}
}

// underKey counts rows that still have the customer's key, where none may be left.
const underKey = `select (select count(*) from messages where customer_key = $1) + (select count(*) from occasions where customer_key = $1)
	+ (select count(*) from consents where customer_key = $1) + (select count(*) from inbound where customer_key = $1) + (select count(*) from events where customer_key = $1)
	+ (select count(*) from calls where customer_key = $1) + (select count(*) from contacts where customer = hashtextextended($1, 0)) + (select count(*) from contact_locks where customer = hashtextextended($1, 0))`

func TestErase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.zul()
	s.history("c2", 2, "ani@mail.example", "+6281211112222", "203.0.113.5", "AniBrowser/1", "hadiah=ani")
	if diff := cmp.Diff(zulsPlaces(), holding(t, s.pool, zulkifli()...)); diff != "" {
		t.Fatalf("the history is not everywhere where personal data can be:\n%s", diff)
	}
	anis := holding(t, s.pool, "ani@mail.example", "AniBrowser", "203.0.113.5", "hadiah=ani", "+6281211112222")
	s.exec(`insert into contacts select hashtextextended(customer_key, 0), id from messages; insert into contact_locks select distinct customer from contacts`)
	totals := s.totals()
	e := s.erase("c1")
	want := Counts{Messages: 3, Planned: 1, Occasions: 3, Addresses: 2, Suppressions: 1, Consents: 1, Hits: 2, Links: 2, Words: 3, Inbound: 2, Events: 1}
	if diff := cmp.Diff(want, e.Counts); diff != "" {
		t.Errorf("counts:\n%s", diff)
	}
	if !e.RowPresent || e.Number != 1 || len(e.Before) > 0 || !e.At.Equal(today) {
		t.Errorf("%+v", e)
	}
	if found := holding(t, s.pool, zulkifli()...); len(found) > 0 {
		t.Errorf("still in %v", found)
	}
	if n := s.number(underKey, "c1"); n != 0 {
		t.Errorf("%d rows have the key", n)
	}
	if n := s.number(underKey, "c2"); n == 0 {
		t.Error("Ani's went, too")
	}
	if diff := cmp.Diff([]string{"c1 erased:1 true"}, s.texts(`select customer_key || ' ' || pseudonym || ' ' || row_present from erasures`)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(anis, holding(t, s.pool, "ani@mail.example", "AniBrowser", "203.0.113.5", "hadiah=ani", "+6281211112222")); diff != "" {
		t.Errorf("Ani's:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"erased"}, s.texts(`select reason from messages where customer_key = 'erased:1' and state = 'skipped'`)); diff != "" {
		t.Error(diff)
	}
	// One message of run two went from planned to skipped, and nothing else changed.
	totals[s.two.ID]["planned"]--
	totals[s.two.ID]["skipped"]++
	if diff := cmp.Diff(totals, s.totals()); diff != "" {
		t.Errorf("totals:\n%s", diff)
	}
	if diff := cmp.Diff([]string{`ani erase erasure 1 {"again": false, "messages": 3, "addresses": 2, "row_present": true}`},
		s.texts(`select concat_ws(' ', actor, action, subject, detail) from audit_log`)); diff != "" {
		t.Error(diff)
	}
	if n := s.number(`select count(*) from suppressions where address is null`); n != 1 {
		t.Errorf("%d suppressions without address", n)
	}
}

// totals are the sums of the reports, by run and state.
func (s *shop) totals() map[int]map[string]int {
	s.t.Helper()
	rows, _ := s.pool.Query(s.t.Context(), `select run_id, state, sum(delta) from run_totals group by 1, 2
		union all select run_id, kind || ' ' || part, sum(total) from response_totals group by 1, 2
		union all select run_id, kind || ' ' || part || ' uniq', sum(uniq) from response_totals group by 1, 2`)
	totals := map[int]map[string]int{s.one.ID: {}, s.two.ID: {"skipped": 0}, s.three.ID: {}}
	var run, n int
	var state string
	_, err := pgx.ForEachRow(rows, []any{&run, &state, &n}, func() error { totals[run][state] = n; return nil })
	s.must(err)
	return totals
}

// TestEachPlaceIsBlanked leaves out one place after the other: something of the customer's must then be found, so that
// none of them can be forgotten.
func TestEachPlaceIsBlanked(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.zul()
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "c1", Channel: "*", Topic: "*", Granted: true, Source: "x", At: today}))
	known, err := readRow(t.Context(), s.pool, s.schema, "c1")
	s.must(err)
	s.exec(`insert into contacts select hashtextextended(customer_key, 0), id from messages; insert into contact_locks select distinct customer from contacts`)
	digest := customer.Digest("zulkifli.r@mail.example")
	s.exec(`insert into suppressed_digests (channel, digest, reason, source, at) values ('email', $1, 'list', 'list', now())`, digest)
	for i := -1; i < len((&eraser{}).places()); i++ {
		e := &eraser{o: EraseOptions{Actor: "ani", Now: clock}, row: known}
		e.Customer, e.RowPresent = "c1", true
		what := "nothing"
		err := pg.InTx(t.Context(), s.pool, func(tx pgx.Tx) error {
			e.tx = tx
			for _, f := range []func(context.Context) error{e.mark, e.findMessages, e.findAddresses} {
				s.must(f(t.Context()))
			}
			places := e.places()
			if i >= 0 {
				what = places[i].what
				places = append(places[:i:i], places[i+1:]...)
			}
			s.must(e.blankPlaces(t.Context(), places))
			var left int
			s.must(tx.QueryRow(t.Context(), underKey, "c1").Scan(&left))
			var planned int
			s.must(tx.QueryRow(t.Context(), `select count(*) from messages where state = 'planned' and customer_key in ('c1', $1)`, e.pseudonym).Scan(&planned))
			var digests int
			s.must(tx.QueryRow(t.Context(), `select count(*) from suppressed_digests`).Scan(&digests))
			found := holding(t, tx, zulkifli()...)
			if clean := len(found)+left+planned+digests == 0; clean != (i < 0) {
				t.Errorf("without blanking %s: found in %v, %d rows under the key, %d planned", what, found, left, planned)
			}
			return errDryRun
		})
		if !errors.Is(err, errDryRun) {
			t.Fatal(err)
		}
	}
}

func TestEraseSharedAddress(t *testing.T) {
	t.Parallel()
	s := setup(t)
	e := s.erase("c4")
	if e.Shared != 1 || e.Addresses != 0 {
		t.Errorf("%+v", e.Counts)
	}
	// Dewi, who has the same address, still has hers, and is still in the plan.
	if n := s.number(`select count(*) from messages m join addresses a on a.id = m.address_id
		where m.customer_key = 'c5' and a.normalised = 'keluarga@mail.example'`); n != 2 {
		t.Errorf("Dewi has %d messages with an address", n)
	}
	if e := s.erase("c5"); e.Shared != 0 || e.Addresses != 1 {
		t.Errorf("the last who used it: %+v", e.Counts)
	}
	if found := holding(t, s.pool, "keluarga@"); len(found) > 0 {
		t.Errorf("still in %v", found)
	}
}

func TestEraseAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.zul()
	s.erase("c1")
	again := s.erase("c1")
	if again.Number != 1 || !again.RowPresent || again.Messages+again.Addresses+again.Hits != 0 || len(again.Before) != 1 {
		t.Errorf("%+v", again)
	}
	s.exec(`delete from shop.customers where id = 'c1'`)
	gone := s.erase("c1")
	if gone.Number != 1 || gone.RowPresent {
		t.Errorf("%+v", gone)
	}
	if diff := cmp.Diff([]string{"released"}, s.texts(`select case when customer_key is null and released_at is not null then 'released' else 'held' end from erasures`)); diff != "" {
		t.Error(diff)
	}
	if last := s.erase("c1"); last.Number != 0 || len(last.Before) != 1 {
		t.Errorf("nothing was left, but: %+v", last)
	}
	// Somebody else gets the key, and is erased in turn.
	s.exec(`insert into shop.customers values ('c1', 'Eka', 'eka@mail.example')`)
	if other := s.erase("c1"); other.Number == 0 || other.Number == 1 || len(other.Before) != 1 {
		t.Errorf("%+v", other)
	}
}

func TestEraseUnknown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	_, err := Erase(t.Context(), s.pool, s.schema, EraseOptions{Customer: "c9", Actor: "ani", Now: clock})
	if !errors.Is(err, ErrUnknown) || err.Error() != "erase customer c9: no such customer; neither shop.customers nor Sapa has the key" {
		t.Errorf("%v", err)
	}
	if n := s.number(`select count(*) from erasures`) + s.number(`select count(*) from audit_log`); n != 0 {
		t.Errorf("%d rows were written", n)
	}
	s.exec(`delete from shop.customers where id = 'c3'`)
	if e := s.erase("c3"); e.RowPresent || e.Messages != 3 {
		t.Errorf("known to Sapa alone: %+v", e)
	}
	if diff := cmp.Diff([]string{""}, s.texts(`select coalesce(customer_key, '') from erasures`)); diff != "" {
		t.Error(diff)
	}
}

func TestEraseDryRun(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.zul()
	e, err := Erase(t.Context(), s.pool, s.schema, EraseOptions{Customer: "c1", Actor: "ani", Now: clock, DryRun: true})
	s.must(err)
	if e.Number != 0 || e.Messages != 3 || e.Planned != 1 || e.Inbound != 2 {
		t.Errorf("%+v", e)
	}
	if diff := cmp.Diff(zulsPlaces(), holding(t, s.pool, zulkifli()...)); diff != "" {
		t.Error(diff)
	}
	if n := s.number(`select count(*) from erasures`); n != 0 {
		t.Errorf("%d erasures", n)
	}
}

// TestEraseWaitsForWorkers erases a customer whose message is in the hands of a worker.
func TestEraseWaitsForWorkers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	message := s.two.Base + 1
	s.exec(`update messages set state = 'claimed' where id = $1`, message)
	o := EraseOptions{Customer: "c1", Actor: "ani", Now: clock, Patience: time.Nanosecond}
	_, err := Erase(t.Context(), s.pool, s.schema, o)
	want := "erase customer c1: busy: a message to them is being handed over at this moment; nothing was erased, do it again in a minute"
	if !errors.Is(err, ErrBusy) || err.Error() != want {
		t.Errorf("%v", err)
	}
	if n := s.number(`select count(*) from messages where customer_key = 'c1'`); n != 3 {
		t.Errorf("%d messages are left", n)
	}
	dry := o
	dry.DryRun = true
	if e, err := Erase(t.Context(), s.pool, s.schema, dry); err != nil || e.Claimed != 1 {
		t.Errorf("dry run: %+v %v", e, err)
	}
	attempts := make(chan struct{}, 1000)
	o.Patience, o.Now = time.Minute, func() time.Time { // asked at each attempt
		attempts <- struct{}{}
		return today
	}
	done := make(chan error, 1)
	go func() {
		_, err := Erase(t.Context(), s.pool, s.schema, o)
		done <- err
	}()
	for range 2 { // the second attempt begins when the first has found the claim
		select {
		case <-attempts:
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		}
	}
	s.exec(`update messages set state = 'sent' where id = $1`, message)
	s.must(<-done)
	if diff := cmp.Diff([]string{"sent erased:"}, s.texts(`select state || ' ' || left(customer_key, 7) from messages where id = $1`, message)); diff != "" {
		t.Error(diff)
	}
}

// TestEraseWaitsForPlans: what a plan has read must be written before, or not at all.
func TestEraseWaitsForPlans(t *testing.T) {
	t.Parallel()
	s := setup(t)
	plan, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = plan.Exec(t.Context(), `select pg_advisory_xact_lock_shared(hashtextextended('sapa erasure ' || current_schema(), 0))`)
	s.must(err)
	_, err = plan.Exec(t.Context(), `insert into messages (id, not_before, run_id, state, channel, customer_key) values ($1, now(), $2, 'planned', 'email', 'c1')`, s.two.Base+6, s.two.ID)
	s.must(err)
	done := make(chan *Erasure, 1)
	go func() {
		e, err := Erase(t.Context(), s.pool, s.schema, EraseOptions{Customer: "c1", Actor: "ani", Now: clock})
		if err != nil {
			t.Error(err)
		}
		done <- e
	}()
	for s.number(`select count(*) from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`) == 0 {
		if len(done) > 0 {
			t.Fatal("it did not wait")
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.must(plan.Commit(t.Context()))
	if e := <-done; e == nil || e.Planned != 2 {
		t.Errorf("%+v", e)
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.erase("c1")
	s.erase("c2")
	s.exec(`delete from shop.customers where id = 'c1'`)
	held := func() string {
		return strings.Join(s.texts(`select coalesce(customer_key, 'free') || case when gone_since is null then '' else ' gone' end from erasures order by id`), ", ")
	}
	day := func(n int) time.Time { return today.AddDate(0, 0, n) }
	for _, step := range []struct {
		at       time.Time
		change   string
		released int
		want     string
	}{
		{day(1), `select`, 0, "c1 gone, c2"},
		{day(2), `insert into shop.customers values ('c1')`, 0, "c1, c2"}, // it was only being loaded anew
		{day(3), `delete from shop.customers where id = 'c1'`, 0, "c1 gone, c2"},
		{day(9), `select`, 0, "c1 gone, c2"},
		{day(10), `select`, 1, "free gone, c2"},
		{day(11), `select`, 0, "free gone, c2"},
	} {
		s.exec(step.change)
		n, err := Release(t.Context(), s.pool, s.schema, step.at)
		s.must(err)
		if n != step.released || held() != step.want {
			t.Errorf("%s: released %d, %s; want %d, %s", step.at.Format(time.DateOnly), n, held(), step.released, step.want)
		}
	}
}
