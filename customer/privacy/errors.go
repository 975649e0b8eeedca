package privacy

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrUnknown says that neither the company's table nor Sapa knows a customer of that key.
var ErrUnknown = errors.New("no such customer")

// ErrBusy says that something is under way that must end first; nothing was changed.
var ErrBusy = errors.New("busy")

// collided tells whether a transaction was rolled back because of others (SQLSTATE class 40).
func collided(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(e.Code, "40")
}

// waited tells whether a lock was not given within lock_timeout.
func waited(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "55P03"
}
