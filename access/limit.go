package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// How guessing gets slower. What counts is the row of failures without a success, kept in the database, so that it holds
// across nodes. The first block lasts firstBlock and each further failure doubles it, up to longestBlock. A day without a
// failure forgets them.
const (
	accountFailures = 5  // of an account's password, from wherever
	addressFailures = 20 // of any account's password from one address: an office shares one
	tokenFailures   = 20 // of API tokens from one address
	firstBlock      = 30 * time.Second
	longestBlock    = 15 * time.Minute
	forgetFailures  = 24 * time.Hour
)

// BlockedError says that there were too many failures: nothing was looked at.
type BlockedError struct{ Until time.Time }

func (e *BlockedError) Error() string {
	return "too many failures; blocked until " + e.Until.UTC().Format(time.RFC3339)
}

// counter is a row of login_failures.
type counter struct {
	kind  string
	whose []byte
	limit int

	failures int
	blocked  *time.Time
}

// account counts what is tried on a name, whether somebody has it or not.
func (g *Gate) account(name string) *counter {
	return &counter{kind: "account", whose: g.keyed("account", name), limit: accountFailures}
}

// network counts what comes from an address. An IPv6 network of 64 bits is one customer of a provider.
func (g *Gate) network(kind string, from netip.Addr, limit int) *counter {
	whose := from.String()
	if from.Is6() {
		if p, err := from.WithZone("").Prefix(64); err == nil {
			whose = p.String()
		}
	}
	return &counter{kind: kind, whose: g.keyed(kind, whose), limit: limit}
}

// keyed hides whose failures they are from those who read the table without the key.
func (g *Gate) keyed(kind, whose string) []byte {
	return keyed(g.key, kind, whose)
}

func keyed(key []byte, kind, whose string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("login_failures\x00" + kind + "\x00" + whose))
	return mac.Sum(nil)
}

// attempt counts a try as a failure before it is made, so that many at once can't slip through; pass takes it back. When
// one of the counters blocks, nothing is counted and the error is a BlockedError.
func (g *Gate) attempt(ctx context.Context, counters ...*counter) error {
	now := g.now()
	return pg.InTx(ctx, g.db, func(tx pgx.Tx) error {
		var until time.Time
		for _, c := range counters {
			if err := c.lock(ctx, tx, now); err != nil {
				return err
			}
			if c.blocked != nil && c.blocked.After(now) && c.blocked.After(until) {
				until = *c.blocked
			}
		}
		if !until.IsZero() {
			return &BlockedError{until}
		}
		for _, c := range counters {
			if err := c.count(ctx, tx, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// lock reads the counter and keeps others from it until the transaction's end.
func (c *counter) lock(ctx context.Context, tx pgx.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, `insert into login_failures (kind, whose, failures, last_at) values ($1, $2, 0, $3) on conflict do nothing`, c.kind, c.whose, now)
	if err == nil {
		err = tx.QueryRow(ctx, `
			select case when last_at > $3::timestamptz - $4::interval then failures else 0 end, blocked_until
			from login_failures where (kind, whose) = ($1, $2) for update`, c.kind, c.whose, now, forgetFailures).Scan(&c.failures, &c.blocked)
	}
	if err != nil {
		return fmt.Errorf("read login failures: %w", err)
	}
	return nil
}

func (c *counter) count(ctx context.Context, tx pgx.Tx, now time.Time) error {
	c.failures++
	c.blocked = nil
	if wait := blockFor(c.failures - c.limit); wait > 0 {
		until := now.Add(wait)
		c.blocked = &until
	}
	_, err := tx.Exec(ctx, `update login_failures set failures = $3, last_at = $4, blocked_until = $5 where (kind, whose) = ($1, $2)`,
		c.kind, c.whose, c.failures, now, c.blocked)
	if err != nil {
		return fmt.Errorf("count login failures: %w", err)
	}
	return nil
}

// denied is ErrDenied after a failure that was counted. One that begins a block is written to the audit log, and so every
// block is once. Whose name it was is said only where somebody has it: people type passwords into the field for names.
func (g *Gate) denied(ctx context.Context, name string, counters ...*counter) error {
	for _, c := range counters {
		if c.blocked == nil {
			continue
		}
		if err := g.recordBlock(ctx, name, c); err != nil {
			return err
		}
	}
	return ErrDenied
}

func (g *Gate) recordBlock(ctx context.Context, name string, c *counter) error {
	subject := "unknown user"
	if c.kind == "token" {
		subject = "unknown token"
	}
	if userName.MatchString(name) { // the database refuses some of what strangers send
		var known bool
		if err := g.db.QueryRow(ctx, `select exists (select from users where name = $1)`, name).Scan(&known); err != nil {
			return fmt.Errorf("look up a user: %w", err)
		}
		if known {
			subject = "user " + name
		}
	}
	if g.Log != nil {
		g.Log.Warn("login blocked", slog.String("counted", c.kind), slog.Int("failures", c.failures), slog.Time("until", *c.blocked))
	}
	return Record(ctx, g.db, Entry{Actor: "sapa", Action: "login blocked", Subject: subject, Detail: map[string]any{
		"counted": c.kind, "failures": c.failures, "until": c.blocked.UTC().Format(time.RFC3339),
	}})
}

// blockFor is how long to wait after so many failures beyond those that are free.
func blockFor(beyond int) time.Duration {
	if beyond < 0 {
		return 0
	}
	wait := firstBlock
	for range min(beyond, 10) {
		wait *= 2
	}
	return min(wait, longestBlock)
}

// pass takes an attempt back that was right: the account's failures are forgotten, the address's are one fewer, so that
// an own account does not help against others'.
func pass(ctx context.Context, tx pgx.Tx, account, network *counter) error {
	_, err := tx.Exec(ctx, `delete from login_failures where (kind, whose) = ($1, $2)`, account.kind, account.whose)
	if err == nil {
		_, err = tx.Exec(ctx, `
			update login_failures set failures = greatest(failures - 1, 0), blocked_until = case when failures > $3 then blocked_until end
			where (kind, whose) = ($1, $2)`, network.kind, network.whose, network.limit)
	}
	if err != nil {
		return fmt.Errorf("forget login failures: %w", err)
	}
	return nil
}

// forgive forgets the failures of an account.
func forgive(ctx context.Context, tx pgx.Tx, name string) error {
	key, err := firstKey(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `delete from login_failures where kind = 'account' and whose = $1`, keyed(key, "account", name)); err != nil {
		return fmt.Errorf("forget login failures: %w", err)
	}
	return nil
}

// firstKey is the installation's oldest key, which hashes what must not be readable.
func firstKey(ctx context.Context, db pg.DBTX) (key []byte, err error) {
	if err := db.QueryRow(ctx, `select secret from signing_keys order by id limit 1`).Scan(&key); err != nil {
		return nil, fmt.Errorf("read the installation's key: %w", err)
	}
	return key, nil
}

// tidy drops sessions that are over and failures that are forgotten.
func tidy(ctx context.Context, db pg.DBTX, now time.Time) error {
	_, err := db.Exec(ctx, `delete from sessions where expires_at <= $1 or seen_at <= $1::timestamptz - $2::interval`, now, IdleTimeout)
	if err == nil {
		_, err = db.Exec(ctx, `
			delete from login_failures where (kind, whose) in (
				select kind, whose from login_failures where last_at <= $1::timestamptz - $2::interval limit 1000 for update skip locked)`, now, forgetFailures)
	}
	if err != nil {
		return fmt.Errorf("drop old sessions: %w", err)
	}
	return nil
}
