package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// importing runs sapa import in a database of the test's own.
type importing struct {
	t   *testing.T
	dir string
	env map[string]string
}

func setupImport(t *testing.T) importing {
	t.Helper()
	return importing{t: t, dir: t.TempDir(), env: map[string]string{"DATABASE_URL": pgtest.URL(pgtest.Pool(t))}}
}

// run returns the exit code and everything printed; the folder's name is left out.
func (i importing) run(stdin string, args ...string) (code int, printed string) {
	i.t.Helper()
	var out bytes.Buffer
	a := newApp(func(name string) string { return i.env[name] }, strings.NewReader(stdin), &out, &out)
	c := newImportCommand(a)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	c.SetOut(&out)
	code = a.exitCode(c.ExecuteContext(i.t.Context()))
	return code, strings.ReplaceAll(out.String(), i.dir+"/", "")
}

func (i importing) write(name, text string) string {
	i.t.Helper()
	path := filepath.Join(i.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

func (i importing) want(wantCode int, want string, code int, printed string) {
	i.t.Helper()
	if code != wantCode {
		i.t.Errorf("exit code %d, want %d", code, wantCode)
	}
	if diff := cmp.Diff(want, printed); diff != "" {
		i.t.Errorf("printed (-want +got):\n%s", diff)
	}
}

const importFile = "CustomerKey,Name,BirthDate,Income,HomeOwner\n" +
	"1,Ana,01/13/1990,\"$90,000 \",Y\n" +
	"2,NA,12/05/1985,\"$60,000 \",N\n" +
	"3,Citra,02/30/1991,\"$70,000 \",N\n"

func TestImportCommand(t *testing.T) {
	t.Parallel()
	i := setupImport(t)
	path := i.write("customers.csv", importFile)
	code, printed := i.run("", path, "--table", "customers", "--key", "CustomerKey", "--type", "BirthDate=date:MM/DD/YYYY")
	i.want(exitPartial, `customers.csv: 3 rows, commas, UTF-8
┌────────────────┬─────────────┬───────────────────┬─────────┬──────────────────────────────────────┐
│ COLUMN         │ IN THE FILE │ TYPE              │ MISSING │ EXAMPLES                             │
├────────────────┼─────────────┼───────────────────┼─────────┼──────────────────────────────────────┤
│ customer_key # │ CustomerKey │ bigint            │         │ 1 · 2 · 3                            │
│ name           │ Name        │ text              │ 33.3 %  │ Ana · Citra                          │
│ birth_date     │ BirthDate   │ date MM/DD/YYYY * │         │ 01/13/1990 · 12/05/1985 · 02/30/1991 │
│ income         │ Income      │ numeric           │         │ $90,000 · $60,000 · $70,000          │
│ home_owner     │ HomeOwner   │ boolean           │         │ Y · N                                │
└────────────────┴─────────────┴───────────────────┴─────────┴──────────────────────────────────────┘
# key
* as --type says
- Name: "NA" means missing (1 value)
2 loaded into data.customers (a new table), 1 rejected (see customers.csv.rejects.csv)
`, code, printed)
	code, printed = i.run(strings.Replace(importFile, "Ana", "Ani", 1), "-", "--table", "customers", "--type", "BirthDate=date:MM/DD/YYYY", "--rejects", filepath.Join(i.dir, "r.csv"))
	i.want(exitPartial, "2 loaded into data.customers (0 added, 1 changed, 1 unchanged), 1 rejected (see r.csv)", code, lastLine(printed))
}

// A guess that would be dangerous loads nothing; what it proposes to type does.
func TestImportAsks(t *testing.T) {
	t.Parallel()
	i := setupImport(t)
	path := i.write("t.csv", "id,weight\n1,1.500\n")
	code, printed := i.run("", path, "--table", "t")
	i.want(exitFailed, `sapa: t.csv: column weight: "1.500" (line 2) may be a fraction or thousands: no value of the column decides
     say which: --type weight=numeric:1,234.56
            or: --type weight=numeric:1.234,56
`, code, printed)
	code, printed = i.run("", path, "--table", "t", "--type", "weight=numeric:1.234,56")
	i.want(exitOK, "1 loaded into data.t (a new table)", code, lastLine(printed))
	code, printed = i.run("", path, "--table", "t", "--type", "weight=numeric:1.234,56", "--append")
	i.want(exitOK, "1 loaded into data.t (1 added, 0 changed, 0 unchanged)", code, lastLine(printed))
}

func TestImportDryRunTouchesNoDatabase(t *testing.T) {
	t.Parallel()
	i := importing{t: t, dir: t.TempDir(), env: map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/nowhere"}}
	code, printed := i.run("", i.write("t.csv", "id\tname\n1\tAna\n"), "--table", "t", "--dry-run")
	i.want(exitOK, `t.csv: 1 row, tabs, UTF-8
┌────────┬─────────────┬────────┬─────────┬──────────┐
│ COLUMN │ IN THE FILE │ TYPE   │ MISSING │ EXAMPLES │
├────────┼─────────────┼────────┼─────────┼──────────┤
│ id     │ id          │ bigint │         │ 1        │
│ name   │ name        │ text   │         │ Ana      │
└────────┴─────────────┴────────┴─────────┴──────────┘
`, code, printed)
}

func TestImportUsage(t *testing.T) {
	t.Parallel()
	i := importing{t: t, dir: t.TempDir()}
	path := i.write("t.csv", "id\n1\n")
	tests := []struct {
		args []string
		want string
	}{
		{[]string{}, "sapa: name one file to import, or - for standard input\n"},
		{[]string{path}, "sapa: name the table: --table NAME\n"},
		{[]string{path, "--table", "t", "--append", "--key", "id"}, "sapa: --append is for tables without a key; with --key rows are merged\n"},
	}
	for _, test := range tests {
		code, printed := i.run("", test.args...)
		i.want(exitUsage, test.want, code, printed)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
