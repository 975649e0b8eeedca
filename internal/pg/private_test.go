package pg_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// TestMain lets the test binary play another Sapa process.
func TestMain(m *testing.M) {
	if os.Getenv("PG_TEST_PLAY") == "sapa" {
		playSapa()
		return
	}
	pgtest.Main(m)
}

// state is what a playing process says about the cluster that it uses.
type state struct {
	PID int    // of the server
	URL string // of its database "shop"
	Dir string
}

// playSapa uses the private cluster until its standard input ends.
func playSapa() {
	ctx := context.Background()
	c, err := pg.Private(ctx, pg.PrivateOptions{})
	check(err)
	check(c.EnsureDatabase(ctx, "shop"))
	check(json.NewEncoder(os.Stdout).Encode(state{PID: serverPID(ctx, c), URL: c.URL("shop"), Dir: c.Dir()}))
	_, err = io.Copy(io.Discard, os.Stdin)
	check(err)
	check(c.Release())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serverPID(ctx context.Context, c *pg.Cluster) int {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	check(err)
	defer conn.Close(ctx)
	var text string
	check(conn.QueryRow(ctx, `select split_part(pg_read_file('postmaster.pid'), chr(10), 1)`).Scan(&text))
	pid, err := strconv.Atoi(text)
	check(err)
	return pid
}

// player is another Sapa process.
type player struct {
	state
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *strings.Builder
}

// person is who runs Sapa in a test, and the folder of the cluster.
type person struct {
	name   string
	binary string // the test binary where the person may read it
	home   string // a folder of the person's own
	uid    uint32
}

// people are this test's own account and, when that is root, an ordinary one.
func people(t *testing.T) []person {
	t.Helper()
	self := person{name: "self", home: shortTemp(t, os.Geteuid()), uid: uint32(os.Geteuid())}
	self.binary = copyBinary(t, self.home)
	if os.Geteuid() != 0 {
		return []person{self}
	}
	const nobody = 65534
	other := person{name: "ordinary user", home: shortTemp(t, nobody), uid: nobody}
	other.binary = copyBinary(t, other.home)
	return []person{self, other}
}

// shortTemp is a folder under /tmp that belongs to uid and that others may enter.
func shortTemp(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sapa-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, uid, -1)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyBinary(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sapa")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p person) cluster() string { return filepath.Join(p.home, "cluster") }

// command prepares another Sapa process of this person's, in a process group of its own.
func (p person) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.binary)
	cmd.Env = append(os.Environ(), "PG_TEST_PLAY=sapa", "SAPA_PG_DIR="+p.cluster(), "HOME="+p.home)
	cmd.Dir = p.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.uid != uint32(os.Geteuid()) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: p.uid, Gid: p.uid}
	}
	return cmd
}

// play starts a process and waits until it uses the cluster.
func play(t *testing.T, cmd *exec.Cmd) (*player, error) {
	t.Helper()
	p := &player{cmd: cmd, stderr: &strings.Builder{}}
	cmd.Stderr = p.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.stdin = stdin
	line, readErr := bufio.NewReader(stdout).ReadBytes('\n')
	if readErr != nil {
		return nil, fmt.Errorf("%w: %s", cmd.Wait(), p.stderr)
	}
	return p, json.Unmarshal(line, &p.state)
}

func mustPlay(t *testing.T, cmd *exec.Cmd) *player {
	t.Helper()
	p, err := play(t, cmd)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// end lets the process release the cluster.
func (p *player) end(t *testing.T) {
	t.Helper()
	if err := p.stdin.Close(); err != nil {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, p.stderr)
	}
}

// kill ends the process as kill -9 does.
func (p *player) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = p.cmd.Wait() // "signal: killed"
}

func (p *player) exec(t *testing.T, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var got *string
	if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	if got == nil {
		return ""
	}
	return *got
}

func (p *player) answers(ctx context.Context) bool {
	conn, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// TestPrivateLife takes one cluster through everything that happens to it, for root and for an ordinary user.
func TestPrivateLife(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	for _, who := range people(t) {
		t.Run(who.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			life{who, ctx}.run(t)
		})
	}
}

func needBinaries(t *testing.T) {
	t.Helper()
	if _, err := pg.FindBinaries(t.Context(), 0); err != nil {
		if testing.Short() {
			t.Skip(err)
		}
		t.Fatal(err)
	}
}

type life struct {
	who person
	ctx context.Context //nolint:containedctx // the length of one test
}

func (l life) run(t *testing.T) {
	steps := []struct {
		name string
		run  func(*testing.T)
	}{
		{"two at once make one cluster", l.race},
		{"closed to the network and to others", l.closed},
		{"the second adopts, the last stops", l.share},
		{"out of reach of a Ctrl-C", l.ctrlC},
		{"adopted after kill -9 of Sapa", l.adopt},
		{"recovers after kill -9 of the server", l.recover},
		{"a stale postmaster.pid", l.stalePID},
		{"a setting that the server refuses", l.refused},
	}
	for _, s := range steps {
		if !t.Run(s.name, s.run) {
			return // the next one would only fail for the same reason
		}
	}
}

func (l life) race(t *testing.T) {
	const n = 4
	players := make([]*player, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { players[i], errs[i] = play(t, l.who.command(l.ctx)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, p := range players {
		if p.PID != players[0].PID {
			t.Errorf("two servers, %d and %d", p.PID, players[0].PID)
		}
	}
	for i, p := range players {
		if !p.answers(l.ctx) {
			t.Errorf("the server went although %d processes still use it", n-i)
		}
		p.end(t)
	}
	l.gone(t, players[0])
}

func (l life) gone(t *testing.T, p *player) {
	t.Helper()
	if p.answers(l.ctx) {
		t.Error("the server still answers")
	}
	if _, err := os.Stat(filepath.Join(p.Dir, "data", "postmaster.pid")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("postmaster.pid is still there: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(p.Dir, "data.new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("half-made data: %v %v", left, err)
	}
}

func (l life) closed(t *testing.T) {
	p := mustPlay(t, l.who.command(l.ctx))
	defer p.end(t)
	if got := p.exec(t, "show listen_addresses"); got != "" {
		t.Errorf("listens on %q", got)
	}
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if got := p.exec(t, "show "+setting); got != "on" {
			t.Errorf("%s is %s", setting, got)
		}
	}
	for _, dir := range []string{"run", "data"} {
		info, err := os.Stat(filepath.Join(p.Dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %o", dir, info.Mode().Perm())
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid == 0 {
			t.Errorf("%s belongs to root", dir)
		}
	}
}

func (l life) share(t *testing.T) {
	a := mustPlay(t, l.who.command(l.ctx))
	b := mustPlay(t, l.who.command(l.ctx))
	if a.PID != b.PID {
		t.Errorf("the second uses server %d, the first %d", b.PID, a.PID)
	}
	a.end(t)
	if !b.answers(l.ctx) {
		t.Error("the first, which started the server, stopped it while the second used it")
	}
	b.end(t)
	l.gone(t, b)
}

func (l life) ctrlC(t *testing.T) {
	p := mustPlay(t, l.who.command(l.ctx))
	defer p.end(t)
	server, err := syscall.Getpgid(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	if server != p.PID {
		t.Errorf("the server is in process group %d, not in one of its own (Sapa's is %d)", server, p.cmd.Process.Pid)
	}
}

func (l life) adopt(t *testing.T) {
	a := mustPlay(t, l.who.command(l.ctx))
	a.kill(t)
	if !a.answers(l.ctx) {
		t.Error("the server died with Sapa")
	}
	b := mustPlay(t, l.who.command(l.ctx))
	if a.PID != b.PID {
		t.Errorf("started server %d instead of adopting %d", b.PID, a.PID)
	}
	b.end(t)
	l.gone(t, b)
}

func (l life) recover(t *testing.T) {
	a := mustPlay(t, l.who.command(l.ctx))
	a.exec(t, "create table kept as select 'committed' as word")
	if err := syscall.Kill(a.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.kill(t)
	b := mustPlay(t, l.who.command(l.ctx))
	if b.PID == a.PID {
		t.Errorf("server %d survived SIGKILL", a.PID)
	}
	if got := b.exec(t, "select word from kept"); got != "committed" {
		t.Errorf("lost what was committed: %q", got)
	}
	b.end(t)
	l.gone(t, b)
}

// stalePID leaves a postmaster.pid that names a living process of the server's account, as after a restart of the machine.
func (l life) stalePID(t *testing.T) {
	acct, err := pg.ServerAccount()
	if err != nil {
		t.Fatal(err)
	}
	innocent := exec.CommandContext(l.ctx, "sleep", "600")
	uid, gid := uint32(acct.UID), uint32(acct.GID)
	if l.who.name != "self" {
		uid, gid = l.who.uid, l.who.uid
	}
	if os.Geteuid() == 0 {
		innocent.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	if err := innocent.Start(); err != nil {
		t.Fatal(err)
	}
	defer innocent.Wait()         //nolint:errcheck // "signal: killed"
	defer innocent.Process.Kill() //nolint:errcheck // it runs until now
	pidFile := filepath.Join(l.who.cluster(), "data", "postmaster.pid")
	text := fmt.Sprintf("%d\n%s\n1700000000\n5432\n\n\n", innocent.Process.Pid, filepath.Dir(pidFile))
	if err := errors.Join(os.WriteFile(pidFile, []byte(text), 0o600), os.Chown(pidFile, int(uid), int(gid))); err != nil {
		t.Fatal(err)
	}
	p := mustPlay(t, l.who.command(l.ctx))
	p.end(t)
	l.gone(t, p)
}

func (l life) refused(t *testing.T) {
	conf := filepath.Join(l.who.cluster(), "data", "postgresql.conf")
	f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("work_mem = lots\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = play(t, l.who.command(l.ctx))
	if err == nil {
		t.Fatal("started in spite of a broken setting")
	}
	for _, want := range []string{
		"private PostgreSQL in " + l.who.cluster() + ": start the server: the server gave up",
		`invalid value for parameter "work_mem": "lots"`,
		"see " + filepath.Join(l.who.cluster(), "server.log"),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the message:\n%v", want, err)
		}
	}
}

func socketDir(t *testing.T, c *pg.Cluster) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Host
}
