package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"sync"
	"testing"
	"time"
)

// start runs a sandbox for one test.
func start(t *testing.T, config Config) *Server {
	t.Helper()
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// mailText is a small mail whose Message-ID has the token.
func mailText(token, subject, body string) string {
	return fmt.Sprintf("From: Bengkel <halo@bengkel.example>\r\nTo: x@surel.example\r\nSubject: %s\r\n"+
		"Message-ID: <%s@sapa.example>\r\n\r\n%s", subject, token, body)
}

// send sends one mail over a connection of its own.
func send(s *Server, from, to, text string) error {
	return smtp.SendMail(s.SMTPAddr(), nil, from, []string{to}, []byte(text))
}

func mustSend(t *testing.T, s *Server, to, text string) {
	t.Helper()
	if err := send(s, "halo@bengkel.example", to, text); err != nil {
		t.Fatal(err)
	}
}

// dial opens a connection for a dialogue by hand.
func dial(t *testing.T, s *Server) *textproto.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.SMTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := textproto.NewConn(conn)
	t.Cleanup(func() { _ = c.Close() })
	expect(t, c, 220)
	return c
}

func expect(t *testing.T, c *textproto.Conn, code int) string {
	t.Helper()
	_, words, err := c.ReadResponse(code)
	if err != nil {
		t.Fatalf("want %d: %v", code, err)
	}
	return words
}

func replyCode(err error) int {
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return e.Code
	}
	return 0
}

func subjects(l Listing) []string {
	var found []string
	for _, m := range l.Messages {
		found = append(found, m.Subject)
	}
	return found
}

// faultyDisk is a real folder whose calls fail or wait on request.
type faultyDisk struct {
	folder

	mu        sync.Mutex
	write     error
	syncFault error
	truncate  error
	half      bool          // a failing write writes half of its octets
	gate      chan struct{} // when set, each Sync waits for one value
	syncing   chan struct{} // gets a value when a Sync begins to wait
	syncs     int
}

func (d *faultyDisk) set(change func(*faultyDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *faultyDisk) open(name string) (file, error) {
	f, err := d.folder.open(name)
	return &faultyFile{file: f, disk: d}, err
}

type faultyFile struct {
	file
	disk *faultyDisk
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	fault, half := f.disk.write, f.disk.half
	f.disk.mu.Unlock()
	if fault == nil {
		return f.file.WriteAt(b, at)
	}
	n := 0
	if half {
		n, _ = f.file.WriteAt(b[:len(b)/2], at)
	}
	return n, fault
}

func (f *faultyFile) Sync() error {
	f.disk.mu.Lock()
	f.disk.syncs++
	fault, gate, syncing := f.disk.syncFault, f.disk.gate, f.disk.syncing
	f.disk.mu.Unlock()
	if gate != nil {
		syncing <- struct{}{}
		<-gate
	}
	if fault != nil {
		return fault
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	fault := f.disk.truncate
	f.disk.mu.Unlock()
	if fault != nil {
		return fault
	}
	return f.file.Truncate(size)
}

// crlf makes every end of line CRLF.
func crlf(s string) string {
	return string(bytes.ReplaceAll([]byte(s), []byte("\n"), []byte("\r\n")))
}
