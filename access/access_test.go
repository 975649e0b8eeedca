package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

const (
	good  = "kopi pagi di semarang"
	other = "hujan sore di surabaya"
)

var (
	home   = netip.MustParseAddr("203.0.113.7")
	office = netip.MustParseAddr("198.51.100.20")
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// door is a gate to a database with the user ani, and a clock that the test turns.
type door struct {
	t      *testing.T
	pool   *pgxpool.Pool
	gate   *Gate
	clock  atomic.Pointer[time.Time]
	hashed atomic.Int64 // passwords compared, each at its full cost
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{t: t, pool: pgtest.Pool(t)}
	d.set(noon)
	gate, err := NewGate(t.Context(), d.pool, d.now)
	if err != nil {
		t.Fatal(err)
	}
	d.gate = gate
	gate.verify = func(hash, password string) bool {
		if p, err := parsePHC(hash); err == nil && p.memory == argonMemory && p.time == argonTime && p.threads == argonThreads {
			d.hashed.Add(1)
		}
		return verifyPassword(hash, password)
	}
	d.must(AddUser(t.Context(), d.pool, "root", "ani", Marketer, good, noon))
	return d
}

func (d *door) now() time.Time        { return *d.clock.Load() }
func (d *door) set(at time.Time)      { d.clock.Store(&at) }
func (d *door) pass(by time.Duration) { d.set(d.now().Add(by)) }

func (d *door) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// login tries a password; what is "in", "denied", or "blocked 30s".
func (d *door) login(name, password string, from netip.Addr) (what, secret string) {
	d.t.Helper()
	secret, s, err := d.gate.Login(d.t.Context(), name, password, from, "")
	var blocked *BlockedError
	switch {
	case errors.Is(err, ErrDenied):
		return "denied", ""
	case errors.As(err, &blocked):
		return "blocked " + blocked.Until.Sub(d.now()).String(), ""
	case err != nil:
		d.t.Fatal(err)
	case s.User.Name != "ani":
		d.t.Errorf("%s is in as %s", name, s.User.Name)
	}
	return "in", secret
}

func (d *door) tries(n int, name, password string, from netip.Addr) []string {
	d.t.Helper()
	var list []string
	for range n {
		what, _ := d.login(name, password, from)
		list = append(list, what)
	}
	return list
}

func (d *door) lines(sql string, args ...any) []string {
	d.t.Helper()
	rows, _ := d.pool.Query(d.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	d.must(err)
	return list
}

// open says whether a cookie is still worth something.
func (d *door) open(secret string) bool {
	d.t.Helper()
	_, err := d.gate.Session(d.t.Context(), secret)
	if err != nil && !errors.Is(err, ErrDenied) {
		d.t.Fatal(err)
	}
	return err == nil
}

func (d *door) want(what string, want, got any) {
	d.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.must(AddUser(t.Context(), d.pool, "root", "shop", Operator, "", noon))
	d.must(AddUser(t.Context(), d.pool, "root", "budi", Operator, other, noon))
	d.must(Disable(t.Context(), d.pool, "root", "budi", noon))
	for _, tt := range []struct{ name, password, want string }{
		{"ani", good, "in"},
		{" Ani\t", good, "in"},
		{"ani", good + " ", "denied"},
		{"ani", "", "denied"},
		{"budi", other, "denied"},
		{"shop", "", "denied"},
		{"nobody", good, "denied"},
		{"", "", "denied"},
		{"ani'--", good, "denied"},
	} {
		before := d.hashed.Load()
		got, _ := d.login(tt.name, tt.password, home)
		if got != tt.want {
			t.Errorf("%q with %q: %s, want %s", tt.name, tt.password, got, tt.want)
		}
		// Whoever is asked for, known or not, costs the same: one comparison.
		if n := d.hashed.Load() - before; n != 1 {
			t.Errorf("%q with %q: %d passwords were compared", tt.name, tt.password, n)
		}
	}
	d.gate.verify = func(string, string) bool { return true }
	if got, _ := d.login("nobody at all", good, home); got != "denied" {
		t.Errorf("nobody, with a password that fits: %s", got)
	}
	d.want("audit log", []string{"ani login user ani {}", "ani login user ani {}"}, d.lines(`select concat_ws(' ', actor, action, subject, detail) from audit_log where action = 'login' order by id`))
}

func TestSecretsAreNotStored(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, secret := d.login("ani", good, home)
	token, _, err := AddToken(t.Context(), d.pool, "root", "ani", "shop", time.Time{}, noon)
	d.must(err)
	d.tries(1, "password typed as name", "x", home)
	if len(secret) != 43 || len(token) != 48 || !strings.HasPrefix(token, "sapa_") {
		t.Errorf("session %q, token %q", secret, token)
	}
	for _, table := range []string{"users", "sessions", "api_tokens", "login_failures", "audit_log"} {
		text := strings.Join(d.lines(`select x::text from `+table+` x`), "\n")
		if text == "" {
			t.Errorf("%s is empty", table)
		}
		for _, hidden := range []string{good, secret, token, strings.TrimPrefix(token, "sapa_"), "typed as name", home.String()} {
			if strings.Contains(text, hidden) || strings.Contains(text, fmt.Sprintf("%x", hidden)) {
				t.Errorf("%s shows %q:\n%s", table, hidden, text)
			}
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, secret := d.login("ani", good, home)
	for range 15 {
		d.pass(50 * time.Minute)
		if d.now().Sub(noon) < SessionLifetime != d.open(secret) {
			t.Errorf("%s after the login, open is %t", d.now().Sub(noon), d.open(secret))
		}
	}
	if d.open(secret) {
		t.Error("a session outlives twelve hours")
	}
	_, secret = d.login("ani", good, home)
	d.pass(IdleTimeout - time.Second)
	if !d.open(secret) {
		t.Error("a session ends before an hour without requests")
	}
	d.pass(IdleTimeout)
	if d.open(secret) {
		t.Error("a session outlives an hour without requests")
	}
	d.login("ani", good, home)
	d.want("sessions left", []string{"1"}, d.lines(`select count(*)::text from sessions`))
	for _, forged := range []string{"", "x", secret + "x", strings.Repeat("A", 43)} {
		if d.open(forged) {
			t.Errorf("cookie %q is let in", forged)
		}
	}
}

func TestDisabledByHand(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, secret := d.login("ani", good, home)
	d.lines(`update users set disabled_at = created_at returning name`)
	if d.open(secret) {
		t.Error("a session of a disabled user goes on")
	}
}

// The database learns of the last request once a minute at most.
func TestSeenIsWrittenRarely(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, secret := d.login("ani", good, home)
	seen := func() string { return d.lines(`select to_char(seen_at, 'HH24:MI:SS') from sessions`)[0] }
	d.pass(59 * time.Second)
	d.open(secret)
	d.want("after 59 s", "12:00:00", seen())
	d.pass(time.Second)
	d.open(secret)
	d.want("after a minute", "12:01:00", seen())
}

func TestWhatEndsSessions(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(d *door, secret string) error{
		"logout": func(d *door, secret string) error { return d.gate.Logout(t.Context(), secret) },
		"another password": func(d *door, _ string) error {
			return SetPassword(t.Context(), d.pool, "root", "ani", other)
		},
		"no password": func(d *door, _ string) error { return SetPassword(t.Context(), d.pool, "root", "ani", "") },
		"disabled":    func(d *door, _ string) error { return Disable(t.Context(), d.pool, "root", "ani", noon) },
		"another login in the same browser": func(d *door, secret string) error {
			_, _, err := d.gate.Login(t.Context(), "ani", good, home, secret)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			_, secret := d.login("ani", good, home)
			d.must(end(d, secret))
			d.must(Enable(t.Context(), d.pool, "root", "ani"))
			if d.open(secret) {
				t.Error("the session goes on")
			}
		})
	}
}

// A password that changes while it is checked begins no session.
func TestPasswordChangesMeanwhile(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.gate.verify = func(hash, password string) bool {
		d.must(SetPassword(t.Context(), d.pool, "root", "ani", other))
		return verifyPassword(hash, password)
	}
	if got, _ := d.login("ani", good, home); got != "denied" {
		t.Errorf("the old password is %s", got)
	}
	d.want("sessions", []string{"0"}, d.lines(`select count(*)::text from sessions`))
}

func TestRoleHoldsFromTheNextRequest(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, secret := d.login("ani", good, home)
	d.must(SetRole(t.Context(), d.pool, "root", "ani", Analyst))
	s, err := d.gate.Session(t.Context(), secret)
	d.must(err)
	if s.User.Role != Analyst || s.User.Can(ControlRuns) {
		t.Errorf("the session has role %s", s.User.Role)
	}
}

func TestGuessingGetsSlower(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	// Five are free; the fifth failure blocks, and then each one for twice as long.
	d.want("five tries and a sixth", []string{"denied", "denied", "denied", "denied", "denied", "blocked 30s"}, d.tries(6, "ani", "wrong", home))
	if got, _ := d.login("ani", good, office); got != "blocked 30s" {
		t.Errorf("the right password from elsewhere, while the account is blocked: %s", got)
	}
	for _, wait := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		d.pass(wait - time.Second)
		d.want("a second early", []string{"blocked 1s"}, d.tries(1, "ani", good, home))
		d.pass(time.Second)
		d.want("in time", []string{"denied"}, d.tries(1, "ani", "wrong", home))
	}
	d.pass(longestBlock)
	if got, _ := d.login("ani", good, home); got != "in" {
		t.Errorf("the right password after the block: %s", got)
	}
	d.want("a success forgets", []string{"denied", "denied", "denied", "denied", "denied", "blocked 30s"}, d.tries(6, "ani", "wrong", home))
	d.pass(forgetFailures + time.Second)
	d.want("a day forgets", []string{"denied", "denied", "denied", "denied", "denied", "blocked 30s"}, d.tries(6, "ani", "wrong", home))
	d.must(SetPassword(t.Context(), d.pool, "root", "ani", other))
	if got, _ := d.login("ani", other, home); got != "in" {
		t.Errorf("with a new password: %s", got)
	}
}

// Whether somebody has the name can't be told from how it is blocked.
func TestUnknownNamesAreBlockedAlike(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.want("of nobody", d.tries(7, "ani", "wrong", home), d.tries(7, "nobody", "wrong", office))
}

func TestOneAddressManyAccounts(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for i := range addressFailures {
		// An own account that works in between does not help.
		if got, _ := d.login("ani", good, home); got != "in" {
			t.Fatalf("own account after %d failures: %s", i, got)
		}
		d.want("another account", []string{"denied"}, d.tries(1, fmt.Sprintf("user%d", i), "wrong", home))
	}
	d.want("one more", []string{"blocked 30s"}, d.tries(1, "user99", "wrong", home))
	d.want("the same network", []string{"denied"}, d.tries(1, "user99", "wrong", office))
	six, same := netip.MustParseAddr("2001:db8:1:2::7"), netip.MustParseAddr("2001:db8:1:2:ffff::1")
	for i := range addressFailures {
		d.tries(1, fmt.Sprintf("six%d", i), "wrong", six)
	}
	d.want("the same IPv6 network", []string{"blocked 30s"}, d.tries(1, "seven", "wrong", same))
	d.want("another IPv6 network", []string{"denied"}, d.tries(1, "seven", "wrong", netip.MustParseAddr("2001:db8:1:3::7")))
}

// Many guesses at once are counted before they are looked at, by every node.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	second, err := NewGate(t.Context(), d.pool, d.now)
	d.must(err)
	var looked atomic.Int64
	never := func(string, string) bool { looked.Add(1); return false }
	d.gate.verify, second.verify = never, never
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			gate := d.gate
			if i%2 == 0 {
				gate = second
			}
			if _, _, err := gate.Login(context.WithoutCancel(t.Context()), "ani", "wrong", home, ""); err == nil {
				t.Error("a wrong password is let in")
			}
		})
	}
	all.Wait()
	if n := looked.Load(); n != accountFailures {
		t.Errorf("%d of 40 guesses were looked at, want %d", n, accountFailures)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ctx := t.Context()
	token, id, err := AddToken(ctx, d.pool, "root", "ani", "shop", noon.Add(24*time.Hour), noon)
	d.must(err)
	forever, _, err := AddToken(ctx, d.pool, "root", "ani", "", time.Time{}, noon)
	d.must(err)
	try := func(header string) string {
		t.Helper()
		u, err := d.gate.Token(ctx, header, home)
		var blocked *BlockedError
		switch {
		case errors.As(err, &blocked):
			return "blocked"
		case errors.Is(err, ErrDenied):
			return "denied"
		}
		d.must(err)
		return u.Name
	}
	for header, want := range map[string]string{
		"Bearer " + token: "ani", "bearer  " + forever: "ani", "Basic " + token: "denied", token: "denied", "": "denied", "Bearer": "denied",
		"Bearer " + token + "x": "denied", "Bearer " + token[:47]: "denied", "Bearer sapa_": "denied",
	} {
		if got := try(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	d.want("used", []string{"2026-11-22 12:00:00+00"}, d.lines(`select used_at::text from api_tokens where id = $1`, id))
	d.set(noon.Add(24 * time.Hour))
	if got := try("Bearer " + token); got != "denied" {
		t.Errorf("an expired token: %s", got)
	}
	d.must(Disable(ctx, d.pool, "root", "ani", d.now()))
	if got := try("Bearer " + forever); got != "denied" {
		t.Errorf("a disabled user's token: %s", got)
	}
	d.must(Enable(ctx, d.pool, "root", "ani"))
	if got := try("Bearer " + forever); got != "ani" {
		t.Errorf("an enabled user's token: %s", got)
	}
	d.must(RevokeToken(ctx, d.pool, "root", id+1, d.now()))
	d.must(RevokeToken(ctx, d.pool, "root", id+1, d.now()))
	if got := try("Bearer " + forever); got != "denied" {
		t.Errorf("a revoked token: %s", got)
	}
	list, err := Tokens(ctx, d.pool, "ani")
	d.must(err)
	if len(list) != 2 || list[0].Works(d.now()) || list[1].Works(d.now()) || list[1].Label != "shop" {
		t.Errorf("%+v", list)
	}
	d.want("audit log", []string{"user token add", "user token add", "user disable", "user enable", "user token revoke"},
		d.lines(`select action from audit_log where subject = 'user ani' and action <> 'user add' order by id`))
}

func TestWrongTokensAreBlocked(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	token, _, err := AddToken(t.Context(), d.pool, "root", "ani", "", time.Time{}, noon)
	d.must(err)
	wrong := func(from netip.Addr) error {
		_, err := d.gate.Token(t.Context(), "Bearer sapa_wrong", from)
		return err
	}
	for i := range tokenFailures {
		if err := wrong(home); !errors.Is(err, ErrDenied) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if err := wrong(home); err == nil || err.Error() != "too many failures; blocked until 2026-11-22T12:00:30Z" {
		t.Errorf("one more: %v", err)
	}
	if err := wrong(office); !errors.Is(err, ErrDenied) {
		t.Errorf("from elsewhere: %v", err)
	}
	if u, err := d.gate.Token(t.Context(), "Bearer "+token, home); err != nil || u.Name != "ani" {
		t.Errorf("a right token from there: %v", err)
	}
	if got, _ := d.login("ani", good, home); got != "in" {
		t.Errorf("a person from there: %s", got)
	}
}

// A block leaves a trace, once, without the address and without what was typed for a name.
func TestBlocksAreWritten(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.tries(accountFailures+3, "ani", "wrong", home)
	d.tries(accountFailures+3, "nobody", "wrong", home)
	d.tries(accountFailures+3, good, "wrong", home)
	want := []string{
		`sapa user ani {"until": "2026-11-22T12:00:30Z", "counted": "account", "failures": 5}`,
		`sapa unknown user {"until": "2026-11-22T12:00:30Z", "counted": "account", "failures": 5}`,
		`sapa unknown user {"until": "2026-11-22T12:00:30Z", "counted": "account", "failures": 5}`,
	}
	const entries = `select actor || ' ' || subject || ' ' || detail from audit_log where action = 'login blocked' order by id`
	d.want("entries", want, d.lines(entries))
	d.pass(firstBlock)
	d.tries(3, "ani", "wrong", home)
	d.want("after the block", append(want, `sapa user ani {"until": "2026-11-22T12:01:30Z", "counted": "account", "failures": 6}`), d.lines(entries))
}
