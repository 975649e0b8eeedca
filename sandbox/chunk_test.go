package sandbox

import (
	"bufio"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// chunk is a mail in one write: MAIL, RCPT, BDAT (RFC 3030) and the content.
func chunk(to, text string) string {
	return fmt.Sprintf("MAIL FROM:<a@bengkel.example>\r\nRCPT TO:<%s>\r\nBDAT %d LAST\r\n%s", to, len(text), text)
}

// What a recipient has happen to a mail after DATA happens to one that comes in a chunk, and the connection goes on behind it.
func TestChunks(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	taken := Verdict{Accepted: true, Code: 250, Enhanced: "2.0.0", Words: "OK: queued", Stage: AtDot}
	lost := taken
	lost.Rule, lost.Withheld = "silent", true
	for to, test := range map[string]struct {
		codes []int
		want  []Verdict
	}{
		"budi@surel.example":        {[]int{250, 250, 250, 250, 250}, []Verdict{taken}},
		"budi+bounce@surel.example": {[]int{250, 550, 502, 250, 250}, []Verdict{{Code: 550, Enhanced: "5.1.1", Words: "No such mailbox here", Stage: AtRecipient, Rule: "bounce"}}},
		"budi+later@surel.example":  {[]int{250, 451, 502, 250, 250}, []Verdict{{Code: 451, Enhanced: "4.7.1", Words: "Greylisted, try again later", Stage: AtRecipient, Rule: "later"}}},
		"budi+spam@surel.example":   {[]int{250, 250, 554, 250, 250}, []Verdict{{Code: 554, Enhanced: "5.7.1", Words: "Message refused as spam", Stage: AtDot, Rule: "spam"}}},
		"budi+silent@surel.example": {[]int{250, 250}, []Verdict{lost}},
		"budi+drop@surel.example":   {[]int{250, 250}, nil},
	} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			token, _, _ := strings.Cut(to, "@")
			text := mailText(token, "Halo", ".titik\r\n.\r\nDATA\r\nSelamat, José — "+strings.Repeat("x", 9000))
			if diff := cmp.Diff(test.codes, converse(t, s, chunk(to, text)+"RSET\r\nNOOP\r\n", 5)); diff != "" {
				t.Errorf("replies (-want +got):\n%s", diff)
			}
			l := s.Messages(Filter{Which: All, Recipient: to}, Page{})
			var got []Verdict
			for _, m := range l.Messages {
				got = append(got, m.Verdict)
				if _, raw, err := s.Message(m.ID); m.Verdict.Accepted && (err != nil || string(raw) != text) {
					t.Errorf("it was kept as %q, %v", raw, err)
				}
				if (m.Token == token) != (m.Verdict.Stage == AtDot) {
					t.Errorf("token %q", m.Token)
				}
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// A mail whose connection ends before its last octet is none, whether some of it came or nothing.
func TestAChunkCutShortIsNoMail(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	whole := chunk("budi@surel.example", mailText("t", "Halo", strings.Repeat("isi\r\n", 2000)))
	for _, n := range []int{strings.Index(whole, "From:"), strings.Index(whole, "isi"), 6000, len(whole) - 1} {
		if codes := converse(t, s, whole[:n], 5); len(codes) < 2 || len(codes) > 2 && codes[2] < 400 {
			t.Errorf("cut at %d: replies %v", n, codes)
		}
	}
	if n := s.Messages(Filter{Which: All}, Page{}).Total; n != 0 {
		t.Errorf("%d verdicts, want none", n)
	}
	if codes := converse(t, s, whole, 3); len(codes) != 3 || codes[2] != 250 {
		t.Errorf("the whole: replies %v", codes)
	}
}

// converse says EHLO and the text, ends its side of the connection, and returns the codes of up to n replies.
func converse(t *testing.T, s *Server, text string, n int) (codes []int) {
	t.Helper()
	c, err := net.Dial("tcp", s.SMTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte("EHLO x\r\n" + text)); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	replies := textproto.NewReader(bufio.NewReader(c))
	for i := range n + 2 {
		code, _, err := replies.ReadResponse(0)
		if err != nil && code == 0 {
			break
		}
		if i > 1 {
			codes = append(codes, code)
		}
	}
	return codes
}

// The sandbox may be closed while chunks are on their way: those connections end, and nothing of them is kept.
func TestCloseAmongChunks(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	whole := chunk("budi@surel.example", mailText("t", "Halo", strings.Repeat("isi\r\n", 2000)))
	var replies []*textproto.Reader
	for range 8 {
		c, err := net.Dial("tcp", s.SMTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write([]byte("EHLO x\r\n" + whole[:6000])); err != nil {
			t.Fatal(err)
		}
		r := textproto.NewReader(bufio.NewReader(c))
		for _, want := range []int{220, 250, 250, 250} { // greeting, EHLO, MAIL and RCPT
			if _, _, err := r.ReadResponse(want); err != nil {
				t.Fatal(err)
			}
		}
		replies = append(replies, r)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, r := range replies {
		if code, words, err := r.ReadResponse(250); err == nil || code/100 == 2 {
			t.Errorf("half a chunk is answered with %d %s", code, words)
		}
	}
	if n := s.Messages(Filter{Which: All}, Page{}).Total; n != 0 {
		t.Errorf("%d verdicts, want none", n)
	}
}
