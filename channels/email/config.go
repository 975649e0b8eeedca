package email

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/secret"
)

// TLS says how far the connection must be encrypted. It is about STARTTLS (RFC 3207); a Config with Implicit set is
// encrypted from its first byte (RFC 8314) and ignores it.
type TLS string

// The three ways. Opportunistic encrypts where the server offers it and, having no credentials to protect, does not
// ask for a valid certificate (RFC 7435); with credentials the certificate is checked all the same.
const (
	TLSRequired      TLS = "required"
	TLSOpportunistic TLS = "opportunistic"
	TLSNone          TLS = "none"
)

// The time limits of RFC 5321 section 4.5.3.2, used where a Config leaves a limit at zero.
const (
	defaultConnectTimeout = 30 * time.Second
	defaultCommandTimeout = 5 * time.Minute
	defaultDataTimeout    = 10 * time.Minute
	defaultQuitTimeout    = time.Second
)

// Config is one account at an SMTP server. Parse makes it from a URL; the zero time limits stand for those of RFC 5321.
type Config struct {
	Host     string
	Port     int
	Implicit bool // smtps: TLS from the first byte
	TLS      TLS  // empty: required with credentials or beyond loopback, else none
	User     secret.Text
	Password secret.Text
	From     channels.Address
	Helo     string         // the name in EHLO; empty: the host's own
	RootCAs  *x509.CertPool // nil: the system's

	ConnectTimeout time.Duration // dialling, greeting, TLS and AUTH together; 0 is 30 s
	CommandTimeout time.Duration // the reply to a command, and each written block; 0 is 5 min
	DataTimeout    time.Duration // the reply to the final dot; 0 is 10 min
}

// Parse reads the two settings of an e-mail account: an SMTP URL and the sender.
//
//	smtp://user:password@mail.example:587     STARTTLS; port 587, or 25 without credentials, is the default
//	smtps://user:password@mail.example:465    TLS from the start; port 465 is the default
//	smtp://localhost:25?tls=opportunistic     tls is required, opportunistic or none; helo sets the name in EHLO
//
// The sender is `Name <address>` or a bare address. Errors say how to mend the text and never repeat the URL.
func Parse(smtpURL, from string) (Config, error) {
	cfg, err := parseURL(smtpURL)
	if err != nil {
		return Config{}, err
	}
	if cfg.From, err = parseSender(from); err != nil {
		return Config{}, err
	}
	return cfg, cfg.validate()
}

func parseURL(smtpURL string) (Config, error) {
	if strings.TrimSpace(smtpURL) == "" {
		return Config{}, errors.New("the SMTP URL is empty: write smtp://user:password@host:587 or smtps://host:465")
	}
	u, err := url.Parse(strings.TrimSpace(smtpURL))
	if err != nil || u.Fragment != "" { // err holds the URL, so the password
		return Config{}, errors.New("the SMTP URL can't be read: write smtp://user:password@host:587, and in user and " +
			"password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25")
	}
	if u.Scheme != "smtp" && u.Scheme != "smtps" {
		return Config{}, errors.New("the SMTP URL must begin with smtp:// (STARTTLS) or smtps:// (TLS from the start)")
	}
	if u.Path != "" && u.Path != "/" || u.Opaque != "" {
		return Config{}, errors.New("the SMTP URL ends after the port: write smtp://user:password@host:587")
	}
	cfg := Config{Host: u.Hostname(), Implicit: u.Scheme == "smtps"}
	if u.User != nil {
		password, _ := u.User.Password()
		cfg.User, cfg.Password = secret.Text(u.User.Username()), secret.Text(password)
	}
	if err := cfg.setPort(u.Port()); err != nil {
		return Config{}, err
	}
	return cfg, cfg.setQuery(u.RawQuery)
}

func (c *Config) setPort(port string) error {
	switch {
	case port != "":
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return errors.New("the port of the SMTP URL must be a number from 1 to 65535")
		}
		c.Port = n
	case c.Implicit:
		c.Port = 465
	case c.User != "":
		c.Port = 587
	default:
		c.Port = 25
	}
	return nil
}

func (c *Config) setQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the settings after the ? of the SMTP URL can't be read: write ?tls=none or ?helo=name")
	}
	for name, value := range values {
		switch name {
		case "tls":
			c.TLS = TLS(value[0])
		case "helo":
			c.Helo = value[0]
		default: // its name may be a piece of a password that holds a question mark
			return errors.New("unknown setting after the ? of the SMTP URL: known here are tls and helo")
		}
	}
	return nil
}

// parseSender reads `Name <addr>`, leniently about the name: a comma or a full stop in it need no quotes.
func parseSender(from string) (channels.Address, error) {
	name, addr := "", strings.TrimSpace(from)
	if parsed, err := mail.ParseAddress(addr); err == nil {
		name, addr = parsed.Name, parsed.Address
	} else if i := strings.LastIndexByte(addr, '<'); i >= 0 && strings.HasSuffix(addr, ">") {
		name, addr = strings.Trim(strings.TrimSpace(addr[:i]), `"`), addr[i+1:len(addr)-1]
	}
	box, err := parseMailbox(addr)
	if err != nil || box.utf8 || strings.ContainsAny(name, "<>") {
		return channels.Address{}, fmt.Errorf("the sender %q must be an address, such as Bengkel Maju <halo@bengkel.example>", from)
	}
	if err := noLineBreaks(named{"the sender's name", name}); err != nil {
		return channels.Address{}, err
	}
	return channels.Address{Name: name, Addr: box.addr}, nil
}

func (c Config) validate() error {
	if c.Host == "" {
		return errors.New("the SMTP URL names no host: write smtp://host:587")
	}
	if c.Port < 1 || c.Port > 65535 {
		return errors.New("the port of the SMTP URL must be a number from 1 to 65535")
	}
	if c.User == "" && c.Password != "" {
		return errors.New("the SMTP URL has a password but no user: write smtp://user:password@host:587")
	}
	if strings.ContainsAny(c.Helo, " \t\r\n\x00") {
		return errors.New("helo must be a host name without spaces")
	}
	switch c.TLS {
	case "", TLSRequired, TLSOpportunistic, TLSNone:
	default:
		return errors.New("tls must be required, opportunistic or none: write smtp://host:25?tls=none")
	}
	if _, err := parseMailbox(c.From.Addr); err != nil {
		return fmt.Errorf("the sender: %w", err)
	}
	return nil
}

// withDefaults fills the zero values.
func (c Config) withDefaults() Config {
	if c.TLS == "" {
		c.TLS = TLSRequired
		if c.User == "" && isLoopback(c.Host) {
			c.TLS = TLSNone
		}
	}
	defaultTo(&c.ConnectTimeout, defaultConnectTimeout)
	defaultTo(&c.CommandTimeout, defaultCommandTimeout)
	defaultTo(&c.DataTimeout, defaultDataTimeout)
	return c
}

func defaultTo(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// account is the URL without credentials.
func (c Config) account() string {
	scheme := "smtp"
	if c.Implicit {
		scheme = "smtps"
	}
	return scheme + "://" + net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}

// String is the account's URL with the credentials masked.
func (c Config) String() string {
	if c.User == "" {
		return c.account()
	}
	return strings.Replace(c.account(), "://", "://***:***@", 1)
}

// GoString is the same as String.
func (c Config) GoString() string { return c.String() }

// LogValue is the same as String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
