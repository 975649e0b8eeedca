package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// TokenPrefix begins every API token, so that programs that look for leaked secrets know one.
const TokenPrefix = "sapa_"

// secretSize is the length of what tokens and sessions are made of: 256 bits, which nobody guesses. That is why a plain
// SHA-256 is enough to store them, and why looking the hash up in an index gives nothing away by its time.
const secretSize = 32

// newSecret makes a random text and what is stored of it.
func newSecret(prefix string) (text string, hash []byte) {
	raw := make([]byte, secretSize)
	_, _ = rand.Read(raw) // crypto/rand never fails: it ends the process instead
	text = prefix + base64.RawURLEncoding.EncodeToString(raw)
	return text, hashSecret(text)
}

func hashSecret(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// Token is an API token of a user, without its secret.
type Token struct {
	ID        int        `json:"id"`
	User      string     `json:"user"`
	Label     string     `json:"label"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // nil: never
	UsedAt    *time.Time `json:"used_at"`    // to the minute
	RevokedAt *time.Time `json:"revoked_at"`
}

// Works says whether the token opens anything at that moment.
func (t *Token) Works(now time.Time) bool {
	return t.RevokedAt == nil && (t.ExpiresAt == nil || t.ExpiresAt.After(now))
}

// maxLabel bounds a token's label, in bytes.
const maxLabel = 100

// AddToken makes an API token of a user and returns it: it can't be read again. A zero expires is never.
func AddToken(ctx context.Context, db pg.DBTX, actor, name, label string, expires, now time.Time) (token string, id int, err error) {
	if len(label) > maxLabel {
		return "", 0, fmt.Errorf("the label has %d bytes; write at most %d", len(label), maxLabel)
	}
	token, hash := newSecret(TokenPrefix)
	var until *time.Time
	if !expires.IsZero() {
		until = &expires
	}
	err = change(ctx, db, name, func(tx pgx.Tx, user int) error {
		err := tx.QueryRow(ctx, `insert into api_tokens (user_id, hash, label, created_at, expires_at) values ($1, $2, $3, $4, $5) returning id`,
			user, hash, label, now, until).Scan(&id)
		if err != nil {
			return fmt.Errorf("add a token of %s: %w", name, err)
		}
		return record(ctx, tx, actor, "user token add", name, map[string]any{"token": id, "label": label, "expires": until})
	})
	if err != nil {
		return "", 0, err
	}
	return token, id, nil
}

// Tokens lists the API tokens of a user, or of everybody (""), the newest first.
func Tokens(ctx context.Context, db pg.DBTX, name string) ([]Token, error) {
	rows, _ := db.Query(ctx, `
		select t.id, u.name as user, t.label, t.created_at, t.expires_at, t.used_at, t.revoked_at
		from api_tokens t join users u on u.id = t.user_id
		where $1 in ('', u.name) order by t.id desc`, name)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Token])
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	if name != "" && len(list) == 0 { // is there such a user?
		return list, change(ctx, db, name, func(pgx.Tx, int) error { return nil })
	}
	return list, nil
}

// RevokeToken ends a token, by its number.
func RevokeToken(ctx context.Context, db pg.DBTX, actor string, id int, now time.Time) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			select u.name from api_tokens t join users u on u.id = t.user_id where t.id = $1 for update of t`, id)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("look up token %d: %w", id, err)
		}
		if len(names) == 0 {
			return fmt.Errorf("there is no token %d; see: sapa user token list", id)
		}
		tag, err := tx.Exec(ctx, `update api_tokens set revoked_at = $2 where id = $1 and revoked_at is null`, id, now)
		if err != nil {
			return fmt.Errorf("revoke token %d: %w", id, err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		return record(ctx, tx, actor, "user token revoke", names[0], map[string]any{"token": id})
	})
}

// bearer is the token in an Authorization header's value (RFC 6750 section 2.1); "" when there is none.
func bearer(header string) string {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
