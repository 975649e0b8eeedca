package twilio

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
)

const (
	testAccount = "AC0123456789abcdef0123456789abcdef"
	testToken   = "hunter2"
)

// server speaks as much of Twilio's API as the channel asks for, on loopback. It reads requests from its connections by
// itself, so that what it does to them is real.
type server struct {
	t      *testing.T
	secure *tls.Config // nil: plain HTTP
	roots  *x509.CertPool
	make   func(Config) (*Channel, error) // New, NewWhatsApp or NewVoice
	reply  func(*http.Request) *reply     // what to say instead of what Answer asks for; nil: nothing special

	mu       sync.Mutex
	ln       net.Listener
	conns    map[net.Conn]bool
	answers  map[string]channeltest.Answer
	cutOff   bool // break the next attempt to connect
	taken    []url.Values
	requests []*http.Request
	dials    int

	held    chan struct{}
	release chan struct{}
	freed   sync.Once
	busy    sync.WaitGroup
}

// reply is an answer of HTTP; nil hangs up instead.
type reply struct {
	status int
	header map[string]string
	body   string
}

func newServer(t *testing.T, secure bool) *server {
	t.Helper()
	s := &server{
		t: t, make: New, conns: map[net.Conn]bool{}, answers: map[string]channeltest.Answer{},
		held: make(chan struct{}, 10), release: make(chan struct{}),
	}
	if secure {
		s.secure, s.roots = certificate(t)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	s.busy.Go(func() { s.accept(ln) })
	t.Cleanup(func() {
		s.Release()
		s.Stop()
		s.busy.Wait()
	})
	return s
}

func (s *server) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.dials++
		drop := s.cutOff && s.secure != nil
		s.cutOff = s.cutOff && !drop
		s.conns[conn] = true
		s.mu.Unlock()
		if drop {
			s.forget(conn)
			continue
		}
		s.busy.Go(func() { s.serve(conn) })
	}
}

func (s *server) forget(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *server) serve(raw net.Conn) {
	defer s.forget(raw)
	conn := raw
	if s.secure != nil {
		conn = tls.Server(raw, s.secure)
	}
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil || r.ParseForm() != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		answer := s.answer(r)
		if answer == nil {
			return
		}
		closing := ""
		if s.prepareCut(r, answer) {
			closing = "Connection: close\r\n"
		}
		text := fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n", answer.status, http.StatusText(answer.status), closing, len(answer.body))
		for _, name := range slices.Sorted(maps.Keys(answer.header)) {
			text += name + ": " + answer.header[name] + "\r\n"
		}
		if _, err := conn.Write([]byte(text + "\r\n" + answer.body)); err != nil || closing != "" {
			return
		}
	}
}

// prepareCut arranges that no connection can be made for the next message, where one is to be cut off before it is
// handed over: the only way in which HTTP breaks before a request that it can't foresee.
func (s *server) prepareCut(r *http.Request, answer *reply) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := false
	for to, a := range s.answers {
		if a == channeltest.DropBefore {
			wanted = true
			if answer.status == http.StatusCreated {
				delete(s.answers, to)
			}
		}
	}
	if !wanted || r.Method != http.MethodPost || answer.status != http.StatusCreated {
		return false
	}
	s.cutOff = true
	if s.secure == nil {
		_ = s.ln.Close()
	}
	return true
}

func (s *server) answer(r *http.Request) *reply {
	if s.reply != nil {
		return s.reply(r)
	}
	if user, password, _ := r.BasicAuth(); user != testAccount || password != testToken {
		return failure(401, 20003, "Authenticate")
	}
	if r.Method == http.MethodGet {
		return &reply{status: 200, body: `{"messages": [], "calls": [], "page": 0, "page_size": 1}`}
	}
	to := strings.TrimPrefix(r.PostForm.Get("To"), whatsAppPrefix)
	s.mu.Lock()
	answer := s.answers[to]
	s.mu.Unlock()
	switch answer {
	case channeltest.Refuse:
		return failure(400, 21617, "The concatenated message body exceeds the 1600 character limit")
	case channeltest.RefuseAddress:
		if strings.HasSuffix(r.URL.Path, "/Calls.json") {
			return failure(400, 21217, "Phone number does not appear to be valid")
		}
		return failure(400, 21610, "Attempt to send to unsubscribed recipient "+to)
	case channeltest.RefuseForNow:
		f := failure(429, 20429, "Too Many Requests")
		f.header = map[string]string{"Retry-After": "7"}
		return f
	case channeltest.DropAfter:
		s.take(r)
		return nil
	case channeltest.Hold:
		accepted := s.take(r)
		s.held <- struct{}{}
		<-s.release
		return accepted
	}
	return s.take(r)
}

func failure(status, code int, message string) *reply {
	return &reply{status: status, body: fmt.Sprintf(`{"code": %d, "message": %q, "more_info": "https://www.twilio.com/docs/errors/%d", "status": %d}`,
		code, message, code, status)}
}

// take accepts a message.
func (s *server) take(r *http.Request) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, r.PostForm)
	if strings.HasSuffix(r.URL.Path, "/Calls.json") {
		return &reply{status: 201, body: fmt.Sprintf(`{"sid": "CA%032d", "status": "queued", "price": null, "price_unit": "USD"}`, len(s.taken))}
	}
	return &reply{status: 201, body: fmt.Sprintf(`{"sid": "SM%032d", "status": "queued", "num_segments": "3", "price": null, "price_unit": "USD"}`, len(s.taken))}
}

// seen are the requests so far, such as "POST /2010-04-01/Accounts/ACx/Messages.json".
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, r := range s.requests {
		lines = append(lines, r.Method+" "+r.RequestURI)
	}
	return lines
}

// config is an account at the server.
func (s *server) config(changes ...func(*Config)) Config {
	s.t.Helper()
	scheme := "http"
	if s.secure != nil {
		scheme = "https"
	}
	cfg, err := Parse(scheme + "://" + testAccount + ":" + testToken + "@" + s.ln.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	cfg.From, cfg.RootCAs, cfg.ConnectTimeout, cfg.AnswerTimeout = "+628110000001", s.roots, 10*time.Second, 10*time.Second
	for _, change := range changes {
		change(&cfg)
	}
	return cfg
}

func (s *server) channel(changes ...func(*Config)) *Channel {
	s.t.Helper()
	c, err := s.make(s.config(changes...))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.inquiries.CloseIdleConnections)
	return c
}

// Below: channeltest.Provider.

func (s *server) Channel() channels.Channel { return s.channel() }

func (s *server) Recipient(i int) channels.Address {
	return channels.Address{Name: "Ibu Ani " + strconv.Itoa(i), Addr: fmt.Sprintf("+62812%07d", i)}
}

func (s *server) Unfit() map[string]func(*channels.Message) {
	return map[string]func(*channels.Message){
		"a number that is none":       func(m *channels.Message) { m.To.Addr = "0812 3456" },
		"no text":                     func(m *channels.Message) { m.Text = "" },
		"a text that is not UTF-8":    func(m *channels.Message) { m.Text = "Halo \xff" },
		"a number with a line break":  func(m *channels.Message) { m.To.Addr = "+628123456789\n" },
		"a number of another channel": func(m *channels.Message) { m.To.Addr = "whatsapp:+628123456789" },
	}
}

func (s *server) Answer(to channels.Address, a channeltest.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[to.Addr] = a
}

func (s *server) Accepted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tokens []string
	for _, form := range s.taken {
		tokens = append(tokens, path.Base(form.Get("StatusCallback")))
	}
	return tokens
}

func (s *server) Held() <-chan struct{} { return s.held }

func (s *server) Release() { s.freed.Do(func() { close(s.release) }) }

func (s *server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.ln.Close()
	for conn := range s.conns {
		_ = conn.Close()
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

// words joins lines for a comparison.
func words(lines []string) string { return strings.Join(lines, "\n") }
