package pg

import (
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Refused says whether the database has refused a statement that it will refuse again: a table, column or right that is
// gone, a value that does not fit, a constraint.
func Refused(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{
		"0A", // feature not supported
		"21", // cardinality violation
		"22", // data exception
		"23", // integrity constraint violation
		"42", // syntax error or access rule violation
		"44", // with check option violation
		"P0", // raised by a function
	}, e.Code[:min(2, len(e.Code))])
}

// Fleeting says whether an error is the database's being away, busy or slow, which time mends. It is false for an error
// that is not the database's.
func Fleeting(err error) bool {
	if err == nil {
		return false
	}
	if _, answered := errors.AsType[*pgconn.PgError](err); answered {
		return !Refused(err)
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// quoted is a value as the database's messages quote it.
var quoted = regexp.MustCompile(`"[^"]*"`)

// WithoutValues is an error without the values that the database quotes in it: whose data does not fit (SQLSTATE class 22)
// may be anybody's, and such errors become reasons of runs, which stay. Names of tables and columns, which other
// errors quote, are kept.
func WithoutValues(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !strings.HasPrefix(e.Code, "22") {
		return err
	}
	bare := *e
	bare.Message, bare.Detail, bare.Where = quoted.ReplaceAllString(e.Message, `"…"`), "", ""
	return &bare
}
