package delivery_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// forgetful connections to PostgreSQL lose the answers to some statements, after the server has committed them.
type forgetful struct {
	marker string // in the text of the statements

	mu   sync.Mutex
	left int // answers to be lost
}

// pool is a pool of such connections.
func (f *forgetful) pool(s *shop) *pgxpool.Pool {
	s.t.Helper()
	cfg, err := pg.Config(pgtest.URL(s.pool), pg.Options{MaxConns: 16})
	s.must(err)
	cfg.ConnConfig.TLSConfig, cfg.ConnConfig.Fallbacks = nil, nil
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &forgetfulConn{Conn: c, forgetful: f, begun: map[string]bool{}}, nil
	}
	pool, err := pgxpool.NewWithConfig(s.t.Context(), cfg)
	s.must(err)
	s.t.Cleanup(pool.Close)
	return pool
}

// lose says whether the next answer is lost.
func (f *forgetful) lose() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return false
	}
	f.left--
	return true
}

func (f *forgetful) rest() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left
}

// forgetfulConn reads what goes to the server (PostgreSQL's protocol 3.0, section 55.7).
type forgetfulConn struct {
	net.Conn
	*forgetful
	mu      sync.Mutex
	buffer  []byte // the beginning of a message to the server
	started bool
	begun   map[string]bool // prepared statements with the marker
	losing  bool
}

func (c *forgetfulConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.buffer = append(c.buffer, b...)
	for c.message() {
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// message takes one message from the buffer; it is false when none is complete.
func (c *forgetfulConn) message() bool {
	head := 1
	if !c.started {
		head = 0 // the first one has no type
	}
	if len(c.buffer) < head+4 {
		return false
	}
	size := head + int(binary.BigEndian.Uint32(c.buffer[head:]))
	if len(c.buffer) < size {
		return false
	}
	if c.started {
		c.look(c.buffer[0], c.buffer[5:size])
	}
	c.started, c.buffer = true, c.buffer[size:]
	return true
}

func (c *forgetfulConn) look(kind byte, body []byte) {
	first, rest, _ := bytes.Cut(body, []byte{0})
	second, _, _ := bytes.Cut(rest, []byte{0})
	switch kind {
	case 'P': // Parse: name, text
		c.begun[string(first)] = strings.Contains(string(second), c.marker)
	case 'B': // Bind: portal, name
		if c.begun[string(second)] && c.lose() {
			c.losing = true
		}
	}
}

func (c *forgetfulConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	losing := c.losing
	c.mu.Unlock()
	if err != nil || !losing {
		return n, err
	}
	answer := append([]byte{}, b[:n]...)
	for !committed(answer) {
		n, err := c.Conn.Read(b)
		if err != nil {
			return 0, err
		}
		answer = append(answer, b[:n]...)
	}
	_ = c.Close()
	return 0, io.EOF
}

// committed says that an answer ends with ReadyForQuery, outside of a transaction.
func committed(answer []byte) bool { return bytes.HasSuffix(answer, []byte{'Z', 0, 0, 0, 5, 'I'}) }

// The answer to a commit is lost, for each statement that changes what becomes of messages: it has worked, and the process
// does not know. Nothing is lost, sent twice or unknown, and the books add up.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	for name, marker := range map[string]string{
		"take a batch":              "handed_to = null",
		"claim":                     "for update of m skip locked",
		"record acceptances, open":  "set handed_to = coalesce",
		"record others":             "reopened as (",
		"give back":                 "left_over as (",
		"finish the run":            "state = 'done'",
		"register, and say we live": "workers",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const audience, refused, times = 640, 3, 2
			s := setup(t)
			s.birthday(audience)
			s.exec(`update shop.customers set email = 'budi' || id || '+bounce@mail.example' where id % 200 = 0`)
			run := s.start()
			f := &forgetful{marker: marker, left: times}
			c, err := openCompany(t.Context(), f.pool(s), monday)
			s.must(err)
			c.clock = s.clock
			e, err := c.engine(sending{SMTP: s.mail.SMTPAddr(), Connections: 4, Lease: quick})
			s.must(err)
			stop := s.runEngine(e)
			s.until("answers are lost", func() bool { return f.rest() == 0 })
			s.clock.set(s.clock.now().Add(10 * time.Second)) // when the batch has rested
			p := s.await(run, "done")
			stop()
			if p.Counts["sent"] != audience-refused || p.Counts["failed"] != refused {
				t.Errorf("afterwards: %v", p.Counts)
			}
			s.checkBooks()
			s.checkMail()
		})
	}
}
