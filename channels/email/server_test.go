package email

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
)

// server is a scripted SMTP server on a raw socket. By itself it is well-behaved; a hook may answer instead of it at
// any point of the dialogue.
type server struct {
	t        *testing.T
	ln       net.Listener
	offs     []string    // offered extensions
	tls      *tls.Config // for STARTTLS, or from the first byte
	implicit bool

	// hook is asked before each reply, with CONNECT, EHLO, MAIL, RCPT, DATA, CONTENT (at the message's end, whether it
	// followed DATA or BDAT) or another verb; true says that it has answered.
	hook func(p *peer, verb, line string) bool

	wg      sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]bool
	stopped bool
	answers map[string]channeltest.Answer
	taken   []string // contents of the accepted messages
	chunks  []string // all that came with BDAT, as it came
	log     []string // verbs received
	held    chan struct{}
	release chan struct{}
	freed   sync.Once
	limits  time.Duration
}

type option func(*server)

func offering(extensions ...string) option { return func(s *server) { s.offs = extensions } }

func withHook(hook func(p *peer, verb, line string) bool) option {
	return func(s *server) { s.hook = hook }
}

// newServer starts a server, which offers PIPELINING, 8BITMIME and ENHANCEDSTATUSCODES unless an option says else.
func newServer(t *testing.T, options ...option) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, ln: ln, offs: []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"}, conns: map[net.Conn]bool{},
		answers: map[string]channeltest.Answer{}, held: make(chan struct{}, 100), release: make(chan struct{}), limits: 10 * time.Second,
	}
	for _, o := range options {
		o(s)
	}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		s.Release()
		s.Stop()
		s.wg.Wait()
	})
	return s
}

func (s *server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		stopped := s.stopped
		s.conns[conn] = true
		s.mu.Unlock()
		if stopped {
			_ = conn.Close()
			return
		}
		s.wg.Go(func() { s.serve(&peer{server: s, conn: conn, r: bufio.NewReader(conn)}) })
	}
}

// peer is one connection of the server's.
type peer struct {
	server *server
	conn   net.Conn
	r      *bufio.Reader
	mail   bool   // in a transaction
	rcpt   string // its accepted recipient
	gone   bool
}

func (p *peer) say(lines ...string) {
	for _, l := range lines {
		_, _ = p.conn.Write([]byte(l + "\r\n"))
	}
}

func (p *peer) raw(text string) { _, _ = p.conn.Write([]byte(text)) }

func (p *peer) drop() {
	p.gone = true
	_ = p.conn.Close()
}

func (s *server) serve(p *peer) {
	defer p.drop()
	if s.implicit {
		p.secure()
	}
	if s.step(p, "CONNECT", ""); p.gone {
		return
	}
	for !p.gone {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		s.step(p, verb, line)
	}
}

// step logs the verb and answers it, by the hook or as a server should.
func (s *server) step(p *peer, verb, line string) {
	s.mu.Lock()
	if verb != "CONNECT" {
		s.log = append(s.log, verb)
	}
	s.mu.Unlock()
	if s.hook != nil && s.hook(p, verb, line) {
		return
	}
	p.answer(verb, line)
}

func (p *peer) answer(verb, line string) {
	switch verb {
	case "CONNECT":
		p.say("220 test.example ESMTP")
	case "EHLO":
		p.ehlo()
	case "STARTTLS":
		p.say("220 2.0.0 go ahead")
		p.secure()
	case "MAIL", "RSET":
		p.mail, p.rcpt = verb == "MAIL", ""
		p.say("250 2.1.0 ok")
	case "RCPT":
		p.recipient(line)
	case "DATA":
		p.data()
	case "BDAT":
		p.bdat(line)
	case "CONTENT":
		p.finish(line)
	case "REFUSED":
		p.say("503 5.5.1 no valid recipients")
	case "QUIT":
		p.say("221 2.0.0 bye")
		p.drop()
	default:
		p.say("500 5.5.2 what?")
	}
}

func (p *peer) secure() {
	secured := tls.Server(p.conn, p.server.tls)
	p.conn, p.r = secured, bufio.NewReader(secured)
}

func (p *peer) ehlo() {
	p.raw("250-test.example\r\n")
	for _, e := range p.server.offs {
		p.raw("250-" + e + "\r\n")
	}
	if _, secured := p.conn.(*tls.Conn); p.server.tls != nil && !secured {
		p.raw("250-STARTTLS\r\n")
	}
	p.say("250 HELP")
}

func (p *peer) recipient(line string) {
	to := line[strings.IndexByte(line, '<')+1 : strings.IndexByte(line, '>')]
	if !p.mail {
		p.say("503 5.5.1 need MAIL before RCPT")
		return
	}
	switch p.server.answerTo(to) {
	case channeltest.RefuseAddress:
		p.say("550 5.1.1 <" + to + ">: Recipient address rejected: User unknown in virtual mailbox table")
	case channeltest.RefuseForNow:
		p.say("451 4.7.1 Greylisting in action, please come back later")
	case channeltest.DropBefore:
		p.drop()
	default:
		p.rcpt = to
		p.say("250 2.1.5 ok")
	}
}

func (p *peer) data() {
	if p.rcpt == "" {
		p.say("554 5.5.1 no valid recipients")
		return
	}
	p.say("354 go on")
	p.content()
}

// bdat reads a chunk, whatever becomes of it (RFC 3030 section 2), and answers.
func (p *peer) bdat(line string) {
	var n int
	if _, err := fmt.Sscanf(line, "BDAT %d LAST", &n); err != nil {
		p.say("501 5.5.4 one chunk, please")
		return
	}
	octets := make([]byte, n)
	if _, err := io.ReadFull(p.r, octets); err != nil {
		p.drop()
		return
	}
	p.server.mu.Lock()
	p.server.chunks = append(p.server.chunks, string(octets))
	p.server.mu.Unlock()
	if p.rcpt == "" {
		p.server.step(p, "REFUSED", "")
		return
	}
	p.server.step(p, "CONTENT", string(octets))
	p.mail, p.rcpt = false, ""
}

// content reads a message to its final dot and answers.
func (p *peer) content() {
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.drop()
			return
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	p.server.step(p, "CONTENT", b.String())
	p.mail, p.rcpt = false, ""
}

// accept takes the message; answered apart, so that hooks can take it and then misbehave.
func (p *peer) take(content string) {
	s := p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, content)
}

func (p *peer) finish(content string) {
	s := p.server
	switch s.answerTo(p.rcpt) {
	case channeltest.Refuse:
		p.say("554 5.7.1 Message rejected as spam")
		return
	case channeltest.DropAfter:
		p.take(content)
		p.drop()
		return
	case channeltest.Hold:
		p.take(content)
		s.held <- struct{}{}
		<-s.release
	default:
		p.take(content)
	}
	p.say("250 2.0.0 Ok: queued as 4XyZ" + strconv.Itoa(len(s.Accepted())))
}

func (s *server) answerTo(to string) channeltest.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[to]
}

// verbs are the commands received so far.
func (s *server) verbs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Below: channeltest.Provider.

func (s *server) Channel() channels.Channel { return s.channel(s.url("")) }

// url is the server's SMTP URL with the user info, such as "user:password@".
func (s *server) url(userinfo string) string {
	return "smtp://" + userinfo + s.ln.Addr().String()
}

func (s *server) channel(smtpURL string, changes ...func(*Config)) *Channel {
	s.t.Helper()
	cfg, err := Parse(smtpURL, "Bengkel Maju <halo@bengkel.example>")
	if err != nil {
		s.t.Fatal(err)
	}
	cfg.ConnectTimeout, cfg.CommandTimeout, cfg.DataTimeout = s.limits, s.limits, s.limits
	for _, change := range changes {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *server) Recipient(i int) channels.Address {
	return channels.Address{Name: "Ibu Ani " + strconv.Itoa(i), Addr: "ani" + strconv.Itoa(i) + "@example.org"}
}

func (s *server) Unfit() map[string]func(*channels.Message) {
	return map[string]func(*channels.Message){
		"an address that is none":   func(m *channels.Message) { m.To.Addr = "no address" },
		"a line break in a header":  func(m *channels.Message) { m.Subject = "Halo\r\nBcc: everybody@example.org" },
		"a line break in the token": func(m *channels.Message) { m.Token = "t1\r\n.of-1" },
	}
}

func (s *server) Answer(to channels.Address, a channeltest.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[to.Addr] = a
}

var messageID = regexp.MustCompile(`(?m)^Message-ID: <(.*)@bengkel\.example>\r$`)

func (s *server) Accepted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tokens []string
	for _, content := range s.taken {
		if m := messageID.FindStringSubmatch(content); m != nil {
			tokens = append(tokens, m[1])
		} else {
			tokens = append(tokens, "a message without our Message-ID")
		}
	}
	return tokens
}

func (s *server) Held() <-chan struct{} { return s.held }

func (s *server) Release() { s.freed.Do(func() { close(s.release) }) }

func (s *server) Stop() {
	_ = s.ln.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for conn := range s.conns {
		_ = conn.Close()
	}
}

func (s *server) pipelines() bool { return slices.Contains(s.offs, "PIPELINING") }
