package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

// User is somebody, or a program, that may use the private listener.
type User struct {
	ID         int        `json:"-"`
	Name       string     `json:"name"`
	Role       Role       `json:"role"`
	Password   bool       `json:"password"` // whether they have one; without it there are only API tokens
	DisabledAt *time.Time `json:"disabled_at"`
	CreatedAt  time.Time  `json:"created_at"`
	Tokens     int        `json:"tokens"`   // that work
	Sessions   int        `json:"sessions"` // open ones
}

// Can says whether the user has a permission.
func (u *User) Can(p Permission) bool { return Can(u.Role, p) }

// ErrNoUser is the reason why nothing can be done to a user of that name.
var ErrNoUser = errors.New("no such user")

// userName is what a name may be. Sapa's own actors are not names of people.
var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// ownActors act in the audit log on Sapa's behalf, or are its customers.
var ownActors = []string{"sapa", "schedule", "customer", "unknown"}

// AddUser makes a user; password "" is none. now is when.
func AddUser(ctx context.Context, db pg.DBTX, actor, name string, role Role, password string, now time.Time) error {
	switch {
	case !userName.MatchString(name):
		return fmt.Errorf("user name %q: write small letters, digits, and . _ - after the first; at most 63", name)
	case slices.Contains(ownActors, name):
		return fmt.Errorf("user name %q is Sapa's own in the audit log; take another", name)
	}
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	hash, err := newHash(name, password)
	if err != nil {
		return err
	}
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into users (name, role, password, created_at) values ($1, $2, $3, $4)`, name, role, hash, now)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.ConstraintName == "users_name_key" {
			return fmt.Errorf("there is a user %s already; change them with: sapa user set-role, password, enable", name)
		}
		if err != nil {
			return fmt.Errorf("add user %s: %w", name, err)
		}
		return record(ctx, tx, actor, "user add", name, map[string]any{"role": role, "password": password != ""})
	})
}

// newHash checks and hashes a password; nil for none.
func newHash(name, password string) (*string, error) {
	if password == "" {
		return nil, nil
	}
	if err := CheckPassword(name, password); err != nil {
		return nil, err
	}
	hash := hashPassword(password)
	return &hash, nil
}

func record(ctx context.Context, db pg.DBTX, actor, action, name string, detail map[string]any) error {
	return Record(ctx, db, Entry{Actor: actor, Action: action, Subject: "user " + name, Detail: detail})
}

// Users lists all users by name.
func Users(ctx context.Context, db pg.DBTX, now time.Time) ([]User, error) {
	rows, _ := db.Query(ctx, `
		select id, name, role, password is not null as password, disabled_at, created_at,
			(select count(*) from api_tokens t where t.user_id = u.id and revoked_at is null and (expires_at is null or expires_at > $1)) as tokens,
			(select count(*) from sessions s where s.user_id = u.id and expires_at > $1 and seen_at > $1::timestamptz - $2::interval) as sessions
		from users u order by name`, now, IdleTimeout)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[User])
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return list, nil
}

// SetRole gives a user another role, which holds from their next request.
func SetRole(ctx context.Context, db pg.DBTX, actor, name string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	return change(ctx, db, name, func(tx pgx.Tx, id int) error {
		var from Role
		err := tx.QueryRow(ctx, `update users u set role = $2 from users old where u.id = $1 and old.id = u.id returning old.role`, id, role).Scan(&from)
		if err != nil {
			return fmt.Errorf("set the role of %s: %w", name, err)
		}
		return record(ctx, tx, actor, "user set-role", name, map[string]any{"from": from, "to": role})
	})
}

// SetPassword gives a user another password, or none ("": only API tokens are left), ends their sessions, and forgets
// wrong passwords, so that they can log in at once.
func SetPassword(ctx context.Context, db pg.DBTX, actor, name, password string) error {
	hash, err := newHash(name, password)
	if err != nil {
		return err
	}
	return change(ctx, db, name, func(tx pgx.Tx, id int) error {
		if _, err := tx.Exec(ctx, `update users set password = $2 where id = $1`, id, hash); err != nil {
			return fmt.Errorf("set the password of %s: %w", name, err)
		}
		if err := forgive(ctx, tx, name); err != nil {
			return err
		}
		if err := endSessions(ctx, tx, id); err != nil {
			return err
		}
		return record(ctx, tx, actor, "user password", name, map[string]any{"password": password != ""})
	})
}

// Disable lets a user in no more, neither by password nor by token, and ends their sessions.
func Disable(ctx context.Context, db pg.DBTX, actor, name string, now time.Time) error {
	return change(ctx, db, name, func(tx pgx.Tx, id int) error {
		tag, err := tx.Exec(ctx, `update users set disabled_at = $2 where id = $1 and disabled_at is null`, id, now)
		if err != nil {
			return fmt.Errorf("disable %s: %w", name, err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		if err := endSessions(ctx, tx, id); err != nil {
			return err
		}
		return record(ctx, tx, actor, "user disable", name, nil)
	})
}

// Enable takes Disable back. Passwords and tokens are those from before.
func Enable(ctx context.Context, db pg.DBTX, actor, name string) error {
	return change(ctx, db, name, func(tx pgx.Tx, id int) error {
		tag, err := tx.Exec(ctx, `update users set disabled_at = null where id = $1 and disabled_at is not null`, id)
		if err != nil {
			return fmt.Errorf("enable %s: %w", name, err)
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		return record(ctx, tx, actor, "user enable", name, nil)
	})
}

// change runs f for the user of that name, who is locked, in a transaction.
func change(ctx context.Context, db pg.DBTX, name string, f func(tx pgx.Tx, id int) error) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		var id int
		err := tx.QueryRow(ctx, `select id from users where name = $1 for update`, name).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return noUser(ctx, tx, name)
		}
		if err != nil {
			return fmt.Errorf("look up user %s: %w", name, err)
		}
		return f(tx, id)
	})
}

// noUser is the error for a name that nobody has.
func noUser(ctx context.Context, db pg.DBTX, name string) error {
	rows, _ := db.Query(ctx, `select name from users order by name`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look up user %s: %w", name, err)
	}
	hint := diag.DidYouMean(name, names)
	if hint == "" {
		hint = "see: sapa user list"
	}
	return fmt.Errorf("%w %q\n  %s", ErrNoUser, name, hint)
}

func endSessions(ctx context.Context, db pg.DBTX, user int) error {
	if _, err := db.Exec(ctx, `delete from sessions where user_id = $1`, user); err != nil {
		return fmt.Errorf("end the user's sessions: %w", err)
	}
	return nil
}
