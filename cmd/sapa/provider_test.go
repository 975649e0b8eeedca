package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// provider is an SMTP server with a password, which the sandbox does not have. It only counts what it is given.
type provider struct {
	mu       sync.Mutex
	password string
	taken    map[string]int // by recipient
	open     []*smtp.Conn
	addr     string
}

func startProvider(t *testing.T, password string) *provider {
	t.Helper()
	p := &provider{password: password, taken: map[string]int{}}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open = append(p.open, c)
		return &providerSession{p: p}, nil
	}))
	server.AllowInsecureAuth = true
	server.ErrorLog = discardLog{}
	l, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() { _, _ = server.Close(), <-ended })
	return p
}

type discardLog struct{}

func (discardLog) Printf(string, ...any) {}
func (discardLog) Println(...any)        {}

// changePassword also ends everybody's connection, as an administrator would.
func (p *provider) changePassword(password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.password = password
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open = nil
}

// count is how many messages were taken, and for how many recipients.
func (p *provider) count() (messages, recipients int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.taken {
		messages += n
	}
	return messages, len(p.taken)
}

type providerSession struct {
	p      *provider
	inside bool
	to     string
}

func (s *providerSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *providerSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.p.mu.Lock()
		defer s.p.mu.Unlock()
		if user != "toko" || password != s.p.password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Authentication credentials invalid"}
		}
		s.inside = true
		return nil
	}), nil
}

func (s *providerSession) Mail(string, *smtp.MailOptions) error {
	if !s.inside {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *providerSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *providerSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), "Apa kabar") {
		return errors.New("not our mail")
	}
	time.Sleep(10 * time.Millisecond) // as slow as a real one
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.taken[s.to]++
	return nil
}

func (s *providerSession) Reset()        {}
func (s *providerSession) Logout() error { return nil }
