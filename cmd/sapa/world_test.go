package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/sandbox"
	"github.com/sapa-crm/sapa/web"
)

// world is a company with a database of its own, a project folder and a mail server. Tests drive the program in it as
// people do, by its command line.
type world struct {
	t    *testing.T
	pool *pgxpool.Pool // a superuser's, to look behind
	dir  string        // the project
	env  map[string]string
	role string           // the database's, where it is not the superuser
	now  func() time.Time // business time; nil: the real one

	mail     *sandbox.Server
	smtp     string // host:port of the mail server
	mailDir  string
	listener net.Listener // of the public listener
	public   string       // its URL
}

// newWorld is a world whose database has nothing but Sapa's own tables.
func newWorld(t *testing.T, misbehave ...sandbox.Rule) *world {
	t.Helper()
	return newWorldIn(t, pgtest.Pool(t), misbehave...)
}

// newBareWorld is a world before sapa migrate. Making all tables takes some ten times as long as copying them.
func newBareWorld(t *testing.T) *world {
	t.Helper()
	return newWorldIn(t, pgtest.Empty(t))
}

func newWorldIn(t *testing.T, pool *pgxpool.Pool, misbehave ...sandbox.Rule) *world {
	t.Helper()
	w := &world{t: t, pool: pool, dir: t.TempDir(), mailDir: filepath.Join(t.TempDir(), "mail"), smtp: "127.0.0.1:0"}
	w.env = map[string]string{"DATABASE_URL": pgtest.URL(w.pool), "SAPA_ACTOR": "ani"}
	w.startMail(misbehave...)
	var err error
	if w.listener, err = web.Listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.listener.Close() })
	w.public = "http://" + w.listener.Addr().String()
	return w
}

// startMail starts the mail server; again at its old address where there was one before.
func (w *world) startMail(misbehave ...sandbox.Rule) {
	w.t.Helper()
	s, err := sandbox.Start(context.WithoutCancel(w.t.Context()), sandbox.Config{SMTPAddr: w.smtp, Dir: w.mailDir, Misbehave: misbehave})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mail, w.smtp = s, s.SMTPAddr()
	w.t.Cleanup(func() { _ = s.Close() })
}

func (w *world) stopMail() {
	w.t.Helper()
	if err := w.mail.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// caught counts the messages that the mail server accepted.
func (w *world) caught() int { return w.mail.Counts().Accepted }

// file writes a file of the project.
func (w *world) file(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// exec changes the company's database, as its own programs do.
func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// texts are the rows of a query with one column.
func (w *world) texts(sql string, args ...any) []string {
	w.t.Helper()
	rows, _ := w.pool.Query(w.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return list
}

// number is a query's only value.
func (w *world) number(sql string, args ...any) (n int) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// process is a verb at work, as in a terminal of its own.
type process struct {
	w    *world
	args string
	out  *terminalText
	stop context.CancelFunc // Ctrl-C
	done chan struct{}
	code int
}

// terminalText is what a verb has printed so far, on both streams.
type terminalText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *terminalText) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *terminalText) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start begins a verb; the test's end interrupts it.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	p := &process{w: w, args: strings.Join(args, " "), out: &terminalText{}, stop: stop, done: make(chan struct{})}
	if args[0] == "serve" && !slices.Contains(args, "--private") {
		args = append(args, "--private", "127.0.0.1:0")
	}
	args = append([]string{"--project", w.dir}, args...)
	env, now := w.env, w.now
	go func() {
		defer close(p.done)
		p.code = runAt(ctx, now, args, func(name string) string { return env[name] }, p.out)
	}()
	w.t.Cleanup(func() { stop(); <-p.done })
	return p
}

// runAt is run, at another time where now is not nil.
func runAt(ctx context.Context, now func() time.Time, args []string, env func(string) string, out io.Writer) int {
	if now == nil {
		return run(ctx, args, env, strings.NewReader(""), out, out)
	}
	a := newApp(env, strings.NewReader(""), out, out)
	a.now = now
	root := newRootCommand(a)
	root.SetArgs(args)
	return a.exitCode(root.ExecuteContext(ctx))
}

// wait waits for the verb's end.
func (p *process) wait() (code int, printed string) {
	p.w.t.Helper()
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.stop()
		<-p.done
		p.w.t.Fatalf("sapa %s did not end; it printed:\n%s", p.args, p.printed())
	}
	return p.code, p.printed()
}

// printed leaves out what is another at every run: the project's folder, ports, the names of database and role.
func (p *process) printed() string {
	names := []string{p.w.dir + "/", "", p.w.dir, ".", p.w.smtp, "MAIL", p.w.public, "PUBLIC", p.w.pool.Config().ConnConfig.Database, "DATABASE"}
	if p.w.role != "" {
		names = append(names, p.w.role, "ROLE")
	}
	return strings.NewReplacer(names...).Replace(p.out.String())
}

// ended reports whether the verb has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// sapa runs a verb to its end.
func (w *world) sapa(args ...string) (code int, printed string) {
	w.t.Helper()
	return w.start(args...).wait()
}

// ok runs a verb that must succeed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	code, printed := w.sapa(args...)
	if code != exitOK {
		w.t.Fatalf("sapa %s: exit code %d\n%s", strings.Join(args, " "), code, printed)
	}
	return printed
}

// want runs a verb and compares all that it prints.
func (w *world) want(code int, want string, args ...string) {
	w.t.Helper()
	got, printed := w.sapa(args...)
	if got != code {
		w.t.Errorf("sapa %s: exit code %d, want %d", strings.Join(args, " "), got, code)
	}
	if diff := cmp.Diff(want, printed); diff != "" {
		w.t.Errorf("sapa %s printed (-want +got):\n%s", strings.Join(args, " "), diff)
	}
}

// until waits for something to come true.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// servePublic answers customers, as sapa serve does, until the test ends.
func (w *world) servePublic() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	a := newApp(func(name string) string { return w.env[name] }, strings.NewReader(""), io.Discard, io.Discard)
	a.dir = w.dir
	s, err := a.open(ctx)
	if err != nil {
		stop()
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.servePublicOn(ctx, a, w.listener) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Errorf("public listener: %v", err)
		}
		s.close()
	})
}

const (
	browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	program = "curl/8.1" // what a link scanner may call itself
)

// fetch follows no redirect.
func (w *world) fetch(method, address, agent string, form url.Values) (status int, location, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Accept-Language", "en")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	answer, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Location"), string(text)
}

// letter is a message that the mail server caught.
type letter struct {
	sandbox.Message
	*sandbox.Mail
}

// letters are the accepted messages whose subject has the words, by recipient; two to one recipient are an error.
func (w *world) letters(subject string) map[string]letter {
	w.t.Helper()
	found := map[string]letter{}
	for m := range w.mail.Each(sandbox.Filter{Subject: subject}) {
		_, raw, err := w.mail.Message(m.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		parsed, err := sandbox.ParseMail(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(parsed.Defects) > 0 {
			w.t.Errorf("message to %v: %v", m.To, parsed.Defects)
		}
		if len(m.To) != 1 {
			w.t.Fatalf("message %d is to %v", m.ID, m.To)
		}
		if _, twice := found[m.To[0]]; twice {
			w.t.Errorf("two messages %q to %s", m.Subject, m.To[0])
		}
		found[m.To[0]] = letter{m, parsed}
	}
	return found
}

// withoutTokens names the public addresses in a text by their kind: OPEN, CLICK, UNSUBSCRIBE.
func (w *world) withoutTokens(text string) string {
	words := map[string]string{"o": "OPEN", "c": "CLICK", "u": "UNSUBSCRIBE"}
	public := regexp.MustCompile(regexp.QuoteMeta(w.public) + `/([ocu])/[-_0-9A-Za-z]+`)
	return public.ReplaceAllStringFunc(text, func(u string) string { return words[public.FindStringSubmatch(u)[1]] })
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// copyProject copies a project's folder, with replacements in sapa.yaml.
func (w *world) copyProject(from string, replace ...string) {
	w.t.Helper()
	if err := os.CopyFS(w.dir, os.DirFS(from)); err != nil && !errors.Is(err, os.ErrExist) {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, "sapa.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			w.t.Fatal(fmt.Errorf("sapa.yaml has no %q", replace[i]))
		}
	}
	w.file("sapa.yaml", strings.NewReplacer(replace...).Replace(string(text)))
}
