package customer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer/importer"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

var noon = time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)

// importLines suppresses what a list says, line by line.
func importLines(t *testing.T, db pg.DBTX, hashed bool, lines ...string) ListResult {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := importer.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := ImportSuppressions(t.Context(), db, SuppressionList{
		Source: src, Channel: "email", Hashed: hashed, Reason: "list", Actor: "ani", Now: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func digests(addresses ...string) []string {
	list := make([]string, len(addresses))
	for i, a := range addresses {
		list[i] = fmt.Sprintf("%X", Digest(a))
	}
	return list
}

func fillEmail(t *testing.T, db pg.DBTX, addresses ...string) {
	t.Helper()
	if _, err := FillAddressBook(t.Context(), db, "email", `select raw, '' from unnest($1::text[]) raw`, addresses); err != nil {
		t.Fatal(err)
	}
}

func suppressedOnes(t *testing.T, db pg.DBTX) []string {
	t.Helper()
	var list []string
	err := ListSuppressions(t.Context(), db, "", func(s *SuppressedAddress) error {
		list = append(list, s.Known()+" "+s.Reason+" "+s.Source)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A hashed list suppresses addresses of the book at once, in whatever letters they are written, others when they come
// into the book, and never anybody else.
func TestHashedListMeetsAddresses(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t)
	fillEmail(t, db, "Budi@Example.com", "ÉMILE@example.com", "dewi@example.com", "no address")
	if err := Suppress(t.Context(), db, "email", "Wayan@example.com", Suppression{Reason: "complaint", Source: "message 1", At: noon}); err != nil {
		t.Fatal(err)
	}
	list := digests("budi@example.com", "émile@example.com", "wayan@example.com", "citra@example.com")
	if diff := cmp.Diff(ListResult{Records: 4, Added: 3, Already: 1}, importLines(t, db, true, list...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	unmet := fmt.Sprintf("sha256:%x list import by ani", Digest("citra@example.com"))
	want := []string{unmet, "Budi@example.com list import by ani", "Wayan@example.com complaint message 1", "ÉMILE@example.com list import by ani"}
	if diff := cmp.Diff(want, suppressedOnes(t, db)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, yes, err := Suppressed(t.Context(), db, "email", "citra@example.com"); !yes || err != nil {
		t.Errorf("an address that is known by its digest only is not suppressed: %v", err)
	}
	fillEmail(t, db, "Citra@Example.com", "eko@example.com")
	want[0] = "Citra@example.com list import by ani"
	want = []string{want[1], want[0], want[2], want[3]}
	if diff := cmp.Diff(want, suppressedOnes(t, db)); diff != "" {
		t.Errorf("met (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ListResult{Records: 4, Already: 4}, importLines(t, db, true, list...)); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
}

// Permitting an address again forgets its digest, too.
func TestUnsuppressADigest(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t)
	importLines(t, db, true, digests("citra@example.com", "dewi@example.com")...)
	if was, err := Unsuppress(t.Context(), db, "email", "Citra@example.com"); !was || err != nil {
		t.Errorf("%v %v", was, err)
	}
	fillEmail(t, db, "citra@example.com")
	if added, err := suppress(t.Context(), db, "email", "dewi@example.com", Suppression{Reason: "by hand", Source: "ani", At: noon}); added || err != nil {
		t.Errorf("a digest's address counts as new: %v %v", added, err)
	}
	if diff := cmp.Diff([]string{"dewi@example.com list import by ani"}, suppressedOnes(t, db)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What may not be exported is counted: erased addresses, and in a plain list those that came as digests.
func TestExportCountsWhatItCannot(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t)
	importLines(t, db, false, "ani@example.com", "budi@example.com")
	importLines(t, db, true, digests("citra@example.com")...)
	if _, err := db.Exec(t.Context(), `update suppressions set address = null where address like 'budi%'`); err != nil {
		t.Fatal(err)
	}
	for hashed, want := range map[bool]Exported{false: {Written: 1, Erased: 1, Hashed: 1}, true: {Written: 2, Erased: 1}} {
		var out strings.Builder
		got, err := ExportSuppressions(t.Context(), db, &out, "email", hashed)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("hashed %v: %v (-want +got):\n%s", hashed, err, diff)
		}
		if lines := strings.Count(out.String(), "\n"); lines != got.Written+1 || strings.Contains(out.String(), "budi") || hashed && strings.Contains(out.String(), "ani@") {
			t.Errorf("hashed %v:\n%s", hashed, out.String())
		}
	}
	if diff := cmp.Diff(ListResult{Records: 1, Already: 1}, importLines(t, db, false, "budi@example.com")); diff != "" {
		t.Errorf("an erased address is known by its hash (-want +got):\n%s", diff)
	}
}

// Of an address that comes into the book and its digest that is imported at the same moment, the later meets the earlier.
func TestDigestAndAddressAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t)
	fill := func(pool pg.DBTX) { fillEmail(t, pool, "citra@example.com") }
	bring := func(pool pg.DBTX) { importLines(t, pool, true, digests("citra@example.com")...) }
	for name, order := range map[string][2]func(pg.DBTX){"address first": {fill, bring}, "digest first": {bring, fill}} {
		t.Run(name, func(t *testing.T) {
			if _, err := db.Exec(t.Context(), `truncate addresses, suppressions, suppressed_digests`); err != nil {
				t.Fatal(err)
			}
			tx, err := db.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			order[0](tx) // not committed yet
			done := make(chan struct{})
			go func() { defer close(done); order[1](db) }()
			awaitLock(t, db)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-done
			if diff := cmp.Diff([]string{"citra@example.com list import by ani"}, suppressedOnes(t, db)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// awaitLock waits until somebody waits for the address book.
func awaitLock(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		var waiting bool
		err := db.QueryRow(ctx, `select exists (select from pg_locks l join pg_database d on d.oid = l.database
			where l.locktype = 'advisory' and not l.granted and d.datname = current_database())`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
	}
}

// The list may be long: it is streamed into one transaction, and one that fails leaves nothing.
func TestListIsOneTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t)
	lines := make([]string, 20_000)
	for i := range lines {
		lines[i] = fmt.Sprintf("p%d@example.com", i/2)
	}
	if diff := cmp.Diff(ListResult{Records: 20_000, Added: 10_000, Repeated: 10_000}, importLines(t, db, false, lines...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err := db.Exec(t.Context(), `delete from suppressions; alter table suppressions add check (address <> 'p9999@example.com')`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte("nobody\n"+strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := importer.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = ImportSuppressions(t.Context(), db, SuppressionList{Source: src, Reason: "list", Actor: "ani", Now: noon}); err == nil {
		t.Error("no error")
	}
	if got := suppressedOnes(t, db); len(got) > 0 {
		t.Errorf("%d are left of a list that failed", len(got))
	}
	if _, err := os.Stat(path + ".rejects.csv"); err == nil {
		t.Error("rejects of a list that failed")
	}
}

// What a digest came with stays when its address is listed later, and it does not count as new.
func TestPlainListMeetsDigests(t *testing.T) {
	t.Parallel()
	db := pgtest.Pool(t)
	importLines(t, db, true, digests("citra@example.com")...)
	if _, err := db.Exec(t.Context(), `update suppressed_digests set reason = 'complaint', source = 'import by budi'`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ListResult{Records: 2, Added: 1, Already: 1}, importLines(t, db, false, "Citra@example.com", "dewi@example.com")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Citra@example.com complaint import by budi", "dewi@example.com list import by ani"}, suppressedOnes(t, db)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
