package twilio

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels/channeltest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]Config{
		"https://AC12:hunter2@api.twilio.com":                      {BaseURL: "https://api.twilio.com", AccountSID: "AC12", User: "AC12", Password: "hunter2", AuthToken: "hunter2"},
		" https://SK34:hunter2@api.dublin.ie1.twilio.com/AC12/ \n": {BaseURL: "https://api.dublin.ie1.twilio.com", AccountSID: "AC12", User: "SK34", Password: "hunter2"},
		"https://AC12:hunter2@api.twilio.com/AC34":                 {BaseURL: "https://api.twilio.com", AccountSID: "AC34", User: "AC12", Password: "hunter2"}, // a subaccount
		"http://ACsandbox:token@127.0.0.1:8025?timeout=5s": {
			BaseURL: "http://127.0.0.1:8025", AccountSID: "ACsandbox", User: "ACsandbox", Password: "token", AuthToken: "token", AnswerTimeout: 5 * time.Second,
		},
		"http://ACsandbox:token@[::1]:8025": {BaseURL: "http://[::1]:8025", AccountSID: "ACsandbox", User: "ACsandbox", Password: "token", AuthToken: "token"},
	} {
		got, err := Parse(raw)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", raw, err, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                                                "the Twilio URL can't be read: write " + urlForms,
		"AC12:hunter2@api.twilio.com":                     "the Twilio URL can't be read: write " + urlForms,
		"https://api.twilio.com":                          "the Twilio URL can't be read: write " + urlForms,
		"https://AC12:hunter2%zz@api.twilio.com":          "the Twilio URL can't be read: write " + urlForms,
		"ftp://AC12:hunter2@api.twilio.com":               "the Twilio URL must begin with https://; http:// would show the token to everybody on the way and is for this machine only",
		"http://AC12:hunter2@api.twilio.com":              "the Twilio URL must begin with https://; http:// would show the token to everybody on the way and is for this machine only",
		"https://AC12@api.twilio.com":                     "user and password of the Twilio URL are letters and digits only: write " + urlForms,
		"https://AC12:hunter-2@api.twilio.com":            "user and password of the Twilio URL are letters and digits only: write " + urlForms,
		"https://budi:hunter2@api.twilio.com":             "the user of the Twilio URL must begin with AC (the account) or SK (an API key): write " + urlForms,
		"https://SK34:hunter2@api.twilio.com":             "the Twilio URL must name the account, AC and 32 digits: write " + urlForms,
		"https://SK34:hunter2@api.twilio.com/x/y":         "the Twilio URL must name the account, AC and 32 digits: write " + urlForms,
		"https://AC12:hunter2@api.twilio.com?hunter2=x":   "unknown setting after the ? of the Twilio URL: known here is timeout",
		"https://AC12:hunter2@api.twilio.com?timeout=now": "timeout in the Twilio URL must be a time such as 30s",
		"https://AC12:hunter2@api.twilio.com?timeout=-1s": "timeout in the Twilio URL must be a time such as 30s",
	} {
		_, err := Parse(raw)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	good := Config{BaseURL: "https://api.twilio.com", AccountSID: "AC12", User: "AC12", Password: "hunter2", AuthToken: "hunter2", From: "Bengkel"}
	const name = `must be a number such as +6281110000, a short code, or a name of at most 11 letters, digits and blanks`
	for want, change := range map[string]func(*Config){
		"": func(*Config) {},
		"the account's auth token is missing: Twilio signs its callbacks with it, also where an API key is used": func(c *Config) { c.AuthToken = "" },
		"exactly one sender is needed: a number, or a Messaging Service":                                         func(c *Config) { c.From = "" },
		"exactly one sender is needed: a number, or a Messaging Service ":                                        func(c *Config) { c.MessagingService = "MG12" },
		`the sender "Bengkel Maju Jaya" ` + name:                                                                 func(c *Config) { c.From = "Bengkel Maju Jaya" },
		`the sender "0811-1234567" ` + name:                                                                      func(c *Config) { c.From = "0811-1234567" },
		`the Messaging Service "mine" must be MG and 32 hexadecimal digits`:                                      func(c *Config) { c.From, c.MessagingService = "", "mine" },
		"the Twilio URL names no host: write " + urlForms:                                                        func(c *Config) { c.BaseURL = "api" },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != "set up SMS: "+strings.TrimSpace(want)) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, sender := range []string{"+6281110000", "12345", "Bengkel", "BNI 46", "A"} {
		if !ValidSender(sender) {
			t.Errorf("%q is refused", sender)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := newServer(t, false)
	c := s.channel()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("config", c.cfg), slog.Any("channel", c))
	printed := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s", c.cfg, c.cfg, c.cfg, c.cfg, c, c, c, c.Account()) + log.String()
	s.Answer(s.Recipient(1), channeltest.DropAfter)
	m := text1()
	m.To = s.Recipient(1)
	_, err, broken := send(t.Context(), t, c, m, always)
	s.Stop()
	_, openErr := c.Open(t.Context())
	printed += fmt.Sprint(err, broken, openErr)
	if strings.Contains(printed, testToken) || strings.Contains(printed, m.To.Addr) || !strings.Contains(printed, testAccount) {
		t.Error(printed)
	}
}
