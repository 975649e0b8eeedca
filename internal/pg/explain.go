package pg

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectError says why no connection came about and how to mend it. It never holds the password.
type ConnectError struct {
	Place  string // database and host, as "shop on db.example:5432"
	Reason string
	Remedy string // what to do; may be empty
	Err    error  // what pgx said
}

// Error is the reason, with its remedy on a line of its own.
func (e *ConnectError) Error() string {
	msg := "connect to " + e.Place + ": " + e.Reason
	if e.Remedy != "" {
		msg += "\n  " + e.Remedy
	}
	return msg
}

// Unwrap gives pgx's error, for errors.As.
func (e *ConnectError) Unwrap() error { return e.Err }

func explain(cfg *pgx.ConnConfig, err error) error {
	e := &ConnectError{Place: place(cfg), Err: err}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("connect to %s: %w", e.Place, context.Canceled)
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		e.Reason, e.Remedy = serverRefusal(cfg, pgErr)
	} else {
		e.Reason, e.Remedy = unreachable(cfg, err)
	}
	return e
}

// serverRefusal explains what a server that answered objected to (PostgreSQL's appendix A lists the codes).
func serverRefusal(cfg *pgx.ConnConfig, err *pgconn.PgError) (reason, remedy string) {
	switch err.Code {
	case "28P01":
		return err.Message, fmt.Sprintf("check user and password in DATABASE_URL; an administrator sets a new one with: alter role %s password '...'", ident(cfg.User))
	case "28000":
		return err.Message, fmt.Sprintf("the role must exist and may log in (create role %s login password '...'), and the server's pg_hba.conf must let it in from here", ident(cfg.User))
	case "3D000":
		return err.Message, fmt.Sprintf("create it with: create database %s owner %s", ident(cfg.Database), ident(cfg.User))
	case "42501":
		return err.Message, fmt.Sprintf("an administrator allows it with: grant connect on database %s to %s", ident(cfg.Database), ident(cfg.User))
	case "53300":
		return err.Message, "close other programs' connections, or raise max_connections on the server"
	case "57P03":
		return err.Message, "try again in a moment"
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", err.Message, err.Code), ""
}

// unreachable explains an error from before the server spoke.
func unreachable(cfg *pgx.ConnConfig, err error) (reason, remedy string) {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("the host name %q is not known", dns.Name), "check the host in DATABASE_URL"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there", startHint
	case errors.Is(err, fs.ErrNotExist):
		return "there is no socket " + socket(cfg), startHint
	case errors.Is(err, fs.ErrPermission):
		return "this account may not use the socket " + socket(cfg), "run Sapa as another user, or connect over TCP with host=127.0.0.1"
	case errors.As(err, &cert):
		return "the server's TLS certificate is not trusted: " + cert.Err.Error(), "give the authority's file with sslrootcert=... in DATABASE_URL"
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return "the server speaks no TLS, which sslmode asks for", "turn ssl on in the server, or use sslmode=prefer where the network is trusted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time", "check host, port and firewall, or raise connect_timeout in DATABASE_URL"
	}
	return innermost(err).Error(), ""
}

const startHint = "start the server there, or check host and port in DATABASE_URL; with DATABASE_URL unset Sapa runs a private PostgreSQL of its own"

// explainURL reports a connection string that can't be read. pgx repeats the string in its message and can't always
// tell which part is the password, so nothing of the string is shown.
func explainURL(err error) error {
	reason := "it is neither a URL nor keyword=value pairs"
	for _, known := range [][2]string{
		{"failed to configure TLS (sslmode", "its sslmode is none of disable, allow, prefer, require, verify-ca and verify-full"},
		{"failed to configure TLS", "a certificate, key or authority file that it names can't be used"},
		{"invalid port", "its port is not a number from 1 to 65535"},
		{"cannot parse pool_", "one of its pool_ settings is not a number or duration"},
	} {
		if strings.HasPrefix(pgxWords(err), known[0]) {
			reason = known[1]
			break
		}
	}
	return &ConnectError{
		Place: "PostgreSQL", Reason: "the connection string can't be read: " + reason,
		Remedy: "write it as postgres://user:password@host:5432/database, with special characters in the password percent-encoded (@ is %40, / is %2F, # is %23, % is %25)",
		Err:    errUnreadableURL,
	}
}

// pgxWords is what pgx says after the connection string.
func pgxWords(err error) string {
	_, words, _ := strings.Cut(err.Error(), "`: ")
	return words
}

var errUnreadableURL = errors.New("unreadable connection string")

func place(cfg *pgx.ConnConfig) string {
	db := cfg.Database
	if db == "" {
		db = cfg.User
	}
	if filepath.IsAbs(cfg.Host) {
		return db + " on " + cfg.Host
	}
	return db + " on " + net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}

func socket(cfg *pgx.ConnConfig) string {
	return filepath.Join(cfg.Host, ".s.PGSQL."+strconv.Itoa(int(cfg.Port)))
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func innermost(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}
