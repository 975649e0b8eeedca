package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Check is one thing that was looked at, and, when it is not in order, how to mend it.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`           // what was found
	Remedy string `json:"remedy,omitempty"` // what to do, where OK is false
}

// CheckOptions say what CheckAll looks at.
type CheckOptions struct {
	URL     string   // DATABASE_URL; empty for the private cluster
	Schema  string   // DefaultSchema when empty
	Dir     string   // the private cluster's folder
	BinDirs []string // as in PrivateOptions

	// Pending lists the migrations that the schema lacks; it fails when the schema's migrations are not ours.
	Pending func(ctx context.Context, pool *pgxpool.Pool, schema string) ([]string, error)
	// Home fails when the schema was made in another database than this one, from which nothing is sent.
	Home func(ctx context.Context, db DBTX) error
}

// CheckAll looks at the set-up and changes nothing. What can't be judged because something before it is out of order
// is left out.
func CheckAll(ctx context.Context, opts CheckOptions) []Check {
	if opts.Schema == "" {
		opts.Schema = DefaultSchema
	}
	if opts.URL != "" {
		return checkDatabase(ctx, "DATABASE_URL", opts.URL, opts)
	}
	return checkPrivate(ctx, opts)
}

// PrintChecks writes one line for each check, and its remedy below it, and says whether all were in order.
func PrintChecks(w io.Writer, checks []Check) bool {
	width, all := 0, true
	for _, c := range checks {
		width = max(width, len(c.Name))
	}
	for _, c := range checks {
		mark := "ok  "
		if !c.OK {
			mark, all = "MEND", false
		}
		pad := strings.Repeat(" ", len(mark)+width+4)
		fmt.Fprintf(w, "%s  %-*s  %s\n", mark, width, c.Name, strings.ReplaceAll(c.Detail, "\n", "\n"+pad))
		if c.Remedy != "" {
			fmt.Fprintf(w, "%s→ %s\n", pad, strings.ReplaceAll(c.Remedy, "\n", "\n"+pad+"  "))
		}
	}
	return all
}

func good(name, format string, args ...any) Check {
	return Check{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)}
}

// bad splits an error of ours, whose remedy is on the lines after the first.
func bad(name string, err error) Check {
	detail, remedy, _ := strings.Cut(err.Error(), "\n")
	lines := strings.Split(remedy, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return Check{Name: name, Detail: detail, Remedy: strings.Join(lines, "\n")}
}

// checkPrivate looks at the private cluster without starting it.
func checkPrivate(ctx context.Context, opts CheckOptions) []Check {
	checks := []Check{good("database", "DATABASE_URL is not set: Sapa uses a private PostgreSQL")}
	c, err := privateAt(opts.Dir)
	if err != nil {
		return append(checks, bad("account", err))
	}
	if c.acct.switched {
		checks = append(checks, good("account", "root, so PostgreSQL runs as %s", c.acct.Name))
	}
	bin, err := c.binaries(ctx, opts.BinDirs)
	if err != nil {
		checks = append(checks, bad("PostgreSQL programs", err))
	} else {
		checks = append(checks, good("PostgreSQL programs", "%s in %s", bin.Version, bin.Dir))
	}
	checks = append(checks, c.checkFolder(), checkSpace(c.dir))
	pid, err := c.runningPID(ctx)
	if err != nil {
		return append(checks, c.checkStopped())
	}
	checks = append(checks, good("private PostgreSQL", "running, process %d; its log is %s", pid, c.serverLog))
	return append(checks, checkDatabase(ctx, "private database", c.URL(Superuser), opts)...)
}

func (c *Cluster) checkFolder() Check {
	const name = "data folder"
	if err := c.acct.CanEnter(c.dir); err != nil {
		return bad(name, fmt.Errorf("%w\nname a folder that it can enter with SAPA_PG_DIR", err))
	}
	where := existing(c.dir)
	if err := syscall.Access(where, 2|1); err != nil { // W_OK | X_OK
		return bad(name, fmt.Errorf("no right to write in %s: %w\nname a folder of your own with SAPA_PG_DIR", where, err))
	}
	return good(name, "%s", c.dir)
}

func (c *Cluster) checkStopped() Check {
	const name = "private PostgreSQL"
	major, err := c.dataMajor()
	switch {
	case err != nil && !errors.Is(err, fs.ErrPermission):
		return bad(name, err)
	case major == 0:
		return good(name, "not made yet: the first command that needs it does so")
	}
	return good(name, "stopped: the next command that needs it starts it (data of PostgreSQL %d)", major)
}

// existing is the nearest folder on the way to path that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// minSpace is what a cluster takes with its write-ahead log and room to work.
const minSpace = 2 << 30

func checkSpace(dir string) Check {
	const name = "disk space"
	var st syscall.Statfs_t
	if err := syscall.Statfs(existing(dir), &st); err != nil {
		return bad(name, err)
	}
	free := uint64(st.Bavail) * uint64(st.Bsize) // their types differ between systems
	if free < minSpace {
		return bad(name, fmt.Errorf("%.1f GB are free in %s\nmake room for at least %d GB, or name a folder elsewhere with SAPA_PG_DIR",
			float64(free)/(1<<30), existing(dir), minSpace>>30))
	}
	return good(name, "%.1f GB free", float64(free)/(1<<30))
}

// checkDatabase connects and looks at the server, the rights and the schema.
func checkDatabase(ctx context.Context, name, url string, opts CheckOptions) []Check {
	pool, err := Connect(ctx, url, Options{Schema: opts.Schema, MaxConns: 2, AppName: "sapa doctor"})
	if err != nil {
		return []Check{bad(name, err)}
	}
	defer pool.Close()
	facts, err := readFacts(ctx, pool, opts.Schema)
	if err != nil {
		return []Check{bad(name, err)}
	}
	checks := []Check{facts.server(name, place(pool.Config().ConnConfig)), facts.encoding(), facts.rights(opts.Schema)}
	if opts.Pending == nil || !facts.schema {
		return checks
	}
	migrated := checkMigrated(ctx, pool, opts)
	if checks = append(checks, migrated); !migrated.OK || opts.Home == nil {
		return checks
	}
	return append(checks, checkHome(ctx, pool, opts))
}

func checkHome(ctx context.Context, db DBTX, opts CheckOptions) Check {
	const name = "installation"
	if err := opts.Home(ctx, db); err != nil {
		return bad(name, err)
	}
	return good(name, "this is the database that Sapa was set up in")
}

func checkMigrated(ctx context.Context, pool *pgxpool.Pool, opts CheckOptions) Check {
	const name = "tables"
	pending, err := opts.Pending(ctx, pool, opts.Schema)
	switch {
	case err != nil:
		return bad(name, err)
	case len(pending) > 0:
		return bad(name, fmt.Errorf("%d migrations are missing: %s\nrun: sapa migrate", len(pending), strings.Join(pending, ", ")))
	}
	return good(name, "up to date in schema %s", opts.Schema)
}

type facts struct {
	number          int
	version         string
	role, database  string
	charset         string
	standby         bool
	schema          bool
	mayUse, mayMake bool // in the schema, or make one of that name where there is none
}

func readFacts(ctx context.Context, db DBTX, schema string) (f facts, err error) {
	err = db.QueryRow(ctx, `
		select current_setting('server_version_num')::int, current_setting('server_version'), current_user, current_database(),
			current_setting('server_encoding'), pg_is_in_recovery(), n.oid is not null,
			coalesce(has_schema_privilege(n.oid, 'usage'), has_database_privilege(current_database(), 'create')),
			coalesce(has_schema_privilege(n.oid, 'create'), has_database_privilege(current_database(), 'create'))
		from (select) one left join pg_namespace n on n.nspname = $1`, schema).
		Scan(&f.number, &f.version, &f.role, &f.database, &f.charset, &f.standby, &f.schema, &f.mayUse, &f.mayMake)
	return f, err
}

func (f facts) server(name, place string) Check {
	switch {
	case f.number < MinMajor*10000:
		return bad(name, fmt.Errorf("%s is PostgreSQL %s, and Sapa needs %d or later\nupgrade the server", place, f.version, MinMajor))
	case f.standby:
		return bad(name, fmt.Errorf("%s is a standby, which can't be written to\nname the primary server in DATABASE_URL", place))
	}
	version, _, _ := strings.Cut(f.version, " ") // "15.18 (Debian …)"
	return good(name, "%s answers: PostgreSQL %s, role %s", place, version, f.role)
}

func (f facts) encoding() Check {
	if f.charset != "UTF8" {
		return bad("encoding", fmt.Errorf("database %s is in %s, and Sapa needs UTF8\ncreate one with: create database ... template template0 encoding 'UTF8'",
			f.database, f.charset))
	}
	return good("encoding", "UTF8")
}

func (f facts) rights(schema string) Check {
	const name = "rights"
	switch {
	case f.schema && f.mayUse && f.mayMake:
		return good(name, "role %s may make tables in schema %s", f.role, schema)
	case f.schema:
		return bad(name, fmt.Errorf("role %s may not make tables in schema %s\nan administrator mends it with: alter schema %s owner to %s",
			f.role, schema, ident(schema), ident(f.role)))
	case f.mayMake:
		return good(name, "role %s may make schema %s, which is not there yet: run sapa migrate", f.role, schema)
	}
	return bad(name, fmt.Errorf("role %s may not make schema %s\nan administrator mends it with: create schema %s authorization %s",
		f.role, schema, ident(schema), ident(f.role)))
}
