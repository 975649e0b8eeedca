package pg

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	neturl "net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PrivateOptions say where a private cluster lives. The zero value is the cluster of the project in the current folder.
type PrivateOptions struct {
	Dir     string       // its folder; DefaultDir of the current folder when empty
	Log     *slog.Logger // what is done is logged here; nil = nowhere
	BinDirs []string     // where to look for PostgreSQL's programs; nil = PATH, pg_config and the usual folders
}

// Cluster is this process's use of a private PostgreSQL cluster. Other processes may use the same at the same time.
type Cluster struct {
	dir string
	layout
	acct  Account
	log   *slog.Logger
	users *fileLock // held shared while we use the cluster

	once       sync.Once
	releaseErr error
}

// layout is what a cluster's folder holds:
//
//	start.lock   held while a process starts or stops the server
//	users.lock   held shared by every process that uses it
//	server.log   what the server says
//	data/        PGDATA, of the server's account
//	run/         the socket, closed to other accounts
type layout struct{ start, usersLock, serverLog, data, run string }

func layoutOf(dir string, acct Account) layout {
	return layout{
		start: filepath.Join(dir, "start.lock"), usersLock: filepath.Join(dir, "users.lock"),
		serverLog: filepath.Join(dir, "server.log"), data: filepath.Join(dir, "data"), run: socketDir(dir, acct),
	}
}

// maxSocketDir leaves room for "/.s.PGSQL.5432.lock" in the 104 bytes that a socket's path has on macOS and the BSDs.
const maxSocketDir = 80

// socketDir is in the cluster's folder, or under /tmp where that has too long a path.
func socketDir(dir string, acct Account) string {
	if run := filepath.Join(dir, "run"); len(run) <= maxSocketDir {
		return run
	}
	sum := sha256.Sum256([]byte(dir))
	return fmt.Sprintf("/tmp/sapa-%d-%s", acct.UID, hex.EncodeToString(sum[:6]))
}

// DefaultDir is the folder of the private cluster of a project: SAPA_PG_DIR where env has it; for root a folder under
// /var/lib/sapa, which the server's account can enter however closed the project's own folders are; for others under
// $XDG_DATA_HOME/sapa or ~/.local/share/sapa. Its last part is made from the project's absolute path.
func DefaultDir(project string, env func(string) string) (string, error) {
	if dir := env("SAPA_PG_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	project, err := filepath.Abs(project)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(project); err == nil {
		project = real
	}
	base, err := dataHome(env)
	if err != nil {
		return "", err
	}
	return filepath.Join(base, projectName(project)), nil
}

func dataHome(env func(string) string) (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/sapa", nil
	}
	if dir := env("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sapa"), nil
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "sapa"), nil
	}
	return "", errors.New("there is no home folder to keep a private PostgreSQL in: name a folder with SAPA_PG_DIR")
}

var notWord = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// projectName is short, so that the socket's path stays under the limit of about 100 bytes.
func projectName(path string) string {
	sum := sha256.Sum256([]byte(path))
	name := strings.Trim(notWord.ReplaceAllString(filepath.Base(path), "-"), "-")
	return strings.TrimLeft(name[:min(len(name), 20)]+"-"+hex.EncodeToString(sum[:4]), "-")
}

// Private makes sure that the private cluster runs and returns this process's use of it, which it must Release. The
// cluster is made when there is none; a server that a killed Sapa left running is adopted; two processes that start at
// once share one server. It runs in a session of its own, so a Ctrl-C stops Sapa first, and listens on a socket in
// a folder closed to other accounts, never on the network.
//
// After kill -9 of its last user the server keeps running until another Sapa has used it and released it.
func Private(ctx context.Context, opts PrivateOptions) (*Cluster, error) {
	c, err := newCluster(opts)
	if err != nil {
		return nil, fmt.Errorf("private PostgreSQL: %w", err)
	}
	err = c.exclusively(ctx, func() error { return c.join(ctx, opts.BinDirs) })
	if err != nil {
		return nil, fmt.Errorf("private PostgreSQL in %s: %w", c.dir, err)
	}
	return c, nil
}

func newCluster(opts PrivateOptions) (*Cluster, error) {
	c, err := privateAt(opts.Dir)
	if err != nil {
		return nil, err
	}
	if opts.Log != nil {
		c.log = opts.Log
	}
	return c, makeEnterable(c.dir)
}

// privateAt is a cluster as its folder says, without touching it.
func privateAt(dir string) (*Cluster, error) {
	acct, err := ServerAccount()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir, err = DefaultDir(".", os.Getenv)
	} else {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, err
	}
	return &Cluster{dir: dir, layout: layoutOf(dir, acct), acct: acct, log: slog.New(slog.DiscardHandler)}, nil
}

// makeEnterable makes the folder and its missing parents so that other accounts may pass through, whatever the umask.
func makeEnterable(dir string) error {
	err := os.Mkdir(dir, 0o711)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		if err := makeEnterable(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o711)
	}
	switch {
	case err == nil:
		return os.Chmod(dir, 0o711)
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	return err
}

// makeOwn makes a folder of the server's account that is closed to others, or checks the one that is there.
func (c *Cluster) makeOwn(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	closed := ok && info.IsDir() && info.Mode().Perm() == 0o700
	switch {
	case closed && int(st.Uid) == c.acct.UID:
		return nil
	case closed && int(st.Uid) == os.Geteuid(): // ours, just now or by a Sapa that was killed at this point
		return c.acct.Own(dir)
	}
	return fmt.Errorf("%s is not a folder of account %s alone (mode 0700)\n  remove it", dir, c.acct.Name)
}

// exclusively runs f while no other process starts or stops this server.
func (c *Cluster) exclusively(ctx context.Context, f func() error) error {
	lock, err := openLock(c.start)
	if err != nil {
		return err
	}
	defer lock.close() //nolint:errcheck // closing only gives the lock back
	if err := lock.wait(ctx, syscall.LOCK_EX); err != nil {
		return err
	}
	return f()
}

// join counts this process among the users and starts the server if it does not run.
func (c *Cluster) join(ctx context.Context, binDirs []string) error {
	if err := c.acct.CanEnter(c.dir); err != nil {
		return fmt.Errorf("%w\n  name a folder that it can enter with SAPA_PG_DIR, such as /var/lib/sapa/%s", err, filepath.Base(c.dir))
	}
	if err := c.makeOwn(c.run); err != nil {
		return err
	}
	users, err := openLock(c.usersLock)
	if err != nil {
		return err
	}
	if err := users.wait(ctx, syscall.LOCK_SH); err != nil {
		return errors.Join(err, users.close())
	}
	if err := c.ensureRunning(ctx, binDirs); err != nil {
		return errors.Join(err, users.close())
	}
	c.users = users
	return nil
}

func (c *Cluster) ensureRunning(ctx context.Context, binDirs []string) error {
	if pid, err := c.runningPID(ctx); err == nil {
		c.log.DebugContext(ctx, "use the private PostgreSQL that runs", slog.Int("pid", pid))
		return nil
	}
	bin, err := c.binaries(ctx, binDirs)
	if err != nil {
		return err
	}
	if err := c.ensureData(ctx, bin); err != nil {
		return err
	}
	return c.startServer(ctx, bin)
}

// Release ends this process's use of the cluster. The last process to do so stops the server. It may be called twice.
func (c *Cluster) Release() error {
	c.once.Do(func() { c.releaseErr = c.release(context.Background()) })
	return c.releaseErr
}

func (c *Cluster) release(ctx context.Context) error {
	defer c.users.close() //nolint:errcheck // closing only gives the lock back
	return c.exclusively(ctx, func() error {
		last, err := c.users.try(syscall.LOCK_EX)
		if err != nil || !last {
			return err
		}
		return c.stopServer(ctx)
	})
}

// Dir is the cluster's folder, which also holds server.log.
func (c *Cluster) Dir() string { return c.dir }

// URL is the connection string of one of the cluster's databases.
func (c *Cluster) URL(database string) string {
	return (&neturl.URL{
		Scheme: "postgres", User: neturl.User(Superuser), Path: "/" + database,
		RawQuery: neturl.Values{"host": {c.run}, "port": {"5432"}, "sslmode": {"disable"}}.Encode(),
	}).String()
}

// EnsureDatabase creates the database if it is absent. Two processes may do so at once.
func (c *Cluster) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is in flight
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+ident(name))
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && (pgErr.Code == "42P04" || pgErr.Code == "23505") {
		return nil // another process was faster
	}
	return err
}

func (c *Cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, c.URL("postgres"))
}
