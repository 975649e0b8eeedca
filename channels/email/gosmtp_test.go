package email

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/sapa-crm/sapa/channels"
)

// backend is a go-smtp server that keeps what it is given: an SMTP server that we have not written.
type backend struct {
	mu       sync.Mutex
	received []string // recipient and Message-ID
	bodies   []string // the BODY parameter of MAIL
}

func (b *backend) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &backendSession{backend: b}, nil
}

type backendSession struct {
	backend *backend
	to      string
}

func (s *backendSession) Mail(_ string, options *smtp.MailOptions) error {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.backend.bodies = append(s.backend.bodies, string(options.Body))
	return nil
}

func (s *backendSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "gone") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "User unknown"}
	}
	s.to = to
	return nil
}

func (s *backendSession) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	id := messageID.FindStringSubmatch(string(content))
	s.backend.received = append(s.backend.received, s.to+" "+strings.Join(id[1:], ""))
	return nil
}

func (s *backendSession) Reset()        { s.to = "" }
func (s *backendSession) Logout() error { return nil }

func startBackend(t *testing.T, b *backend, change func(*smtp.Server)) *Channel {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(b)
	server.Domain = "sink.example"
	change(server)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	cfg, err := Parse("smtp://"+ln.Addr().String(), "halo@bengkel.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Four connections bring 200 messages to a real server, each once, whatever becomes of every seventh.
func TestGoSMTP(t *testing.T) {
	t.Parallel()
	var b backend
	c := startBackend(t, &b, func(*smtp.Server) {})
	in := make(chan *channels.Message, 200)
	var want []string
	for i := range 200 {
		m := testMessage(i)
		if i%7 == 0 {
			m.To.Addr = "gone" + m.To.Addr
		} else {
			want = append(want, fmt.Sprintf("%s token%d", m.To.Addr, i))
		}
		in <- m
	}
	close(in)
	var mu sync.Mutex
	counts := map[channels.Verdict]int{}
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			session, err := c.Open(t.Context())
			if err != nil {
				return err
			}
			defer session.Close()
			return session.Deliver(t.Context(), in, yes, func(_ *channels.Message, _ channels.Receipt, err error) {
				mu.Lock()
				defer mu.Unlock()
				counts[channels.VerdictOf(err)]++
			})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	sort.Strings(want)
	sort.Strings(b.received)
	if diff := cmp.Diff(want, b.received); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if i := slices.IndexFunc(b.bodies, func(body string) bool { return body != "" }); i >= 0 {
		t.Errorf("MAIL announces %s for ASCII", b.bodies[i])
	}
	if diff := cmp.Diff(map[channels.Verdict]int{channels.VerdictAccepted: 171, channels.VerdictSuppress: 29}, counts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestGoSMTPInternational(t *testing.T) {
	t.Parallel()
	for offered, want := range map[bool][]string{true: {"añdy@xn--bcher-kva.example token1"}, false: nil} {
		var b backend
		c := startBackend(t, &b, func(s *smtp.Server) { s.EnableSMTPUTF8 = offered })
		session, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := testMessage(1)
		m.To = channels.Address{Name: "Añdy", Addr: "añdy@bücher.example"}
		in := make(chan *channels.Message, 1)
		in <- m
		close(in)
		var verdict channels.Verdict
		if err := session.Deliver(t.Context(), in, yes, func(_ *channels.Message, _ channels.Receipt, err error) {
			verdict = channels.VerdictOf(err)
		}); err != nil {
			t.Fatal(err)
		}
		_ = session.Close()
		if diff := cmp.Diff(want, b.received); diff != "" || offered != (verdict == channels.VerdictAccepted) {
			t.Errorf("SMTPUTF8 offered %t: %v\n%s", offered, verdict, diff)
		}
	}
}

// A message larger than the server takes is refused before it is sent.
func TestGoSMTPSize(t *testing.T) {
	t.Parallel()
	var b backend
	c := startBackend(t, &b, func(s *smtp.Server) { s.MaxMessageBytes = 600 })
	session, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	big, small := testMessage(1), testMessage(2)
	big.Text = strings.Repeat("panjang sekali\n", 100)
	in := make(chan *channels.Message, 2)
	in <- big
	in <- small
	close(in)
	var got []string
	if err := session.Deliver(t.Context(), in, yes, func(m *channels.Message, _ channels.Receipt, err error) {
		got = append(got, fmt.Sprintf("%d %v", m.ID, err))
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"1 the message has 1837 octets and the server takes 600", "2 <nil>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}
