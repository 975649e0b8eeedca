package email

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/sapa-crm/sapa/channels"
)

// Tests in this file drive Debian's Postfix and Exim: scripts/mail-servers.sh brings them, make test-mailers runs this.
// A server takes mail for example.org: to ani… it takes it, gone… it does not know, later… it wants to be asked again.
// What it accepted, its own log says.

// mailServer is a real SMTP server on loopback.
type mailServer struct {
	t    *testing.T
	root string // where the packages were taken apart
	dir  string // its configuration, queue and log
	addr string
	stop func()            // kills its processes and waits until none is left; may be called again
	log  string            // the file with its log
	want map[string]string // kind of message → the verdict that it asks for
	// refusedData is its reply to a DATA in a group whose recipient it has refused.
	refusedData  int
	refusedChunk int // to a BDAT
}

// mailServerSize is the largest message that the servers take.
const mailServerSize = 20_000

// newMailServer prepares a folder that the server's own account can reach, or skips the test.
func newMailServer(t *testing.T, program string) *mailServer {
	t.Helper()
	root := os.Getenv("SAPA_MAIL_SERVERS")
	if root == "" {
		t.Skip("SAPA_MAIL_SERVERS is not set; make test-mailers sets it")
	}
	if os.Geteuid() != 0 {
		t.Skip("mail servers start as root only")
	}
	if _, err := os.Stat(filepath.Join(root, program)); err != nil {
		t.Fatalf("%s has no %s", root, program)
	}
	dir, err := os.MkdirTemp("", "sapa-mail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(dir, "*log"))
			for _, name := range logs {
				text, _ := os.ReadFile(name)
				t.Logf("%s ends with\n%s", filepath.Base(name), text[max(0, len(text)-3000):])
			}
		}
		_ = os.RemoveAll(dir)
	})
	s := &mailServer{t: t, root: root, dir: dir, addr: freeAddr(t)}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"+
		"postfix:x:64121:64121::/nonexistent:/usr/sbin/nologin\nDebian-exim:x:64122:64122::/nonexistent:/usr/sbin/nologin\n")
	s.write("group", "root:x:0:\nnogroup:x:65534:\nmail:x:8:\npostfix:x:64121:\npostdrop:x:64123:\nDebian-exim:x:64122:\n")
	return s
}

func (s *mailServer) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// folder makes a folder below the server's own, for an account.
func (s *mailServer) folder(name string, uid, gid int, mode os.FileMode) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	for _, err := range []error{os.MkdirAll(path, 0o755), os.Chown(path, uid, gid), os.Chmod(path, mode)} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// names are what the servers find their libraries and accounts by.
func (s *mailServer) names() []string {
	libraries, _ := filepath.Glob(filepath.Join(s.root, "usr/lib/*-linux-gnu*"))
	return []string{
		"LD_LIBRARY_PATH=" + strings.Join(append(libraries, filepath.Join(s.root, "usr/lib/postfix")), ":"),
		"LD_PRELOAD=libnss_wrapper.so",
		"NSS_WRAPPER_PASSWD=" + filepath.Join(s.dir, "passwd"), "NSS_WRAPPER_GROUP=" + filepath.Join(s.dir, "group"),
	}
}

func (s *mailServer) greets() bool {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, _ := bufio.NewReader(conn).ReadString('\n')
	_, _ = io.WriteString(conn, "QUIT\r\n")
	return strings.HasPrefix(line, "220 ")
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// channel does at most what the manner says.
func (s *mailServer) channel(most manner) *Channel {
	s.t.Helper()
	cfg, err := Parse("smtp://"+s.addr+"?tls=none", "Bengkel Maju <halo@bengkel.example>")
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	c.most.Store(int32(most))
	return c
}

// verdictsOf are the outcomes of many messages by token.
type verdictsOf struct {
	mu sync.Mutex
	of map[string]outcome
}

// kindOf says what is in the way of the i-th message of a mailing.
func kindOf(i int) string {
	switch {
	case i%10 == 3:
		return "gone"
	case i%10 == 6:
		return "later"
	case i%25 == 7:
		return "big"
	}
	return "ani"
}

// mailing are n messages, whose tokens begin with the prefix.
func mailing(prefix string, n int) []*channels.Message {
	list := make([]*channels.Message, n)
	for i := range list {
		m := testMessage(i + 1)
		m.Token, m.To.Addr = prefix+strconv.Itoa(i+1), fmt.Sprintf("%s%d@example.org", kindOf(i), i)
		if kindOf(i) == "big" {
			m.Text = strings.Repeat(strings.Repeat("x", 79)+"\n", mailServerSize/40)
		}
		list[i] = m
	}
	return list
}

// sendAll hands the messages over on several connections at the same time; sessions that break are opened again until
// nothing is left, or the server is gone. opened may change a session before it is used.
func sendAll(t *testing.T, c *Channel, list []*channels.Message, conns int, opened func(*session)) *verdictsOf {
	t.Helper()
	v := &verdictsOf{of: map[string]outcome{}}
	in := make(chan *channels.Message, len(list))
	for _, m := range list {
		in <- m
	}
	close(in)
	var group errgroup.Group
	for range conns {
		group.Go(func() error {
			for len(in) > 0 {
				open, err := c.Open(t.Context())
				if err != nil {
					return err
				}
				opened(open.(*session))
				_ = open.Deliver(t.Context(), in, yes, v.note)
				_ = open.Close()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Log(err)
	}
	return v
}

func (v *verdictsOf) note(m *channels.Message, r channels.Receipt, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.of[m.Token] = outcome{r, err}
}

// tokens are those with the verdict, each with the server's id.
func (v *verdictsOf) tokens(verdict channels.Verdict) map[string]string {
	found := map[string]string{}
	for token, o := range v.of {
		if channels.VerdictOf(o.err) == verdict {
			found[token] = o.receipt.ProviderID
		}
	}
	return found
}

// Several hundred messages over several connections: what we call sent is what the server's log says it accepted, under
// the same queue ids, and everything else has the verdict that its recipient asks for.
func driveMailServer(t *testing.T, s *mailServer) {
	t.Helper()
	for prefix, most := range map[string]manner{"chunked-": chunked, "onetrip-": oneTrip, "grouped-": grouped, "stepwise-": stepwise} {
		list, c := mailing(prefix, 400), s.channel(most)
		v := sendAll(t, c, list, 6, func(open *session) {
			if !open.offers.pipelining || !open.offers.chunking {
				t.Error("the server does not offer PIPELINING and CHUNKING")
			}
			open.offers.size = 0 // else the session would refuse what is too big, and not ask
		})
		ours := v.tokens(channels.VerdictAccepted)
		if diff := cmp.Diff(s.wait(prefix, len(ours)), ours); diff != "" {
			t.Errorf("accepted by the server's log (-) and by our verdicts (+):\n%s", diff)
		}
		for i, m := range list {
			if got, want := verdictWords(v.of[m.Token]), s.want[kindOf(i)]; got != want {
				t.Errorf("%s to %s: %s, want %s: %v", m.Token, m.To.Addr, got, want, v.of[m.Token].err)
			}
		}
		if manner(c.most.Load()) != most || c.shown.Load() != (most == oneTrip) || c.takes.Load() != (most == chunked) {
			t.Errorf("%s: the server is trusted with %d of %d; it has answered an envelope behind a dot: %t, taken a chunk: %t",
				prefix, c.most.Load(), most, c.shown.Load(), c.takes.Load())
		}
	}
}

// A server whose processes are killed while mail comes in: what it accepted is sent or unknown, and what we call sent it
// accepted.
func killMailServer(t *testing.T, s *mailServer, most manner) {
	t.Helper()
	list := mailing("killed-", 2000)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		s.wait("killed-", 300)
		s.stop()
	}()
	v := sendAll(t, s.channel(most), list, 6, func(*session) {})
	<-killed
	theirs, ours, unknown := s.wait("killed-", 0), v.tokens(channels.VerdictAccepted), v.tokens(channels.VerdictUnknown)
	t.Logf("accepted by the log %d, sent %d, unknown %d, of %d", len(theirs), len(ours), len(unknown), len(v.of))
	for token := range ours {
		if _, ok := theirs[token]; !ok {
			t.Errorf("%s is sent, we say; the server's log does not have it", token)
		}
	}
	for token := range theirs {
		_, sent := ours[token]
		if _, open := unknown[token]; !sent && !open {
			t.Errorf("%s was accepted; we say %v", token, v.of[token].err)
		}
	}
	if len(ours) < 300 || len(v.of) == len(list) {
		t.Errorf("%d messages sent, %d of %d with an outcome: the server was not killed in between", len(ours), len(v.of), len(list))
	}
}

// wait reads the accepted tokens of one mailing from the server's log until there are n, since a log may be written a
// moment later.
func (s *mailServer) wait(prefix string, n int) map[string]string {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found := s.accepted(prefix)
		if len(found) >= n || time.Now().After(deadline) {
			return found
		}
	}
}

// accepted reads the log: token → queue id.
func (s *mailServer) accepted(prefix string) map[string]string {
	found := map[string]string{}
	f, err := os.Open(s.log)
	if err != nil {
		return found
	}
	defer f.Close()
	err = ReadLog(f, func(id string) bool { return strings.HasPrefix(id, prefix) }, func(e LogEntry) error {
		if token, _, _ := strings.Cut(e.MessageID, "@"); e.Accepted {
			found[token] = e.QueueID
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
	return found
}

func verdictWords(o outcome) string {
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", channels.VerdictOf(o.err), o.receipt.Code, o.receipt.Enhanced))
}

// group is what a client sends at once, and how many replies it waits for then.
type group struct {
	text    string
	replies int
}

// converse speaks raw SMTP and returns the codes of the replies, fewer where the server hung up.
func (s *mailServer) converse(groups ...group) (codes []int) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	for _, g := range append([]group{{"", 1}, {"EHLO client.example\r\n", 1}}, groups...) {
		_, _ = io.WriteString(conn, g.text)
		for range g.replies {
			reply, err := readReply(r)
			if err != nil {
				return codes
			}
			codes = append(codes, reply.code)
		}
	}
	return codes
}

// inOneWrite has a message follow its envelope in the same write (RFC 3030 section 4.2), behind a refused recipient, too.
func inOneWrite(t *testing.T, s *mailServer) {
	t.Helper()
	content := "Subject: probe\r\n\r\n.\r\nDATA\r\n"
	chunk := func(to string) string {
		return fmt.Sprintf("MAIL FROM:<halo@bengkel.example>\r\nRCPT TO:<%s@example.org>\r\nBDAT %d LAST\r\n%s", to, len(content), content)
	}
	codes := s.converse(group{chunk("ani1"), 3}, group{chunk("gone2"), 3}, group{"RSET\r\n" + chunk("ani3"), 4}, group{"QUIT\r\n", 1})
	want := []int{220, 250, 250, 250, 250, 250, 550, s.refusedChunk, 250, 250, 250, 250, 221}
	if !slices.Equal(codes, want) {
		t.Errorf("replies %v, want %v", codes, want)
	}
}

// nextBehindDot has the next message's MAIL, RCPT and DATA follow the final dot in the same write (RFC 2920 section 3.1): one
// round trip for each message.
func nextBehindDot(t *testing.T, s *mailServer) {
	t.Helper()
	envelope := func(to string) string {
		return "MAIL FROM:<halo@bengkel.example>\r\nRCPT TO:<" + to + "@example.org>\r\nDATA\r\n"
	}
	content := "Subject: probe\r\n\r\nprobe\r\n.\r\n"
	codes := s.converse(group{envelope("ani1"), 3}, group{content + envelope("ani2"), 4}, group{content + envelope("gone3"), 4},
		group{"RSET\r\n" + envelope("ani4"), 4}, group{content + "QUIT\r\n", 2})
	gone := s.refusedData
	want := []int{220, 250, 250, 250, 354, 250, 250, 250, 354, 250, 250, 550, gone, 250, 250, 250, 354, 250, 221}
	if !slices.Equal(codes, want) {
		t.Errorf("replies %v, want %v", codes, want)
	}
}
