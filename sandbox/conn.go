package sandbox

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// replyListener gives out connections that send replies together, and can cut them all.
type replyListener struct {
	net.Listener

	mu   sync.Mutex
	open map[*replyConn]bool // nil once they were cut
}

func newReplyListener(l net.Listener) *replyListener {
	return &replyListener{Listener: l, open: map[*replyConn]bool{}}
}

// Accept implements net.Listener.
func (l *replyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &replyConn{Conn: c, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		_ = c.Close()
	} else {
		l.open[conn] = true
	}
	return conn, nil
}

// cut ends all connections, those that are still to be accepted among them.
func (l *replyListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Conn.Close()
	}
	l.open = nil
}

func (l *replyListener) forget(c *replyConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// replyConn holds replies back until the client has nothing more to say for now, and sends them in one packet: that is
// what RFC 2920 section 3.2 asks of servers, and saves most of the system calls of a pipelined dialogue.
type replyConn struct {
	net.Conn

	listener *replyListener
	underWay atomic.Bool // a mail with a recipient has begun

	mu      sync.Mutex
	replies []byte
}

// maxReplies bounds what is held back, in octets.
const maxReplies = 4096

// Read implements net.Conn. It is called when everything that arrived so far has been answered. That the client has hung
// up is io.ErrUnexpectedEOF while a mail is under way: go-smtp would take the octets of a BDAT that came until then for the mail.
func (c *replyConn) Read(b []byte) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) && c.underWay.Load() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Write implements net.Conn.
func (c *replyConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.replies = append(c.replies, b...)
	full := len(c.replies) > maxReplies
	c.mu.Unlock()
	if full {
		return len(b), c.flush()
	}
	return len(b), nil
}

// Close implements net.Conn.
func (c *replyConn) Close() error {
	c.listener.forget(c)
	_ = c.flush()
	return c.Conn.Close()
}

// SetWriteDeadline implements net.Conn: each flush sets its own.
func (c *replyConn) SetWriteDeadline(time.Time) error { return nil }

func (c *replyConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.replies) == 0 {
		return nil
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	_, err := c.Conn.Write(c.replies)
	c.replies = c.replies[:0]
	return err
}
