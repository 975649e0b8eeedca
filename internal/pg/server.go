package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// binaries are the programs that fit the data: its major version, or the newest for data that are yet to be made.
func (c *Cluster) binaries(ctx context.Context, dirs []string) (Binaries, error) {
	list := inspect(ctx, dirs)
	if dirs == nil {
		list = Installed(ctx)
	}
	major, err := c.dataMajor()
	if err != nil {
		return Binaries{}, err
	}
	bin, err := choose(list, major)
	var wrong *MajorError
	if errors.As(err, &wrong) {
		wrong.Dir = c.data
	}
	if err == nil && bin.Major < MinMajor {
		err = fmt.Errorf("PostgreSQL %s is too old; Sapa needs %d or later\n  install a later one with: %s", bin.Version, MinMajor, InstallCommand(0))
	}
	return bin, err
}

// dataMajor is the major version that the data were made with, 0 when there are none.
func (c *Cluster) dataMajor() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".") // as in 9.6
	return strconv.Atoi(major)
}

// ensureData makes the cluster's data if there are none, after removing what a killed initdb left.
func (c *Cluster) ensureData(ctx context.Context, bin Binaries) error {
	if _, err := os.Lstat(c.data); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	left, _ := filepath.Glob(c.data + ".new-*") // the only error is a bad pattern
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	c.log.InfoContext(ctx, "make a private PostgreSQL", slog.String("dir", c.dir), slog.String("version", bin.Version))
	return InitDB(ctx, bin, c.acct, c.data)
}

// startServer starts the server and waits until it answers, however long it takes to recover from a crash.
func (c *Cluster) startServer(ctx context.Context, bin Binaries) error {
	if err := c.disarmStale(ctx); err != nil {
		return err
	}
	out, logStart, err := c.openServerLog()
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // the server has its own copy
	cmd := c.acct.Command(context.WithoutCancel(ctx), c.data, bin.Path("postgres"), c.serverArgs()...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	if err := c.awaitAnswer(ctx, exited); err != nil {
		return c.startFailed(err, cmd, exited, logStart)
	}
	c.log.InfoContext(ctx, "started the private PostgreSQL", slog.String("dir", c.dir), slog.String("version", bin.Version), slog.Int("pid", cmd.Process.Pid))
	return nil
}

var errExited = errors.New("the server gave up")

func (c *Cluster) awaitAnswer(ctx context.Context, exited <-chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-exited:
			return errExited
		case <-tick.C:
			if _, err := c.runningPID(ctx); err == nil {
				return nil
			}
		}
	}
}

// startFailed stops what was started and shows the server's own words.
func (c *Cluster) startFailed(err error, cmd *exec.Cmd, exited <-chan struct{}, logStart int64) error {
	if !errors.Is(err, errExited) {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may be gone already
		<-exited
		return fmt.Errorf("start the server: %w", err)
	}
	words := ""
	if text, readErr := os.ReadFile(c.serverLog); readErr == nil && int64(len(text)) > logStart {
		words = lastLines(string(text[logStart:]), 10)
	}
	return fmt.Errorf("start the server: %w\n%s\n  see %s", err, indent(words), c.serverLog)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// serverArgs are settings that hold whatever postgresql.conf says: no network, a socket for us alone, durable commits.
func (c *Cluster) serverArgs() []string {
	args := []string{"-D", c.data, "-k", c.run}
	for _, setting := range []string{
		"listen_addresses=", "port=5432", "unix_socket_permissions=0700", "cluster_name=sapa",
		"fsync=on", "synchronous_commit=on", "full_page_writes=on",
		"max_connections=200", "shared_buffers=" + sharedBuffers(), "max_wal_size=2GB", "checkpoint_timeout=15min",
		"jit=off", "timezone=UTC", "log_timezone=UTC", "log_line_prefix=%m [%p] %a ", "logging_collector=off",
		"dynamic_shared_memory_type=" + sharedMemory(),
	} {
		args = append(args, "-c", setting)
	}
	return args
}

// sharedBuffers is an eighth of the machine's memory, between 64 MB and 512 MB.
func sharedBuffers() string {
	megabytes := 1024
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kilobytes int
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kilobytes); err == nil {
			megabytes = kilobytes / 1024
		}
	}
	return strconv.Itoa(min(max(megabytes/8, 64), 512)) + "MB"
}

// sharedMemory avoids /dev/shm where it is as small as in a container by default, because parallel queries would fail there.
func sharedMemory() string {
	var st syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &st); err == nil && st.Blocks*uint64(st.Bsize) < 256<<20 {
		return "mmap"
	}
	return "posix"
}

const maxServerLog = 10 << 20

// openServerLog opens the log for appending, a new one when it has grown past 10 MB, and says where this run's part begins.
func (c *Cluster) openServerLog() (*os.File, int64, error) {
	if info, err := os.Stat(c.serverLog); err == nil && info.Size() > maxServerLog {
		if err := os.Rename(c.serverLog, c.serverLog+".1"); err != nil {
			return nil, 0, err
		}
	}
	f, err := os.OpenFile(c.serverLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Crash stops the server as a crash does: its processes end at once, and the next start recovers from the log. It
// returns when the server is gone.
func (c *Cluster) Crash(ctx context.Context) error {
	pid, err := c.runningPID(ctx)
	if err != nil {
		return fmt.Errorf("crash the server: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("crash the server: %w", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// runningPID is the process id of the server that answers on our socket and serves our data.
func (c *Cluster) runningPID(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is in flight
	var data, pidFile string
	if err := conn.QueryRow(ctx, `select current_setting('data_directory'), pg_read_file('postmaster.pid')`).Scan(&data, &pidFile); err != nil {
		return 0, err
	}
	if !sameFile(data, c.data) {
		return 0, fmt.Errorf("the server on %s serves %s", c.run, data)
	}
	return parsePID(pidFile)
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func parsePID(pidFile string) (int, error) {
	first, _, _ := strings.Cut(pidFile, "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

// disarmStale mends the server's two lock files where they name no server that lives.
func (c *Cluster) disarmStale(ctx context.Context) error {
	return errors.Join(
		c.disarm(ctx, filepath.Join(c.data, "postmaster.pid")),
		c.disarm(ctx, filepath.Join(c.run, ".s.PGSQL.5432.lock")),
	)
}

// disarm mends a lock file whose number belongs to a program that is no PostgreSQL, as after a restart of the
// machine, or to a dead one that nobody has reaped. PostgreSQL would refuse to start for fear of it. The file is not
// removed, because postmaster.pid also names the shared memory by which PostgreSQL recognises orphaned sessions; it gets our
// own number, which PostgreSQL overlooks in its parent.
func (c *Cluster) disarm(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := parsePID(string(text))
	if err != nil || maybeServer(ctx, pid) {
		return nil //nolint:nilerr // the server judges what it wrote
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	return c.replaceOwn(path, strconv.Itoa(os.Getpid())+"\n"+rest)
}

// replaceOwn writes a file of the server's account. It follows no link that the account may have put there.
func (c *Cluster) replaceOwn(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close(), c.acct.Own(f.Name()), os.Rename(f.Name(), path))
}

// maybeServer is false for a process that surely is no living PostgreSQL server. For processes that don't exist it is
// true, because PostgreSQL copes with those itself.
func maybeServer(ctx context.Context, pid int) bool {
	out, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // "17 (postgres) S 1 …"
	if err != nil {
		out, err = exec.CommandContext(ctx, "ps", "-o", "stat=,comm=", "-p", strconv.Itoa(pid)).Output() // "Ss postgres"
	}
	text := strings.TrimSpace(string(out))
	if err != nil || text == "" {
		return true
	}
	zombie := strings.HasPrefix(text, "Z") || strings.Contains(text, ") Z ")
	return !zombie && (strings.Contains(text, "postgres") || strings.Contains(text, "postmaster"))
}

// stopServer asks for a fast shutdown, which ends sessions and keeps what was committed, and waits for it.
func (c *Cluster) stopServer(ctx context.Context) error {
	pid, err := c.runningPID(ctx)
	if err != nil {
		return c.notAnswering(err)
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the private PostgreSQL, process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(filepath.Join(c.data, "postmaster.pid")); errors.Is(err, fs.ErrNotExist) {
			c.log.InfoContext(ctx, "stopped the private PostgreSQL", slog.String("dir", c.dir), slog.Int("pid", pid))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop the private PostgreSQL: process %d still runs after two minutes", pid)
		case <-tick.C:
		}
	}
}

// notAnswering is no error when the server is gone already.
func (c *Cluster) notAnswering(cause error) error {
	text, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err != nil {
		return nil //nolint:nilerr // a server that runs has this file
	}
	pid, err := parsePID(string(text))
	if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return nil
	}
	return fmt.Errorf("stop the private PostgreSQL in %s: process %d does not answer: %w", c.dir, pid, cause)
}
