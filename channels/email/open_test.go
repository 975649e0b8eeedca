package email

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// authenticating answers AUTH PLAIN and LOGIN, for the user ani with the password s3cret.
func authenticating(p *peer, verb, line string) bool {
	if verb != "AUTH" {
		return false
	}
	fields := strings.Fields(line)
	plain := ""
	switch fields[1] {
	case "PLAIN":
		plain = decode(fields[2])
	case "LOGIN":
		p.say("334 VXNlcm5hbWU6")
		user, _ := p.r.ReadString('\n')
		p.say("334 UGFzc3dvcmQ6")
		password, _ := p.r.ReadString('\n')
		plain = "\x00" + decode(user) + "\x00" + decode(password)
	}
	if plain == "\x00ani\x00s3cret" {
		p.say("235 2.7.0 Authentication successful")
	} else {
		p.say("535 5.7.8 Authentication credentials invalid")
	}
	return true
}

func decode(s string) string {
	b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	return string(b)
}

// TestOpen opens against every sort of server, and where that works delivers a message.
func TestOpen(t *testing.T) {
	t.Parallel()
	serverTLS, roots := certificate(t)
	trusting := func(cfg *Config) { cfg.RootCAs = roots }
	speaking := func(s *server) { s.tls = serverTLS }
	implicit := func(s *server) { s.tls, s.implicit = serverTLS, true }
	for name, test := range map[string]struct {
		server  []option
		url     string // %s is host and port
		change  func(*Config)
		want    string // of the error; % stands for the server's account
		verdict channels.Verdict
		verbs   []string // of the handshake, where they matter
	}{
		"plain": {url: "smtp://%s"},
		"STARTTLS": {
			server: []option{speaking}, url: "smtp://%s?tls=required", change: trusting, verbs: []string{"EHLO", "STARTTLS", "EHLO"},
		},
		"STARTTLS where it is offered": {
			server: []option{speaking}, url: "smtp://%s?tls=opportunistic", verbs: []string{"EHLO", "STARTTLS", "EHLO"},
		},
		"STARTTLS not wanted": {
			server: []option{speaking}, url: "smtp://%s?tls=none", verbs: []string{"EHLO"},
		},
		"STARTTLS not offered, nor needed": {url: "smtp://%s?tls=opportunistic"},
		"STARTTLS not offered": {
			url: "smtp://%s?tls=required", verdict: channels.VerdictPermanent,
			want: "% offers no STARTTLS, so nothing was sent: use smtps:// for TLS from the start, or add ?tls=none to SMTP_URL where the way to the server is safe without encryption",
		},
		"STARTTLS not offered, with credentials": {
			server: []option{offering("AUTH PLAIN LOGIN")}, url: "smtp://ani:s3cret@%s", verdict: channels.VerdictPermanent,
			want:  "% offers no STARTTLS, so nothing was sent: use smtps:// for TLS from the start, or add ?tls=none to SMTP_URL where the way to the server is safe without encryption",
			verbs: []string{"EHLO", "QUIT"},
		},
		"certificate not trusted": {
			server: []option{speaking}, url: "smtp://%s?tls=required", verdict: channels.VerdictUnavailable,
			want: "can't reach the SMTP server %: tls: failed to verify certificate: x509: certificate signed by unknown authority",
		},
		"certificate not trusted, credentials at stake": {
			server: []option{speaking, offering("AUTH PLAIN")}, url: "smtp://ani:s3cret@%s?tls=opportunistic", verdict: channels.VerdictUnavailable,
			want: "can't reach the SMTP server %: tls: failed to verify certificate: x509: certificate signed by unknown authority",
		},
		"smtps": {server: []option{implicit}, url: "smtps://%s", change: trusting},
		"smtps and login": {
			server: []option{implicit, offering("AUTH PLAIN"), withHook(authenticating)}, url: "smtps://ani:s3cret@%s", change: trusting,
		},
		"smtps to a server without": {
			url: "smtps://%s", verdict: channels.VerdictUnavailable,
			want: "% does not begin with TLS: try smtp:// instead of smtps:// in SMTP_URL: tls: first record does not look like a TLS handshake",
		},
		"login over STARTTLS": {
			server: []option{speaking, offering("AUTH LOGIN PLAIN"), withHook(authenticating)}, url: "smtp://ani:s3cret@%s", change: trusting,
			verbs: []string{"EHLO", "STARTTLS", "EHLO", "AUTH"},
		},
		"login by LOGIN, without encryption": {
			server: []option{offering("AUTH LOGIN"), withHook(authenticating)}, url: "smtp://ani:s3cret@%s?tls=none",
		},
		"wrong password": {
			server: []option{offering("AUTH PLAIN"), withHook(authenticating)}, url: "smtp://ani:wr0ng@%s?tls=none", verdict: channels.VerdictPermanent,
			want: "the SMTP server refused the user name or password (535 5.7.8 Authentication credentials invalid): check SMTP_URL",
		},
		"wrong password, by LOGIN": {
			server: []option{offering("AUTH LOGIN"), withHook(authenticating)}, url: "smtp://ani:wr0ng@%s?tls=none", verdict: channels.VerdictPermanent,
			want: "the SMTP server refused the user name or password (535 5.7.8 Authentication credentials invalid): check SMTP_URL",
		},
		"password can't be checked now": {
			server: []option{offering("AUTH PLAIN"), withHook(on("AUTH", 1, says("454 4.7.0 Temporary authentication failure")))},
			url:    "smtp://ani:s3cret@%s?tls=none", verdict: channels.VerdictUnavailable,
			want: "the SMTP server can't check the password now (454 4.7.0 Temporary authentication failure)",
		},
		"password never shown without encryption": {
			server: []option{offering("AUTH PLAIN LOGIN"), withHook(authenticating)}, url: "smtp://ani:s3cret@%s?tls=opportunistic", verdict: channels.VerdictPermanent,
			want:  "log in to %: the server offers no way to log in that is safe on this connection: use smtps:// or STARTTLS, or check whether this port takes a user name at all",
			verbs: []string{"EHLO", "QUIT"},
		},
		"no login offered": {
			url: "smtp://ani:s3cret@%s?tls=none", verdict: channels.VerdictPermanent,
			want: "log in to %: the server offers no way to log in that is safe on this connection: use smtps:// or STARTTLS, or check whether this port takes a user name at all",
		},
		"turned away": {
			server: []option{withHook(on("CONNECT", 1, says("554 5.7.1 You are on a list")))}, url: "smtp://%s", verdict: channels.VerdictUnavailable,
			want: "the SMTP server % turned us away (554 5.7.1 You are on a list)",
		},
		"hung up": {
			server: []option{withHook(on("CONNECT", 1, drops))}, url: "smtp://%s", verdict: channels.VerdictUnavailable,
			want: "can't reach the SMTP server %: EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, test.server...)
			var changes []func(*Config)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			c := s.channel(strings.Replace(test.url, "%s", s.ln.Addr().String(), 1), changes...)
			session, err := c.Open(t.Context())
			if want := strings.ReplaceAll(test.want, "%", c.Account()); errorText(err) != want || channels.VerdictOf(err) != test.verdict {
				t.Fatalf("Open: %v (%v)\nwant: %s (%v)", err, channels.VerdictOf(err), want, test.verdict)
			}
			if err == nil {
				deliverOne(t, session)
			} else {
				s.Stop()
				s.wg.Wait() // so that the log below is whole
			}
			if test.verbs != nil {
				if diff := cmp.Diff(test.verbs, s.verbs()[:min(len(test.verbs), len(s.verbs()))]); diff != "" {
					t.Errorf("commands (-want +got):\n%s", diff)
				}
			}
			if slices.Contains(s.verbs(), "AUTH") && strings.Contains(name, "never shown") {
				t.Error("AUTH was sent")
			}
		})
	}
}

func deliverOne(t *testing.T, session channels.Session) {
	t.Helper()
	in := make(chan *channels.Message, 1)
	in <- testMessage(1)
	close(in)
	err := session.Deliver(t.Context(), in, yes, func(m *channels.Message, r channels.Receipt, err error) {
		if got := result(m, r, err); got != ok1 {
			t.Errorf("outcome %q, want %q", got, ok1)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if err := session.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestOpenUnreachable(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Stop()
	c := s.channel(s.url(""))
	_, err := c.Open(t.Context())
	want := "can't reach the SMTP server " + c.Account() + ": dial tcp " + s.ln.Addr().String() + ": connect: connection refused"
	if errorText(err) != want || channels.VerdictOf(err) != channels.VerdictUnavailable {
		t.Errorf("Open: %v (%v), want %s", err, channels.VerdictOf(err), want)
	}
}

// A server that never answers is given up after the connect timeout, and at once when the context ends.
func TestOpenSilentServer(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 2)
	s := newServer(t, withHook(on("EHLO", 1, func(*peer, string) { asked <- struct{}{} })))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := s.channel(s.url(""), func(cfg *Config) { cfg.ConnectTimeout = time.Hour }).Open(ctx)
	if want := "connect to smtp://" + s.ln.Addr().String() + ": context canceled"; errorText(err) != want {
		t.Errorf("Open: %v, want %s", err, want)
	}
	s = newServer(t, withHook(func(*peer, string, string) bool { return true }))
	_, err = s.channel(s.url(""), func(cfg *Config) { cfg.ConnectTimeout = 50 * time.Millisecond }).Open(t.Context())
	if !isTimeout(err) || channels.VerdictOf(err) != channels.VerdictUnavailable {
		t.Errorf("Open: %v (%v), want an Unavailable that is a time-out", err, channels.VerdictOf(err))
	}
}

// A failed Open hangs up. Without the garbage collector, which would close a leaked connection, so not in parallel.
func TestOpenHangsUp(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	s := newServer(t)
	if _, err := s.channel(s.url("") + "?tls=required").Open(t.Context()); err == nil {
		t.Fatal("opened")
	}
	_ = s.ln.Close()
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]Config{
		"set up e-mail: the SMTP URL names no host: write smtp://host:587": {Port: 25},
		"set up e-mail: the sender: the address is empty":                  {Host: "mail.example", Port: 25},
	} {
		if _, err := New(cfg); errorText(err) != want {
			t.Errorf("New: %v, want %s", err, want)
		}
	}
}

// certificate makes a certificate for 127.0.0.1 and the pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}
