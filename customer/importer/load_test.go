package importer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

// bundle is a database without anything and a folder for files.
type bundle struct {
	t    *testing.T
	pool *pgxpool.Pool
	dir  string
}

func setup(t *testing.T) bundle {
	t.Helper()
	return bundle{t: t, pool: pgtest.Empty(t), dir: t.TempDir()}
}

// load imports a text into table t and returns the result in one line, or the error.
func (b bundle) load(text string, opts Options) string {
	b.t.Helper()
	result, err := b.try(b.t.Context(), text, opts)
	if err != nil {
		return strings.ReplaceAll(err.Error(), b.dir+"/", "")
	}
	return summary(result)
}

func summary(r Result) string {
	s := fmt.Sprintf("%d rows: %d added, %d changed, %d unchanged, %d rejected", r.Rows, r.Added, r.Changed, r.Unchanged, r.Rejected)
	if r.Created {
		s += ", created"
	}
	if len(r.NewColumns) > 0 {
		s += fmt.Sprintf(", new columns %v", r.NewColumns)
	}
	return s
}

func (b bundle) try(ctx context.Context, text string, opts Options) (Result, error) {
	b.t.Helper()
	path := filepath.Join(b.dir, "t.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	src, err := Open(path, nil)
	if err != nil {
		return Result{}, err
	}
	if opts.Table == "" {
		opts.Table = "t"
	}
	opts.Now = november
	plan, err := Inspect(ctx, src, opts)
	if err != nil {
		return Result{}, err
	}
	return Load(ctx, b.pool, plan)
}

func (b bundle) exec(sql string) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), sql); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// rows is what a query returns, a line per row.
func (b bundle) rows(sql string) string {
	b.t.Helper()
	rows, _ := b.pool.Query(b.t.Context(), sql)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(all, "\n")
}

// table is all of table t in the order of insertion.
func (b bundle) table() string {
	b.t.Helper()
	return b.rows(`select t::text from data.t order by ctid`)
}

func (b bundle) want(what, got, want string) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLoadTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.load("Id,Name,Income,Visits,Born,Seen,Met,Active\n"+
		"1,\"Jon \"\"J\"\"\",\"$90,000 \",3,04/13/1900,2021-01-13T08:30:00+07:00,2021-01-13 08:30,Y\n"+
		"2,NA,,,,,,N\n", Options{})
	b.want("result", got, "2 rows: 2 added, 0 changed, 0 unchanged, 0 rejected, created")
	b.want("types", b.rows(`select column_name || ' ' || data_type || ' ' || is_nullable from information_schema.columns
		where table_schema = 'data' and table_name = 't' order by ordinal_position`),
		"id bigint YES\nname text YES\nincome numeric YES\nvisits bigint YES\nborn date YES\n"+
			"seen timestamp with time zone YES\nmet timestamp without time zone YES\nactive boolean YES")
	b.want("rows", b.table(), `(1,"Jon ""J""",90000,3,1900-04-13,"2021-01-13 01:30:00+00","2021-01-13 08:30:00",t)`+"\n(2,,,,,,,f)")
	b.want("statistics", b.rows(`select reltuples::text from pg_class where oid = 'data.t'::regclass`), "2")
}

func TestLoadKeepsTextAsItIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	values := []string{"a\tb", `back\slash`, `\N`, `\.`, "two\nlines", "two\r\nlines", " spaces ", "“quoted”", `""`, "'", "顧客 😀"}
	b.want("result", b.load(column("a", values...), Options{Null: []string{"?"}}), fmt.Sprintf("%d rows: %d added, 0 changed, 0 unchanged, 0 rejected, created", len(values), len(values)))
	b.want("rows", b.rows(`select a from data.t order by ctid`), strings.Join(values, "\n"))
}

func TestImportAgainByKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.want("first", b.load("Id,Name,Income\n1,Ana,10\n2,Budi,20\n3,Citra,\n", Options{Key: []string{"Id"}}),
		"3 rows: 3 added, 0 changed, 0 unchanged, 0 rejected, created")
	b.want("key", b.rows(`select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'data.t'::regclass and contype = 'p'`), "PRIMARY KEY (id)")
	b.want("the same", b.load("Id,Name,Income\n1,Ana,10\n2,Budi,20\n3,Citra,\n", Options{Key: []string{"id"}}),
		"3 rows: 0 added, 0 changed, 3 unchanged, 0 rejected")
	b.want("other", b.load("Id,Name,Income\n2,Budi,25\n3,Citra,30\n4,Dewi,40\n1,Ana,10\n", Options{}),
		"4 rows: 1 added, 2 changed, 1 unchanged, 0 rejected")
	b.want("missing now", b.load("Id,Name,Income\n2,,25\n", Options{}), "1 rows: 0 added, 1 changed, 0 unchanged, 0 rejected")
	b.want("rows", b.rows(`select t::text from data.t order by id`), "(1,Ana,10)\n(2,,25)\n(3,Citra,30)\n(4,Dewi,40)")
}

func TestNewAndAbsentColumns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load("Id,Name\n1,Ana\n2,Budi\n", Options{Key: []string{"Id"}})
	b.want("a new column", b.load("Id,City,Name\n2,Solo,Budi\n3,Tegal,Citra\n", Options{}),
		"2 rows: 1 added, 1 changed, 0 unchanged, 0 rejected, new columns [city]")
	b.want("an absent column", b.load("City,Id\nSolo,2\nDemak,1\n", Options{}), "2 rows: 0 added, 1 changed, 1 unchanged, 0 rejected")
	b.want("rows", b.rows(`select t::text from data.t order by id`), "(1,Ana,Demak)\n(2,Budi,Solo)\n(3,Citra,Tegal)")
	b.want("only the key", b.load("Id\n3\n4\n", Options{}), "2 rows: 1 added, 0 changed, 1 unchanged, 0 rejected")
	b.want("without the key", b.load("Name\nAna\n", Options{}),
		`import t.csv into data.t: data.t has the key id: the file has no column "id": known here: Name`)
}

func TestKeyOfSeveralColumns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := []string{"Order", "Line"}
	b.want("first", b.load("Order,Line,Qty\nSO1,1,5\nSO1,2,6\nSO2,1,7\n", Options{Key: key}), "3 rows: 3 added, 0 changed, 0 unchanged, 0 rejected, created")
	b.want("again", b.load("Line,Order,Qty\n1,SO1,5\n2,SO1,9\n2,SO2,7\n", Options{Key: []string{"line", "order"}}), "3 rows: 1 added, 1 changed, 1 unchanged, 0 rejected")
	b.want("rows", b.rows(`select t::text from data.t order by "order", line`), "(SO1,1,5)\n(SO1,2,9)\n(SO2,1,7)\n(SO2,2,7)")
	b.want("another key", b.load("Line,Order,Qty\n1,SO1,5\n", Options{Key: []string{"Order"}}),
		"import t.csv into data.t: data.t has the key order,line, not order: leave --key out, or say --replace")
}

func TestTableWithoutKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := "Day,Qty\n2021-01-13,1\n2021-01-13,1\n"
	b.want("first", b.load(text, Options{}), "2 rows: 2 added, 0 changed, 0 unchanged, 0 rejected, created")
	b.want("again", b.load(text, Options{}), "import t.csv into data.t: data.t exists and has no key to merge rows by: say --append to add the file's rows, or --replace to put them in place of the old ones (with --key, too, to merge from then on)")
	b.want("again with a key", b.load(text, Options{Key: []string{"Day"}}), "import t.csv into data.t: data.t was imported without a key: say --replace to import it anew with --key day")
	b.want("append", b.load(text, Options{Mode: Append}), "2 rows: 2 added, 0 changed, 0 unchanged, 0 rejected")
	b.want("rows", b.rows(`select count(*)::text from data.t`), "4")
	b.want("replace", b.load("Day,Qty,Note\nyesterday,x,y\n", Options{Mode: Replace}), "1 rows: 1 added, 0 changed, 0 unchanged, 0 rejected, new columns [note]")
	b.want("rows", b.table(), "(yesterday,x,y)")
	b.want("replace with a key", b.load("Day,Qty\nmonday,1\n", Options{Mode: Replace, Key: []string{"Day"}}), "1 rows: 1 added, 0 changed, 0 unchanged, 0 rejected")
	b.want("merge", b.load("Day,Qty\nmonday,2\ntuesday,3\n", Options{}), "2 rows: 1 added, 1 changed, 0 unchanged, 0 rejected")
	b.want("append by key", b.load("Day,Qty\nmonday,2\n", Options{Mode: Append}), "import t.csv into data.t: data.t has the key day, by which rows are merged: leave --append out")
	b.want("replace with another key", b.load("Qty\n7\n", Options{Mode: Replace, Key: []string{"Qty"}}), "1 rows: 1 added, 0 changed, 0 unchanged, 0 rejected")
	b.want("key", b.rows(`select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'data.t'::regclass and contype = 'p'`), "PRIMARY KEY (qty)")
}

func TestOnlyItsOwnTables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(`create schema data; create table data.t (id bigint); insert into data.t values (7); create view data.v as select 1 id`)
	b.want("a table of others", b.load("id\n1\n", Options{Mode: Replace}), "import t.csv into data.t: data.t exists and was not made by sapa import, which never writes to it: choose another --table")
	b.want("a view of others", b.load("id\n1\n", Options{Table: "v"}), "import t.csv into data.v: data.v exists and was not made by sapa import, which never writes to it: choose another --table")
	b.want("rows", b.table(), "(7)")
}

func TestTypesOfTheFirstImportStay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load("id,code,total,day,at,active\n1,A1,1.5,2021-01-13,2021-01-13 08:00,Y\n2,A2,2,2021-01-14,2021-01-14 09:00,N\n", Options{Key: []string{"id"}})
	b.want("narrower values", b.load("id,code,total,day,at,active\n3,33,3,,2021-01-15,Y\n", Options{}), "1 rows: 1 added, 0 changed, 0 unchanged, 0 rejected")
	b.want("row", b.rows(`select t::text from data.t where id = 3`), `(3,33,3,,"2021-01-15 00:00:00",t)`)
	b.want("contradictions", b.load("id,code,total,day,at,active\n4,x,y,2021-01-13 08:00,2021-01-15 08:00Z,maybe\n", Options{}),
		`import t.csv into data.t: column total: it is numeric in data.t, but 1 of 1 values in the file are not, as "y" on line 2: say --type total=numeric to load the other rows and reject these, or --replace
column day: it is date in data.t, but 1 of 1 values in the file are not, as "2021-01-13 08:00" on line 2: say --type day=date to load the other rows and reject these, or --replace
column at: it is timestamp in data.t, but 1 of 1 values in the file are not, as "2021-01-15 08:00Z" on line 2: say --type at=timestamp to load the other rows and reject these, or --replace
column active: it is boolean in data.t, but 1 of 1 values in the file are not, as "maybe" on line 2: say --type active=boolean to load the other rows and reject these, or --replace`)
	b.want("a fraction", b.load("id\n1.5\n", Options{}),
		`import t.csv into data.t: column id: it is bigint in data.t, but 1 of 1 values in the file are not, as "1.5" on line 2: say --type id=bigint to load the other rows and reject these, or --replace`)
	b.want("overridden", b.load("id,total\n1,5\n", Options{Types: []string{"total=text"}}),
		`import t.csv into data.t: column total: --type says text, but it is numeric in data.t: leave --type out, say --replace, or change the table: alter table "data"."t" alter column "total" type text`)
	b.exec(`alter table data.t alter column code type varchar(10)`)
	b.want("a type of others", b.load("id,code\n1,x\n", Options{}),
		"import t.csv into data.t: column code: data.t has the type character varying(10), which sapa import does not make: change it back, or say --replace")
	b.want("as asked", b.load("id,total\n1,x\n2,9\n", Options{Types: []string{"total=numeric"}}), "2 rows: 0 added, 1 changed, 0 unchanged, 1 rejected")
}

func TestReplaceKeepsTypesThatFit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load("id,total,note\n1,1.5,7\n", Options{Key: []string{"id"}})
	b.exec(`create view data.report as select total from data.t`)
	b.want("replace", b.load("id,total,note\n1,3,x\n", Options{Mode: Replace}), "1 rows: 1 added, 0 changed, 0 unchanged, 0 rejected")
	b.want("types", b.rows(`select format_type(atttypid, null) from pg_attribute where attrelid = 'data.t'::regclass and attnum > 0 order by attnum`), "bigint\nnumeric\ntext")
	b.want("rows", b.table(), "(1,3,x)")
	got := b.load("id,total\n1,x\n", Options{Mode: Replace})
	b.want("under a view", got, `import t.csv into data.t: make table data.t: ERROR: cannot alter type of a column used by a view or rule (SQLSTATE 0A000)`)
	b.want("rows", b.table(), "(1,3,x)")
}

func TestRejects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := "Id,Name,Born,Income\n" +
		"1,Ana,01/13/2021,1.5\n" +
		"2,Budi,02/30/2021,1\n" +
		"3,Citra\n" +
		"4,Dewi,01/14/2021,1,x\n" +
		"x,Eka,yesterday,y\n" +
		",Fitri,01/15/2021,1\n" +
		"1,Again,01/15/2021,1\n" +
		"6,\"two\nlines\",01/15/2021,2\n" +
		"6,\"two\nmore\",01/15/2021,3\n" +
		"7,nul\x00,01/15/2021,1\n" +
		"8,lone \xe9é,01/15/2021,1\n" +
		"9,\"a\"b,01/15/2021,1\n" +
		strings.Repeat("k", 2001) + ",long,01/15/2021,1\n"
	got := b.load(text, Options{Key: []string{"Id"}, Types: []string{"Id=text", "Born=date:MM/DD/YYYY", "Income=numeric"}})
	b.want("result", got, "13 rows: 2 added, 0 changed, 0 unchanged, 11 rejected, created")
	b.want("rows", b.table(), "(1,Ana,2021-01-13,1.5)\n(6,\"two\nlines\",2021-01-15,2)")
	raw, err := os.ReadFile(filepath.Join(b.dir, "t.csv.rejects.csv"))
	if err != nil {
		t.Fatal(err)
	}
	b.want("rejects", strings.ReplaceAll(string(raw), strings.Repeat("k", 2001), "kkk"), `line,column,value,reason,record
3,Born,02/30/2021,"no such day: year 2021, month 2, day 30","2,Budi,02/30/2021,1"
4,,,2 values where the header names 4,"3,Citra"
5,,,5 values where the header names 4,"4,Dewi,01/14/2021,1,x"
6,Born,yesterday,not a date written MM/DD/YYYY (and Income: not a number),"x,Eka,yesterday,y"
7,Id,,the key is missing,",Fitri,01/15/2021,1"
13,,,"contains a NUL byte, which PostgreSQL can't store","7,nul�,01/15/2021,1"
14,,,some bytes are not valid UTF-8,"8,lone �é,01/15/2021,1"
15,,,a quote inside a quoted value must be written twice,"9,""a""b,01/15/2021,1"
16,Id,kkk,the key is longer than 2000 bytes,"kkk,long,01/15/2021,1"
8,Id,1,the key is on line 2 already,"1,Again,01/15/2021,1"
11,Id,6,the key is on line 9 already,"6,""two
more"",01/15/2021,3"
`)
}

func TestNoRejectsNoFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load("id\n1\n", Options{Key: []string{"id"}})
	b.want("files", b.files(), "t.csv")
}

func (b bundle) files() string {
	var names []string
	err := filepath.WalkDir(b.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestNothingToLoad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load("id,day\n1,2021-01-13\n", Options{})
	got := b.load("id,day\n1,yesterday\n2,today\n", Options{Mode: Replace, Types: []string{"day=date:YYYY-MM-DD"}})
	b.want("result", got, "none of the 2 rows of t.csv can be loaded (see t.csv.rejects.csv): data.t is unchanged")
	b.want("rows", b.table(), "(1,2021-01-13)")
	b.want("files", b.files(), "t.csv t.csv.rejects.csv")
}

func TestRejectsElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := "id,day\n1,2021-01-13\n2,2021-02-30\n"
	b.want("result", b.load(text, Options{Rejects: filepath.Join(b.dir, "bad.csv")}), "2 rows: 1 added, 0 changed, 0 unchanged, 1 rejected, created")
	b.want("files", b.files(), "bad.csv t.csv")
	b.want("over the file itself", b.load(text, Options{Mode: Append, Rejects: filepath.Join(b.dir, "t.csv")}), "the file of rejects t.csv is the file to import: name another")
	got := b.load(text, Options{Mode: Append, Rejects: filepath.Join(b.dir, "no", "bad.csv")})
	if !strings.HasPrefix(got, "import t.csv into data.t: make a file for rejected rows (--rejects FILE names another place): open no/.bad.csv") {
		t.Errorf("in a folder that is not there: %s", got)
	}
	b.want("rows", b.table(), "(1,2021-01-13)")
}

// What PostgreSQL itself refuses in the middle leaves the table and the folder as they were.
func TestNothingHalfDone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load("id,day\n1,2021-01-13\n", Options{})
	b.exec(`alter table data.t add check (id < 5000)`)
	var text strings.Builder
	text.WriteString("id,day,extra\n0,2021-02-30,x\n")
	for i := range 20_000 {
		fmt.Fprintf(&text, "%d,2021-01-13,x\n", i)
	}
	got := b.load(text.String(), Options{Mode: Append})
	b.want("result", got, `import t.csv into data.t: ERROR: new row for relation "t" violates check constraint "t_id_check" (SQLSTATE 23514)`)
	b.want("rows", b.table(), "(1,2021-01-13)")
	b.want("files", b.files(), "t.csv")
	b.want("a new table", b.load("ctid\nx\n", Options{Table: "u", Types: []string{"ctid=date:YYYY-MM-DD"}}),
		"none of the 1 rows of t.csv can be loaded (see t.csv.rejects.csv): data.u is unchanged")
	b.want("tables", b.rows(`select relname::text from pg_class where relnamespace = 'data'::regnamespace and relkind = 'r'`), "t")
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	text := "id,note\n" + strings.Repeat("1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", 200_000)
	_, err := b.try(ctx, text, Options{Progress: func(p Progress) {
		if p.Phase == "loading" && p.Done > 1<<20 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	b.want("tables", b.rows(`select relname::text from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = 'data'`), "")
}

func TestFileThatChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, after := range map[string]string{"longer": "id\n1\n23\n", "as long and as old": "id\n1\n2\n"} {
		path := write(t, "t.csv", "id\n123\n")
		src, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := Inspect(t.Context(), src, Options{Table: "t"})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, src.mod, src.mod); err != nil {
			t.Fatal(err)
		}
		_, err = Load(t.Context(), b.pool, plan)
		if err == nil || !strings.HasSuffix(err.Error(), path+" has changed since it was read: import it again") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	b.want("tables", b.rows(`select relname::text from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = 'data'`), "")
}

// Two imports into one table wait for each other, even when both find it missing.
func TestImportsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := write(t, "t.csv", "id,name\n"+"1,Ana\n2,Budi\n")
	var wg sync.WaitGroup
	results := make([]string, 4)
	for i := range results {
		src, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := Inspect(t.Context(), src, Options{Table: "t", Key: []string{"id"}})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			r, err := Load(t.Context(), b.pool, plan)
			results[i] = fmt.Sprint(r.Added, r.Unchanged, err)
		})
	}
	wg.Wait()
	counts := map[string]int{}
	for _, r := range results {
		counts[r]++
	}
	if diff := cmp.Diff(map[string]int{"2 0 <nil>": 1, "0 2 <nil>": 3}, counts); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// A role that may not create the schema is told what is missing.
func TestMayNotCreateSchema(t *testing.T) {
	t.Parallel()
	b := setup(t)
	role := fmt.Sprintf("reader_%s", b.rows(`select current_database()`))
	b.exec(`create role ` + role)
	t.Cleanup(func() {
		if _, err := b.pool.Exec(context.Background(), `drop role `+role); err != nil {
			t.Error(err)
		}
	})
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background()) //nolint:errcheck // the test ends
	if _, err := tx.Exec(t.Context(), `set local role `+role); err != nil {
		t.Fatal(err)
	}
	src, err := Open(write(t, "t.csv", "id\n1\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Inspect(t.Context(), src, Options{Table: "t"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(t.Context(), tx, plan)
	if err == nil || !strings.Contains(err.Error(), "into data.t: create schema data for imported tables: ERROR: permission denied for database") {
		t.Errorf("error %v", err)
	}
}
