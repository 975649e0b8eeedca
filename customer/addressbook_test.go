package customer

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

type bookRow struct {
	Region, Raw, Normalised, Reason, Domain string
	Hashed                                  bool
}

func book(t *testing.T, db pg.DBTX) []bookRow {
	t.Helper()
	rows, err := db.Query(t.Context(), `select region, raw, coalesce(normalised, ''), coalesce(reason, ''), domain, hash is not null
		from addresses where channel = 'email' order by raw, region`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[bookRow])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFillAddressBook(t *testing.T) {
	t.Parallel()
	db := company(t, `
		create table public.people (id int, email text, land text);
		insert into public.people values (1, 'budi@example.com', 'ID'), (2, 'budi@example.com', 'ID'), (3, 'budi@example.com', null),
		  (4, ' Siti@Example.com', 'ID'), (5, 'nobody', 'ID'), (6, null, 'ID'), (7, '', 'ID'), (8, repeat('x', 600), 'ID'), (9, 'late@example.com', 'XX')`)
	source := `select email, land from public.people where id < $1 and land is distinct from $2`
	stats, err := FillAddressBook(t.Context(), db, "email", source, 9, "XX")
	if err != nil {
		t.Fatal(err)
	}
	want := AddressStats{New: 6, Refused: map[string]int{"no @": 2, "empty": 1}}
	if d := cmp.Diff(want, stats); d != "" {
		t.Error(d)
	}
	long := fmt.Sprintf("%0512d", 0)
	wantBook := []bookRow{
		{"ID", "", "", "empty", "", false},
		{"ID", " Siti@Example.com", "Siti@example.com", "", "example.com", true},
		{"", "budi@example.com", "budi@example.com", "", "example.com", true},
		{"ID", "budi@example.com", "budi@example.com", "", "example.com", true},
		{"ID", "nobody", "", "no @", "", false},
		{"ID", long, "", "no @", "", false},
	}
	got := book(t, db)
	if len(got) == 6 && len(got[5].Raw) == 512 {
		got[5].Raw = long
	}
	if d := cmp.Diff(wantBook, got); d != "" {
		t.Error(d)
	}
	stats, err = FillAddressBook(t.Context(), db, "email", `select email, land from public.people`)
	if err != nil || stats.New != 1 || len(book(t, db)) != 7 {
		t.Errorf("the second time: %+v %v", stats, err)
	}
}

// Two plans meet the same new customers in opposite orders: the second waits for the first.
func TestFillAddressBookAtOnce(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.Pool(t), t.Context()
	fill := func(tx pgx.Tx, name string) error {
		_, err := FillAddressBook(ctx, tx, "email", `select $1::text || '@example.com', ''`, name)
		return err
	}
	inserting, done := make(chan struct{}), make(chan error, 1)
	err := pgx.BeginFunc(ctx, db, func(first pgx.Tx) error {
		if err := fill(first, "a"); err != nil {
			return err
		}
		go func() {
			done <- pgx.BeginFunc(ctx, db, func(second pgx.Tx) error {
				close(inserting)
				return errors.Join(fill(second, "b"), fill(second, "a"))
			})
		}()
		<-inserting
		awaitBlocked(t, db)
		return fill(first, "b")
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
	if got := len(book(t, db)); got != 2 {
		t.Errorf("%d addresses", got)
	}
}

// awaitBlocked returns when a session waits for a lock.
func awaitBlocked(t *testing.T, db pg.DBTX) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		var blocked bool
		err := db.QueryRow(t.Context(), `select exists (select from pg_locks where not granted and
			(database is null or database = (select oid from pg_database where datname = current_database())))`).Scan(&blocked)
		if err != nil {
			t.Fatal(err)
		}
		if blocked {
			return
		}
	}
	t.Error("nobody waited")
}

func TestFillAddressBookIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t)
	source := `select case when i = 8000 then (1 / (i - 8000))::text else i || '@example.com' end, '' from generate_series(1, 9000) i`
	if _, err := FillAddressBook(t.Context(), db, "email", source); err == nil {
		t.Error("no error")
	}
	if got := book(t, db); len(got) > 0 {
		t.Errorf("%d addresses stayed", len(got))
	}
	_, err := FillAddressBook(t.Context(), db, "pigeon", source)
	if want := `the channel "pigeon" has no addresses that can be read`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// It is not parallel: what others hold would count.
func TestFillAddressBookInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 addresses")
	}
	db := pgtest.Pool(t)
	stop, peak := make(chan struct{}), make(chan uint64)
	go watchHeap(stop, peak)
	_, err := FillAddressBook(t.Context(), db, "email", `select 'customer.number.' || i || '@example.com', '' from generate_series(1, 100000) i`)
	close(stop)
	if highest := <-peak; err != nil || highest > 40<<20 {
		t.Errorf("the heap grew to %d MB: %v", highest>>20, err)
	}
}

func watchHeap(stop chan struct{}, peak chan uint64) {
	var m runtime.MemStats
	var highest uint64
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			peak <- highest
			return
		case <-tick.C:
			runtime.GC() // what is alive, however often GOGC has it collected
			runtime.ReadMemStats(&m)
			highest = max(highest, m.HeapAlloc)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	h := &Hasher{key: []byte("0123456789abcdef0123456789abcdef")}
	got := fmt.Sprintf("%x", h.Hash("email", "Budi@example.com"))
	const want = "b4a5312a906daa292b634e2f71a7b03a905fba9859855f2be8d5c6c06bc23d36"
	if got != want {
		t.Errorf("%s: stored hashes mean other addresses now", got)
	}
	if string(h.Hash("email", "budi@example.com")) != string(h.Hash("email", "BUDI@example.com")) {
		t.Error("capitals count")
	}
	if string(h.Hash("sms", "budi@example.com")) == string(h.Hash("email", "budi@example.com")) {
		t.Error("channels don't count")
	}
}

var at = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func TestSuppression(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.Pool(t), t.Context()
	bounce := Suppression{Reason: "hard bounce", Source: "message 7", At: at}
	complaint := Suppression{Reason: "complaint", Source: "message 8", At: at.Add(time.Hour)}
	check := func(channel, address string, want Suppression, wantYes bool) {
		t.Helper()
		got, yes, err := Suppressed(ctx, db, channel, address)
		got.At = got.At.UTC()
		if !yes {
			got.At = time.Time{}
		}
		if d := cmp.Diff(want, got); err != nil || yes != wantYes || d != "" {
			t.Errorf("%s %s: %v %v %s", channel, address, yes, err, d)
		}
	}
	check("email", "budi@example.com", Suppression{}, false)
	for _, s := range []Suppression{bounce, complaint} {
		if err := Suppress(ctx, db, "email", "Budi@example.com", s); err != nil {
			t.Fatal(err)
		}
	}
	check("email", "budi@example.com", bounce, true)
	check("sms", "budi@example.com", Suppression{}, false)
	check("email", "siti@example.com", Suppression{}, false)
	for _, want := range []bool{true, false} {
		if was, err := Unsuppress(ctx, db, "email", "budi@example.com"); was != want || err != nil {
			t.Errorf("unsuppressed: %v %v, want %v", was, err, want)
		}
	}
	check("email", "budi@example.com", Suppression{}, false)
}

func TestConsent(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.Pool(t), t.Context()
	say := func(channel, topic string, granted bool) {
		t.Helper()
		err := SetConsent(ctx, db, ConsentChange{
			CustomerKey: "17", Channel: channel, Topic: topic, Granted: granted, Source: "one-click",
			Evidence: map[string]any{"ip": "192.0.2.1"}, At: at,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(key, channel, topic, want string) {
		t.Helper()
		granted, said, err := LatestConsent(ctx, db, key, channel, topic, time.Now())
		got := map[[2]bool]string{{false, false}: "nothing", {false, true}: "denied", {true, true}: "granted"}[[2]bool{granted, said}]
		if err != nil || got != want {
			t.Errorf("%s %s %s: %s %v, want %s", key, channel, topic, got, err, want)
		}
	}
	check("17", "email", "news", "nothing")
	say("email", "news", false)
	check("17", "email", "news", "denied")
	check("17", "email", "service", "nothing")
	check("17", "sms", "news", "nothing")
	check("18", "email", "news", "nothing")
	say(Every, Every, false)
	check("17", "sms", "service", "denied")
	say("email", Every, true)
	check("17", "email", "news", "granted")
	check("17", "sms", "news", "denied")
	var rows int
	if err := db.QueryRow(ctx, `select count(*) from consents where evidence->>'ip' = '192.0.2.1' and at = $1`, at).Scan(&rows); err != nil || rows != 3 {
		t.Errorf("%d rows with their evidence: %v", rows, err)
	}
}

func TestConsentWithoutACustomerIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []ConsentChange{{Channel: "email", Topic: "news"}, {CustomerKey: "1", Topic: "news"}, {CustomerKey: "1", Channel: "email"}} {
		err := SetConsent(t.Context(), nil, c)
		if want := `record consent: customer, channel and topic must be named ("*" for all)`; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
