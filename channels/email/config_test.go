package email

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Config{
		"smtp://ani:s3cret@mail.example":       {Host: "mail.example", Port: 587, User: "ani", Password: "s3cret"},
		"smtp://ani:a%40b%3A@mail.example:25":  {Host: "mail.example", Port: 25, User: "ani", Password: "a@b:"},
		"smtp://ani%40example.org:p@mail:2525": {Host: "mail", Port: 2525, User: "ani@example.org", Password: "p"},
		"smtp://mail.example":                  {Host: "mail.example", Port: 25},
		"smtps://ani:p@mail.example/":          {Host: "mail.example", Port: 465, Implicit: true, User: "ani", Password: "p"},
		"smtp://[::1]:2525?tls=none":           {Host: "::1", Port: 2525, TLS: TLSNone},
		"smtp://localhost?tls=opportunistic&helo=sapa.bengkel.example": {
			Host: "localhost", Port: 25, TLS: TLSOpportunistic, Helo: "sapa.bengkel.example",
		},
	} {
		want.From = channels.Address{Name: "Bengkel Maju", Addr: "halo@bengkel.example"}
		got, err := Parse(in, "Bengkel Maju <halo@bengkel.example>")
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %#v, %v; want %#v", in, got, err, want)
		}
	}
}

func TestParseSender(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]channels.Address{
		"halo@bengkel.example":                         {Addr: "halo@bengkel.example"},
		"Bengkel Maju, Tbk. <halo@bengkel.example>":    {Name: "Bengkel Maju, Tbk.", Addr: "halo@bengkel.example"},
		`"Bengkel \"Maju\"" <halo@bengkel.example>`:    {Name: `Bengkel "Maju"`, Addr: "halo@bengkel.example"},
		"Café Señor <halo@bücher.example>":             {Name: "Café Señor", Addr: "halo@xn--bcher-kva.example"},
		"=?utf-8?q?Caf=C3=A9?= <halo@bengkel.example>": {Name: "Café", Addr: "halo@bengkel.example"},
		"   Bengkel   <halo@bengkel.example>   ":       {Name: "Bengkel", Addr: "halo@bengkel.example"},
	} {
		got, err := parseSender(in)
		if err != nil || got != want {
			t.Errorf("parseSender(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const unreadable = "the SMTP URL can't be read: write smtp://user:password@host:587, and in user and password write " +
		"@ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25"
	const port = "the port of the SMTP URL must be a number from 1 to 65535"
	for in, want := range map[string]string{
		"":                               "the SMTP URL is empty: write smtp://user:password@host:587 or smtps://host:465",
		"mail.example:25":                "the SMTP URL must begin with smtp:// (STARTTLS) or smtps:// (TLS from the start)",
		"http://mail.example":            "the SMTP URL must begin with smtp:// (STARTTLS) or smtps:// (TLS from the start)",
		"smtp://ani:s3cret%zz@mail":      unreadable,
		"smtp://ani:s3cret#x@mail":       unreadable,
		"smtp://ani:s3cret/x@mail":       unreadable,
		"smtp://mail.example:smtp":       unreadable,
		"smtp://mail.example:70000":      port,
		"smtp://mail.example:0":          port,
		"smtp://mail.example/inbox":      "the SMTP URL ends after the port: write smtp://user:password@host:587",
		"smtp://:25":                     "the SMTP URL names no host: write smtp://host:587",
		"smtp://:s3cret@mail.example":    "the SMTP URL has a password but no user: write smtp://user:password@host:587",
		"smtp://mail.example?s3cret=1":   "unknown setting after the ? of the SMTP URL: known here are tls and helo",
		"smtp://mail.example?tls=yes":    "tls must be required, opportunistic or none: write smtp://host:25?tls=none",
		"smtp://mail.example?helo=a%20b": "helo must be a host name without spaces",
		"smtp://mail.example?%zz=s3cret": "the settings after the ? of the SMTP URL can't be read: write ?tls=none or ?helo=name",
	} {
		_, err := Parse(in, "halo@bengkel.example")
		if err == nil || err.Error() != want {
			t.Errorf("Parse(%q): %v; want %s", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Parse(%q) shows the secret: %v", in, err)
		}
	}
	for _, from := range []string{"", "Bengkel Maju", "Bengkel <halo>", "josé@example.org", "A <a@b.c>, B <b@b.c>", "A\nB <a@b.c>"} {
		if cfg, err := Parse("smtp://mail.example", from); err == nil {
			t.Errorf("Parse takes the sender %q as %+v", from, cfg.From)
		}
	}
	_, err := Parse("smtp://mail.example", "Bengkel Maju")
	if want := `the sender "Bengkel Maju" must be an address, such as Bengkel Maju <halo@bengkel.example>`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// No way of printing a Config shows its credentials.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	cfg, err := Parse("smtp://s3cretuser:s3cretpass@mail.example:587", "halo@bengkel.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("cfg", cfg), slog.Any("password", cfg.Password))
	for _, printed := range []string{
		string(asJSON), log.String(), c.Account(),
		fmt.Sprint(cfg), fmt.Sprintf("%v %+v %#v %s %q", cfg, cfg, cfg, cfg, cfg), fmt.Sprintf("%v %+v %#v", &cfg, c, c),
		fmt.Sprintf("%v %s %q %#v", cfg.Password, cfg.Password, cfg.Password, cfg.Password),
	} {
		if strings.Contains(printed, "s3cret") {
			t.Errorf("printed: %s", printed)
		}
	}
	if got, want := cfg.String(), "smtp://***:***@mail.example:587"; got != want {
		t.Errorf("String: %s, want %s", got, want)
	}
	if got, want := c.Account(), "smtp://mail.example:587"; got != want {
		t.Errorf("Account: %s, want %s", got, want)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]TLS{
		"smtp://localhost":                   TLSNone,
		"smtp://127.0.0.1:2525":              TLSNone,
		"smtp://[::1]":                       TLSNone,
		"smtp://ani:p@localhost":             TLSRequired,
		"smtp://mail.example":                TLSRequired,
		"smtp://ani:p@mail.example":          TLSRequired,
		"smtp://ani:p@mail.example?tls=none": TLSNone,
		"smtp://localhost?tls=opportunistic": TLSOpportunistic,
	} {
		cfg, err := Parse(in, "halo@bengkel.example")
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.withDefaults().TLS; got != want {
			t.Errorf("%s: TLS %s, want %s", in, got, want)
		}
	}
}
