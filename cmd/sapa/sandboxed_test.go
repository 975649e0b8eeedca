package main

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/secret"
	"github.com/sapa-crm/sapa/sandbox"
)

// trap listens where nobody may call.
func trap(t *testing.T) (address string, calls func() int) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), func() int { return int(n.Load()) }
}

// The demo reaches nothing that is configured, whatever the environment says.
func TestDemoReachesNothingConfigured(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a PostgreSQL of its own")
	}
	address, calls := trap(t)
	env := map[string]string{
		"DATABASE_URL": "postgres://sapa@" + address + "/company", "SMTP_URL": "smtp://" + address, "TWILIO_URL": "http://AC1:token@" + address,
		"SAPA_SCHEMA": "company", "SAPA_PG_DIR": "/dev/null/pg", "SAPA_ACTOR": "ani", "PUBLIC_URL": "http://" + address, "HOME": os.Getenv("HOME"),
		"HTTP_PROXY": "http://" + address, "HTTPS_PROXY": "http://" + address,
	}
	var out terminalText
	dir := filepath.Join(t.TempDir(), "demo")
	data, err := pg.DefaultDir(dir, func(name string) string { return map[string]string{"HOME": os.Getenv("HOME")}[name] })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	code := runAt(t.Context(), nil, []string{"demo", "--dir", dir, "--customers", "2000"}, func(name string) string { return env[name] }, &out)
	if code != exitOK || !strings.Contains(out.String(), "The books agree") {
		t.Errorf("%d %s", code, out.String())
	}
	if n := calls(); n != 0 {
		t.Errorf("%d connections to what is configured", n)
	}
}

// A session with a sandbox has no other provider: whatever sapa.yaml names, its accounts lead to the sandbox.
func TestSandboxInPlaceOfEveryAccount(t *testing.T) {
	t.Parallel()
	address, calls := trap(t)
	server, err := sandbox.Start(t.Context(), sandbox.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	abroad := &customer.WebhookSettings{URL: secret.Text("https://crm.example/hooks"), Secret: secret.Text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
	desk := &customer.DeskSettings{Name: "Front desk", Email: customer.Mailbox{Addr: "desk@toko.example"}, Webhook: abroad}
	first, second := secret.Text("http://AC1:token@"+address), secret.Text("http://AC2:token@"+address)
	s := &session{sandbox: server, config: &customer.Config{Channels: customer.ChannelsConfig{
		Email:    &customer.EmailSettings{SMTP: secret.Text("smtp://u:p@" + address), From: customer.Mailbox{Addr: "a@toko.example"}, Fallback: &customer.EmailFallback{SMTP: secret.Text("smtp://" + address)}},
		SMS:      &customer.SMSSettings{Twilio: first, AuthToken: "x", From: "+628111234567", Fallback: &customer.SMSFallback{Twilio: second, From: "+628111234567"}},
		WhatsApp: &customer.WhatsAppSettings{Twilio: first, AuthToken: "x", From: "+628111234567"},
		Voice:    &customer.VoiceSettings{Twilio: first, AuthToken: "x", From: "+622112345678", Fallback: &customer.VoiceFallback{Twilio: second, From: "+622112345678"}},
		Webhook:  abroad,
	}}}
	var lines []string
	for _, r := range s.registry() {
		lines = append(lines, r.name)
	}
	// Calls, letters and alerts stay in the database; every other channel is configured above.
	if diff := cmp.Diff([]string{"email", "sms", "whatsapp", "voice", "calls", "alert", "webhook", "letter"}, lines); diff != "" {
		t.Errorf("the registry: a new channel needs a sandbox: %s", diff)
	}
	accounts, err := s.accounts()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"email", "sms", "voice", "whatsapp"}, slices.Sorted(maps.Keys(accounts))); diff != "" {
		t.Errorf("the accounts: %s", diff)
	}
	if d, err := s.desk(desk); err != nil || len(d.Ways) != 1 || d.Ways[0].Channel.Name() != "email" || !strings.Contains(d.Ways[0].Channel.Account(), server.SMTPAddr()) {
		t.Errorf("a desk leads elsewhere than to the sandbox: %v %v", d.Ways, err)
	}
	for name, a := range accounts {
		if a.Fallback != nil {
			t.Errorf("%s has a second account beside the sandbox", name)
		}
		conn, err := a.Channel.Open(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := conn.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, r := range s.registry() {
		if !r.present {
			continue
		}
		for _, url := range r.urls() {
			if !strings.Contains(url, server.SMTPAddr()) && !strings.Contains(url, server.HTTPAddr()) {
				t.Errorf("%s leads to %s", r.name, url)
			}
		}
	}
	if n := calls(); n != 0 {
		t.Errorf("%d connections to what is configured", n)
	}
	if s.config.Channels.Email.SMTP.Reveal() != "smtp://u:p@"+address {
		t.Error("the settings themselves were changed")
	}
}
