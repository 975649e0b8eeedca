package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// How long a session lasts: the idle and the absolute end of OWASP's Session Management Cheat Sheet.
const (
	IdleTimeout     = time.Hour      // after the last request
	SessionLifetime = 12 * time.Hour // after the login, whatever happens
	// seenEvery is how exactly the last request is known, so that reading pages writes a row a minute at most.
	seenEvery = time.Minute
)

// hashers bounds how many passwords are hashed at once, each with 19 MiB.
const hashers = 4

// ErrDenied says that nobody is let in: the name, password, session or token is wrong, over, or disabled. It never says
// which.
var ErrDenied = errors.New("access denied")

// Gate lets people and programs in. It is safe for use by many at once.
type Gate struct {
	Log *slog.Logger // warns of blocks; nil for nobody

	db      pg.DBTX
	now     func() time.Time
	key     []byte
	nobody  string // the hash of a password that nobody knows, for names that nobody has
	hashing chan struct{}
	verify  func(hash, password string) bool
}

// NewGate makes a gate to the users in a database. now is the clock for sessions, tokens and blocks.
func NewGate(ctx context.Context, db pg.DBTX, now func() time.Time) (*Gate, error) {
	key, err := firstKey(ctx, db)
	if err != nil {
		return nil, err
	}
	secret, _ := newSecret("")
	return &Gate{db: db, now: now, key: key, nobody: hashPassword(secret), hashing: make(chan struct{}, hashers), verify: verifyPassword}, nil
}

// Session is somebody who has logged in.
type Session struct {
	User      User
	ExpiresAt time.Time // the absolute end
}

// Login checks a password and begins a session; the secret goes into the cookie. before is the cookie that the browser
// had, whose session ends: a secret that was there before the login is never one of somebody who is logged in. The
// error is ErrDenied or a BlockedError, for an unknown name after the same work as for a wrong password.
func (g *Gate) Login(ctx context.Context, name, password string, from netip.Addr, before string) (secret string, _ *Session, err error) {
	name = strings.ToLower(strings.TrimSpace(name))
	account, network := g.account(name), g.network("address", from, addressFailures)
	if err := g.attempt(ctx, account, network); err != nil {
		return "", nil, err
	}
	user, hash, err := g.lookUp(ctx, name)
	if err != nil {
		return "", nil, err
	}
	right, err := g.check(ctx, hash, password)
	if err != nil {
		return "", nil, err
	}
	if !right || user == nil {
		return "", nil, g.denied(ctx, name, account, network)
	}
	s := &Session{User: *user, ExpiresAt: g.now().Add(SessionLifetime)}
	err = pg.InTx(ctx, g.db, func(tx pgx.Tx) error {
		if secret, err = g.begin(ctx, tx, s, hash, before); err != nil {
			return err
		}
		return pass(ctx, tx, account, network)
	})
	if err != nil {
		return "", nil, err
	}
	return secret, s, nil
}

// lookUp finds who may log in under the name, nil for nobody, and what to check the password against in any case.
func (g *Gate) lookUp(ctx context.Context, name string) (*User, string, error) {
	if !userName.MatchString(name) { // the database refuses some of what strangers send
		return nil, g.nobody, nil
	}
	var u User
	var hash *string
	err := g.db.QueryRow(ctx, `select id, name, role, password, disabled_at from users where name = $1`, name).
		Scan(&u.ID, &u.Name, &u.Role, &hash, &u.DisabledAt)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, "", fmt.Errorf("look up a user: %w", err)
	}
	if err != nil || hash == nil || u.DisabledAt != nil {
		return nil, g.nobody, nil
	}
	return &u, *hash, nil
}

func (g *Gate) check(ctx context.Context, hash, password string) (bool, error) {
	select {
	case g.hashing <- struct{}{}:
		defer func() { <-g.hashing }()
		return g.verify(hash, password), nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// begin stores a session, unless the password was changed or the user disabled while it was checked.
func (g *Gate) begin(ctx context.Context, tx pgx.Tx, s *Session, hash, before string) (string, error) {
	err := tx.QueryRow(ctx, `select role from users where id = $1 and password = $2 and disabled_at is null for share`, s.User.ID, hash).Scan(&s.User.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrDenied
	}
	if err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	if err := tidy(ctx, tx, g.now()); err != nil {
		return "", err
	}
	if _, err := tx.Exec(ctx, `delete from sessions where hash = $1`, hashSecret(before)); err != nil {
		return "", fmt.Errorf("end the session before: %w", err)
	}
	secret, sum := newSecret("")
	_, err = tx.Exec(ctx, `insert into sessions (hash, user_id, created_at, seen_at, expires_at) values ($1, $2, $3, $3, $4)`, sum, s.User.ID, g.now(), s.ExpiresAt)
	if err != nil {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return secret, record(ctx, tx, s.User.Name, "login", s.User.Name, nil)
}

// Session is who has this cookie. The error is ErrDenied when the session is over or never was.
func (g *Gate) Session(ctx context.Context, secret string) (*Session, error) {
	if secret == "" {
		return nil, ErrDenied
	}
	now, sum := g.now(), hashSecret(secret)
	var s Session
	var seen time.Time
	err := g.db.QueryRow(ctx, `
		select u.id, u.name, u.role, s.seen_at, s.expires_at from sessions s join users u on u.id = s.user_id
		where s.hash = $1 and s.expires_at > $2 and s.seen_at > $2::timestamptz - $3::interval and u.disabled_at is null`, sum, now, IdleTimeout).
		Scan(&s.User.ID, &s.User.Name, &s.User.Role, &seen, &s.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrDenied
	}
	if err == nil && now.Sub(seen) >= seenEvery {
		_, err = g.db.Exec(ctx, `update sessions set seen_at = $2 where hash = $1 and seen_at < $2`, sum, now)
	}
	if err != nil {
		return nil, fmt.Errorf("read the session: %w", err)
	}
	return &s, nil
}

// Logout ends a session.
func (g *Gate) Logout(ctx context.Context, secret string) error {
	return pg.InTx(ctx, g.db, func(tx pgx.Tx) error {
		var name string
		err := tx.QueryRow(ctx, `delete from sessions s using users u where s.hash = $1 and u.id = s.user_id returning u.name`, hashSecret(secret)).Scan(&name)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("end the session: %w", err)
		}
		return record(ctx, tx, name, "logout", name, nil)
	})
}

// Token is who has the API token in an Authorization header's value. The error is ErrDenied, or a BlockedError after many
// wrong ones from that address. A right token is let in even then: nobody guesses 256 bits, and one program with an old
// token must not shut others on its machine out.
func (g *Gate) Token(ctx context.Context, authorization string, from netip.Addr) (*User, error) {
	token := bearer(authorization)
	if token == "" {
		return nil, ErrDenied
	}
	now := g.now()
	var u User
	var id int
	var used *time.Time
	err := g.db.QueryRow(ctx, `
		select t.id, t.used_at, u.id, u.name, u.role from api_tokens t join users u on u.id = t.user_id
		where t.hash = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2) and u.disabled_at is null`, hashSecret(token), now).
		Scan(&id, &used, &u.ID, &u.Name, &u.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		network := g.network("token", from, tokenFailures)
		if err := g.attempt(ctx, network); err != nil {
			return nil, err
		}
		return nil, g.denied(ctx, "", network)
	}
	if err == nil && (used == nil || now.Sub(*used) >= seenEvery) {
		_, err = g.db.Exec(ctx, `update api_tokens set used_at = $2 where id = $1 and (used_at is null or used_at < $2)`, id, now)
	}
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	return &u, nil
}
