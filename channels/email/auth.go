package email

import (
	"errors"
	"slices"

	"github.com/wneessen/go-mail/smtp"
)

var errNoMechanism = errors.New("the server offers no way to log in that is safe on this connection: " +
	"use smtps:// or STARTTLS, or check whether this port takes a user name at all")

// login is the AUTH step (RFC 4954): it chooses the mechanism and remembers that credentials were sent, so that a
// refusal can be told from any other.
type login struct {
	cfg     Config
	chosen  smtp.Auth
	started bool
}

func newLogin(cfg Config) *login { return &login{cfg: cfg} }

// Start chooses: over TLS the plain mechanisms, which every server checks alike; without it those that do not show the
// password, and the plain ones only where the configuration says that encryption is not wanted.
func (l *login) Start(server *smtp.ServerInfo) (mechanism string, toServer []byte, err error) {
	if !server.TLS && l.cfg.TLS == TLSRequired {
		return "", nil, errNoSTARTTLS
	}
	plain, shy := []string{"PLAIN", "LOGIN"}, []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"}
	var wanted []string
	switch {
	case server.TLS:
		wanted = append(plain, shy...)
	case l.cfg.TLS == TLSNone:
		wanted = append(shy, plain...)
	default:
		wanted = shy
	}
	for _, w := range wanted {
		if slices.Contains(server.Auth, w) {
			l.chosen = l.mechanism(w)
			l.started = true
			return l.chosen.Start(server)
		}
	}
	return "", nil, errNoMechanism
}

// Next answers a challenge.
func (l *login) Next(fromServer []byte, more bool) ([]byte, error) {
	return l.chosen.Next(fromServer, more)
}

func (l *login) mechanism(name string) smtp.Auth {
	user, password := l.cfg.User.Reveal(), l.cfg.Password.Reveal()
	switch name {
	case "PLAIN":
		return smtp.PlainAuth("", user, password, l.cfg.Host, l.cfg.TLS == TLSNone)
	case "LOGIN":
		return smtp.LoginAuth(user, password, l.cfg.Host, l.cfg.TLS == TLSNone)
	case "SCRAM-SHA-256":
		return smtp.ScramSHA256Auth(user, password)
	case "SCRAM-SHA-1":
		return smtp.ScramSHA1Auth(user, password)
	default:
		return smtp.CRAMMD5Auth(user, password)
	}
}
