package email

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"github.com/sapa-crm/sapa/channels"
)

// pieces are what the fuzzed server says to a command; a script is a string of their indexes, as letters from 'a'.
var pieces = []string{
	"250 2.0.0 ok\r\n", "354 go on\r\n", "550 5.1.1 no\r\n", "451 4.3.0 later\r\n", "503 5.5.1 what?\r\n", // a b c d e
	"421 4.3.2 bye\r\n", "250-ok\r\n250 ok\r\n", "250 ok\r\n250 ok\r\n", "250-ok\r\n", "250 o", "k\r\n", // f g h i j k
	"250 ok\r\n250 ok\r\n354 go on\r\n", "354 go on\r\n250 ok\r\n", "hello\r\n", "", // l m n o
}

// FuzzDialogue has three messages delivered to a server that answers every command with the next piece of the script,
// whatever that is, and hangs up when there is none.
//
// It holds: done is called once for each message received; what was not handed over, the server has not seen; and an
// accepted message is one whose final dot the server answered with a 2xx.
func FuzzDialogue(f *testing.F) {
	for _, seed := range []string{"aabaaabaaaba", "oolaoolagacba", "abaahbabaaa", "accacbaaba", "acaacaaba", "aabbaaba", "aaijkaaba", "fffff", "aabn"} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, seed []byte, pipelining bool) {
		s := &scripted{answers: map[string]string{}}
		for _, c := range seed {
			s.pieces = append(s.pieces, pieces[(int(c)+len(pieces)-'a'%len(pieces))%len(pieces)])
		}
		session, in := s.start(t, pipelining), make(chan *channels.Message, 3)
		for i := range 3 {
			in <- testMessage(i + 1)
		}
		close(in)
		outcomes := map[int64]outcome{}
		_ = session.Deliver(t.Context(), in, yes, func(m *channels.Message, r channels.Receipt, err error) {
			if _, again := outcomes[m.ID]; again {
				t.Errorf("done was called again for message %d", m.ID)
			}
			outcomes[m.ID] = outcome{r, err}
		})
		_ = session.Close()
		<-s.ended
		if len(outcomes)+len(in) != 3 {
			t.Errorf("%d outcomes, %d not received", len(outcomes), len(in))
		}
		for id, o := range outcomes {
			s.check(t, fmt.Sprintf("token%d", id), o)
		}
	})
}

type outcome struct {
	receipt channels.Receipt
	err     error
}

// scripted is the server's side of FuzzDialogue.
type scripted struct {
	pieces  []string
	seen    bytes.Buffer      // what the client sent
	answers map[string]string // token → the piece that answered the message's dot
	ended   chan struct{}

	hangUpAt string // the beginning of a line at which to close; empty: none
}

func (s *scripted) start(t *testing.T, pipelining bool) channels.Session {
	t.Helper()
	ours, theirs := net.Pipe()
	s.ended = make(chan struct{})
	go s.run(theirs, pipelining)
	client, err := smtp.NewClient(ours, "pipe")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{
		Host: "pipe", Port: 25, From: channels.Address{Addr: "halo@bengkel.example"},
		CommandTimeout: 20 * time.Millisecond, DataTimeout: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Hello("client")
	return newSession(c, ours, client)
}

var ourCommand = regexp.MustCompile(`^(MAIL FROM:.*|RCPT TO:.*|DATA|RSET|QUIT|\.)\r\n$`)

func (s *scripted) run(conn net.Conn, pipelining bool) {
	defer close(s.ended)
	defer conn.Close()
	offers := "8BITMIME"
	if pipelining {
		offers = "PIPELINING"
	}
	_, _ = conn.Write([]byte("220 pipe\r\n"))
	r, token := bufio.NewReaderSize(conn, 16), "" // small, so that hanging up cuts a write short
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		s.seen.WriteString(line)
		switch {
		case s.hangUpAt != "" && strings.HasPrefix(line, s.hangUpAt):
			return
		case strings.HasPrefix(line, "EHLO"):
			_, _ = conn.Write([]byte("250-pipe\r\n250 " + offers + "\r\n"))
		case strings.HasPrefix(line, "Message-ID: <"):
			token, _, _ = strings.Cut(line[len("Message-ID: <"):], "@")
		case ourCommand.MatchString(line):
			if len(s.pieces) == 0 {
				return
			}
			piece := s.pieces[0]
			s.pieces = s.pieces[1:]
			if line == ".\r\n" && token != "" {
				s.answers[token], token = piece, ""
			}
			if piece != "" {
				_, _ = conn.Write([]byte(piece))
			}
		}
	}
}

func (s *scripted) check(t *testing.T, token string, o outcome) {
	t.Helper()
	verdict, handedOver := channels.VerdictOf(o.err), !o.receipt.HandedOver.IsZero()
	if !handedOver && bytes.Contains(s.seen.Bytes(), []byte("Message-ID: <"+token+"@")) {
		t.Errorf("%s: %v, not handed over, yet the server has it", token, verdict)
	}
	if handedOver && verdict == channels.VerdictUnavailable {
		t.Errorf("%s: unavailable, yet handed over", token)
	}
	if verdict == channels.VerdictAccepted && !strings.HasPrefix(s.answers[token], "2") {
		t.Errorf("%s: accepted, yet the server said %q to its dot", token, s.answers[token])
	}
}
