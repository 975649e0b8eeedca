package pgtest

import (
	"context"
	"errors"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/migrations"
)

// shared is the one server of a test binary. It is global because tests share nothing else that could hold it.
var shared lazyServer

type lazyServer struct {
	mu  sync.Mutex
	srv *server
	err error
}

func (l *lazyServer) get() (*server, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.srv == nil && l.err == nil {
		l.srv, l.err = startServer(context.Background())
	}
	return l.srv, l.err
}

func (l *lazyServer) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.srv == nil {
		return nil
	}
	defer func() { l.srv = nil }()
	return l.srv.close()
}

type server struct {
	base     string        // URL of the database postgres
	admin    *pgxpool.Pool // on that database
	hasICU   bool
	copying  string    // clause of "create database": how a template is copied
	wrapper  *exec.Cmd // the throw-away cluster; nil when the server is somebody else's
	lifeline *os.File  // closing it stops the cluster

	once     sync.Once // guards the template
	template string
	tplErr   error
}

func startServer(ctx context.Context) (*server, error) {
	s := &server{base: os.Getenv("TEST_DATABASE_URL")}
	if s.base == "" {
		if err := s.startCluster(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *server) connect(ctx context.Context) (err error) {
	s.admin, err = pg.Connect(ctx, s.base, pg.Options{AppName: "pgtest", MaxConns: 4})
	if err != nil {
		return err
	}
	var is15 bool
	err = s.admin.QueryRow(ctx, `select current_setting('server_version_num')::int >= 150000,
		exists (select from pg_collation where collprovider = 'i')`).Scan(&is15, &s.hasICU)
	s.hasICU = s.hasICU && is15
	if is15 && s.wrapper != nil { // it needs checkpoints, which cost nothing without fsync, and writes no WAL
		s.copying = " strategy file_copy"
	}
	return err
}

func (s *server) url(database string) string {
	u, err := neturl.Parse(s.base)
	if err != nil || u.Scheme == "" {
		return s.base + " dbname=" + database // keyword=value pairs: the last one counts
	}
	u.Path = "/" + database
	return u.String()
}

// stopWithParent runs the server until the test binary closes its end of the pipe on standard input, be it by dying, and
// then removes the cluster. Arguments: the cluster's folder, postgres and its arguments.
const stopWithParent = `dir=$1; shift
"$@" </dev/null & server=$!
read -r _
kill -QUIT $server; wait $server
cd / && rm -rf "$dir"`

func (s *server) startCluster(ctx context.Context) error {
	bin, acct, err := programs(ctx)
	if err != nil {
		return err
	}
	dir, err := tempDir(acct)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := pg.InitDB(ctx, bin, acct, data, "--no-sync"); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	log := filepath.Join(dir, "log")
	if err := s.launch(acct, dir, log, append([]string{bin.Path("postgres")}, serverArgs(data, dir)...)); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	s.base = (&neturl.URL{
		Scheme: "postgres", User: neturl.User(pg.Superuser), Path: "/postgres",
		RawQuery: neturl.Values{"host": {dir}, "port": {"5432"}}.Encode(),
	}).String()
	if err := awaitReady(ctx, s.base); err != nil {
		words, _ := os.ReadFile(log)
		return errors.Join(fmt.Errorf("start the throw-away cluster: %w\n%s", err, words), s.close())
	}
	return nil
}

func programs(ctx context.Context) (pg.Binaries, pg.Account, error) {
	acct, err := pg.ServerAccount()
	if err != nil {
		return pg.Binaries{}, acct, err
	}
	bin, err := pg.FindBinaries(ctx, 0)
	return bin, acct, err
}

// inMemory is a file system in memory, where the system has one. A database is some 500 files, and a disk's file system
// spends six times as long on making and deleting them.
const inMemory = "/dev/shm"

// enoughMemory is what must be free there, in bytes. A cluster takes some hundred megabytes, and two run at a time.
const enoughMemory = 4 << 30

// tempDir is a new folder of the account's own, short enough for a socket's path and reachable by the account.
func tempDir(acct pg.Account) (string, error) {
	parent := os.TempDir()
	var fs syscall.Statfs_t
	if syscall.Statfs(inMemory, &fs) == nil && uint64(fs.Bavail)*uint64(fs.Bsize) >= enoughMemory {
		parent = inMemory
	}
	if len(parent) > 50 || acct.CanEnter(parent) != nil {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "sapa-pgtest-")
	if err != nil {
		return "", err
	}
	return dir, acct.Own(dir)
}

func serverArgs(data, socketDir string) []string {
	return []string{
		"-D", data, "-k", socketDir, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=300",
		"-c", "shared_buffers=64MB", "-c", "max_wal_size=256MB", "-c", "checkpoint_timeout=1h", "-c", "autovacuum_naptime=10min", "-c", "jit=off",
		"-c", "max_wal_senders=0", "-c", "wal_level=minimal",
	}
}

func (s *server) launch(acct pg.Account, dir, log string, command []string) error {
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // the server has its own copy
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close() //nolint:errcheck // the wrapper has its own copy
	args := append([]string{"-c", stopWithParent, "pgtest", dir}, command...)
	cmd := acct.Command(context.Background(), dir, "/bin/sh", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = read, out, out
	if err := cmd.Start(); err != nil {
		return errors.Join(err, write.Close())
	}
	s.wrapper, s.lifeline = cmd, write
	return nil
}

// awaitReady asks until the server answers, for at most a minute.
func awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		pool, err := pg.Connect(ctx, url, pg.Options{MaxConns: 1})
		if err == nil {
			pool.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// close stops the cluster, if it is ours, and waits until its folder is gone.
func (s *server) close() error {
	if s.admin != nil {
		s.admin.Close()
	}
	if s.wrapper == nil {
		return nil
	}
	return errors.Join(s.lifeline.Close(), s.wrapper.Wait())
}

// migratedTemplate is the name of a database with every migration applied, which is made when the server has none of
// this state of the migrations yet.
func (s *server) migratedTemplate(ctx context.Context) (string, error) {
	s.once.Do(func() { s.template, s.tplErr = s.makeTemplate(context.WithoutCancel(ctx)) })
	return s.template, s.tplErr
}

func (s *server) makeTemplate(ctx context.Context) (string, error) {
	hash, err := migrations.Fingerprint()
	if err != nil {
		return "", err
	}
	name := "sapa_tpl_" + hash
	conn, err := s.admin.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	const key = `hashtextextended('sapa pgtest template', 0)`
	if _, err := conn.Exec(ctx, `select pg_advisory_lock(`+key+`)`); err != nil {
		return "", err
	}
	defer conn.Exec(ctx, `select pg_advisory_unlock(`+key+`)`) //nolint:errcheck // gone with the session at the latest
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists); err != nil || exists {
		return name, err
	}
	return name, s.buildTemplate(ctx, conn, name)
}

// buildTemplate migrates a database under another name first, so that a template is never half made.
func (s *server) buildTemplate(ctx context.Context, conn *pgxpool.Conn, name string) error {
	draft := name + "_draft"
	for _, sql := range []string{
		"drop database if exists " + ident(draft) + " with (force)",
		"create database " + ident(draft) + " template template0 encoding 'UTF8'",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := migrateDraft(ctx, s.url(draft)); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "alter database "+ident(draft)+" rename to "+ident(name))
	return err
}

func migrateDraft(ctx context.Context, url string) error {
	pool, err := pg.Connect(ctx, url, pg.Options{MaxConns: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	return migrations.Up(ctx, pool, pg.DefaultSchema)
}
