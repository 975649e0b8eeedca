package twilio

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/secret"
)

// The time limits used where a Config leaves one at zero.
const (
	defaultConnectTimeout = 15 * time.Second
	defaultAnswerTimeout  = 30 * time.Second
)

// Config is one account at Twilio, or at something that speaks its API. Parse makes it from a URL; sender and auth token
// are set beside it.
type Config struct {
	BaseURL    string // scheme, host and port: https://api.twilio.com, http://127.0.0.1:8025
	AccountSID string // AC…
	User       string // AccountSID, or the SID of an API key: SK…
	Password   secret.Text
	AuthToken  secret.Text // the account's; it signs callbacks

	From             string // E.164; of text messages a short code or an alphanumeric sender, too
	MessagingService string // MG…, not of calls; exactly one of the two is given

	// WroteSince says whether a customer's number has written to us on WhatsApp since a time; free texts go to such
	// numbers only. nil: it is not known, and Twilio decides.
	WroteSince func(ctx context.Context, number string, since time.Time) (bool, error)

	ConnectTimeout time.Duration // dialling and TLS; 0 is 15 s
	AnswerTimeout  time.Duration // from the hand-over to the whole answer; 0 is 30 s
	RootCAs        *x509.CertPool
	Now            func() time.Time // business time, for validity periods; nil is time.Now
}

const urlForms = "https://ACxxx:token@api.twilio.com, or https://SKxxx:secret@api.twilio.com/ACxxx with an API key"

// Parse reads the URL of an account:
//
//	https://ACxxx:token@api.twilio.com             the account's SID and auth token
//	https://SKxxx:secret@api.twilio.com/ACxxx      an API key; the auth token is needed beside it
//	http://ACxxx:token@127.0.0.1:8025?timeout=5s   without TLS on this machine only; timeout is the wait for an answer
//
// Errors say how to mend the text and never repeat the URL.
func Parse(rawURL string) (Config, error) {
	u, err := url.Parse(strings.TrimSpace(rawURL))
	if err != nil || u.Hostname() == "" || u.User == nil || u.Fragment != "" || u.Opaque != "" { // err holds the URL, so the token
		return Config{}, errors.New("the Twilio URL can't be read: write " + urlForms)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return Config{}, errors.New("the Twilio URL must begin with https://; http:// would show the token to everybody on the way and is for this machine only")
	}
	password, _ := u.User.Password()
	cfg := Config{
		BaseURL: u.Scheme + "://" + u.Host, User: u.User.Username(), Password: secret.Text(password),
		AccountSID: strings.Trim(u.Path, "/"),
	}
	if strings.HasPrefix(cfg.User, "AC") {
		if cfg.AccountSID == "" {
			cfg.AccountSID = cfg.User
		}
		if cfg.AccountSID == cfg.User {
			cfg.AuthToken = cfg.Password
		}
	}
	if err := cfg.setQuery(u.RawQuery); err != nil {
		return Config{}, err
	}
	return cfg, cfg.checkCredentials()
}

func (c *Config) setQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the settings after the ? of the Twilio URL can't be read: write ?timeout=30s")
	}
	for name, value := range values {
		if name != "timeout" { // its name may be a piece of a token
			return errors.New("unknown setting after the ? of the Twilio URL: known here is timeout")
		}
		if c.AnswerTimeout, err = time.ParseDuration(value[0]); err != nil || c.AnswerTimeout <= 0 {
			return errors.New("timeout in the Twilio URL must be a time such as 30s")
		}
	}
	return nil
}

// plain is what twilio-go takes as user and password.
var plain = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func (c Config) checkCredentials() error {
	switch {
	case !plain.MatchString(c.User) || !plain.MatchString(c.Password.Reveal()):
		return errors.New("user and password of the Twilio URL are letters and digits only: write " + urlForms)
	case !strings.HasPrefix(c.User, "AC") && !strings.HasPrefix(c.User, "SK"):
		return errors.New("the user of the Twilio URL must begin with AC (the account) or SK (an API key): write " + urlForms)
	case !strings.HasPrefix(c.AccountSID, "AC") || !plain.MatchString(c.AccountSID):
		return errors.New("the Twilio URL must name the account, AC and 32 digits: write " + urlForms)
	}
	return nil
}

func (c Config) validate() error {
	if err := c.checkCredentials(); err != nil {
		return err
	}
	if u, err := url.Parse(c.BaseURL); err != nil || u.Host == "" {
		return errors.New("the Twilio URL names no host: write " + urlForms)
	}
	if c.AuthToken == "" {
		return errors.New("the account's auth token is missing: Twilio signs its callbacks with it, also where an API key is used")
	}
	return nil
}

// checkTextSender is kind.checkSender of text messages.
func (c Config) checkTextSender() error {
	switch {
	case (c.From == "") == (c.MessagingService == ""):
		return errors.New("exactly one sender is needed: a number, or a Messaging Service")
	case c.From != "" && !ValidSender(c.From):
		return fmt.Errorf("the sender %q must be a number such as +6281110000, a short code, or a name of at most 11 letters, digits and blanks", c.From)
	case c.MessagingService != "" && !ValidMessagingService(c.MessagingService):
		return fmt.Errorf("the Messaging Service %q must be MG and 32 hexadecimal digits", c.MessagingService)
	}
	return nil
}

var (
	e164             = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	shortCode        = regexp.MustCompile(`^[0-9]{3,8}$`)
	alphanumeric     = regexp.MustCompile(`^[A-Za-z0-9 +_&-]{1,11}$`)
	letter           = regexp.MustCompile(`[A-Za-z]`)
	messagingService = regexp.MustCompile(`^MG[0-9A-Za-z]{1,64}$`)
)

// ValidSender says whether a text can be a sender: a number in the form of E.164, a short code, or an alphanumeric
// sender ID of at most 11 characters with at least one letter.
func ValidSender(s string) bool {
	return e164.MatchString(s) || shortCode.MatchString(s) ||
		alphanumeric.MatchString(s) && letter.MatchString(s) && strings.TrimSpace(s) == s
}

// ValidMessagingService says whether a text can be the SID of a Messaging Service.
func ValidMessagingService(s string) bool { return messagingService.MatchString(s) }

func (c Config) withDefaults() Config {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = defaultConnectTimeout
	}
	if c.AnswerTimeout <= 0 {
		c.AnswerTimeout = defaultAnswerTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// account is the URL of the account without credentials.
func (c Config) account() string { return c.BaseURL + "/" + c.AccountSID }

// String is the account's URL without credentials.
func (c Config) String() string { return c.account() }

// GoString is the same as String.
func (c Config) GoString() string { return c.account() }

// LogValue is the same as String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.account()) }
