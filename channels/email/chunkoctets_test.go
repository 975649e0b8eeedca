package email

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// What has been said unasked before a message goes out ends the session, and nothing of the message goes out.
func TestUnaskedBeforeAChunk(t *testing.T) {
	t.Parallel()
	done, spoke := make(chan struct{}), make(chan struct{})
	s := newServer(t, offersChunks, withHook(on("CONTENT", 1, func(p *peer, line string) {
		p.answer("CONTENT", line)
		<-done
		p.say("250 2.0.0 once more")
		close(spoke)
	})))
	c := s.channel(s.url(""))
	session, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	in := make(chan *channels.Message, 2)
	in <- testMessage(1)
	in <- testMessage(2)
	close(in)
	var results []string
	err = session.Deliver(t.Context(), in, yes, func(m *channels.Message, r channels.Receipt, err error) {
		results = append(results, result(m, r, err))
		if m.ID == 1 {
			close(done)
			<-spoke
		}
	})
	if diff := cmp.Diff([]string{ok1, "2 unavailable, kept 0"}, results); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if want := "the SMTP server said something that it was not asked"; errorText(err) != want || manner(c.most.Load()) != oneTrip {
		t.Errorf("Deliver: %v, want %s; the server is trusted with %d", err, want, c.most.Load())
	}
	if want := []string{"EHLO", "MAIL", "RCPT", "BDAT", "CONTENT"}; !slices.Equal(want, s.verbs()) {
		t.Errorf("commands %q, want %q", s.verbs(), want)
	}
}

// Content goes octet by octet as it is, with no dot more, and is as long as BDAT says; what is larger than a block goes the
// older way in the same session, where its dots are doubled.
func TestChunkOctets(t *testing.T) {
	t.Parallel()
	s := newServer(t, offersChunks)
	session, err := s.channel(s.url("")).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const text = "Halo,\r\n.titik\n..dua\n.\rSélamat — ✓\n.\n"
	const body = "Halo,\r\n.titik\r\n..dua\r\n.\r\nSélamat — ✓\r\n.\r\n"
	small, whole, large := testMessage(1), testMessage(2), testMessage(3)
	small.Text, whole.Text = text, text
	fill := func(octets int) string {
		return strings.Repeat(strings.Repeat("x", 62)+"\n", octets/64) + strings.Repeat("y", octets%64)
	}
	composed, err := compose(session, whole)
	if err != nil {
		t.Fatal(err)
	}
	whole.Text = text + fill(block-len(composed.content)-2)
	large.Text = text + fill(block-len(composed.content)-1)
	in := make(chan *channels.Message, 4)
	for _, m := range []*channels.Message{small, whole, large, testMessage(4)} {
		in <- m
	}
	close(in)
	if err := session.Deliver(t.Context(), in, yes, func(m *channels.Message, _ channels.Receipt, err error) {
		if err != nil {
			t.Errorf("message %d: %v", m.ID, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	_ = session.Close()
	chunk, dot := []string{"MAIL", "RCPT", "BDAT", "CONTENT"}, []string{"MAIL", "RCPT", "DATA", "CONTENT"}
	if diff := cmp.Diff(slices.Concat([]string{"EHLO"}, chunk, chunk, dot, chunk, []string{"QUIT"}), s.verbs()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if len(s.chunks) != 3 || len(s.chunks[1]) != block {
		t.Fatalf("%d chunks", len(s.chunks))
	}
	for i, want := range []string{body, body + "xx", body + "xx"} {
		if _, got, _ := strings.Cut(s.taken[i], "\r\n\r\n"); !strings.HasPrefix(got, want) || i == 0 && got != want {
			t.Errorf("content %d begins with %.80q, want %q", i+1, got, want)
		}
	}
	if n := len(s.taken[2]); n != block+1 {
		t.Errorf("the large one has %d octets, want %d", n, block+1)
	}
}

// The longest envelope fits in the room that is left for it.
func TestEnvelopeRoom(t *testing.T) {
	t.Parallel()
	domain := strings.Repeat(strings.Repeat("d", 61)+".", 3) + "xyz"
	local := strings.Repeat("é", 32)
	c := newComposer()
	c.utf8 = true
	m := testMessage(1)
	m.From.Addr, m.To.Addr = local+"@"+domain, local+"@"+domain
	composed, err := c.compose(nil, m)
	if err != nil || len(m.To.Addr) != 254 {
		t.Fatal(len(m.To.Addr), err)
	}
	composed.eightBit = true
	tx := transaction{chunk: true, content: make([]byte, block)}
	tx.address(composed)
	if n := len(tx.envelope) + len(resetLine); n > envelopeRoom {
		t.Errorf("%d octets, and there is room for %d", n, envelopeRoom)
	}
}

// playChunk delivers one message to a player, with the context's end where the script has it.
func playChunk(t *testing.T, s script) string {
	t.Helper()
	s.pipelining, s.chunking = true, true
	p := newPlayer(s)
	session, err := p.session()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.endCtx = func() {
		cancel()
		for !session.wire.limit.hasEnded() {
			time.Sleep(time.Microsecond)
		}
	}
	in := make(chan *channels.Message, 1)
	in <- testMessage(1)
	close(in)
	var outcome string
	_ = session.Deliver(ctx, in, yes, func(m *channels.Message, r channels.Receipt, err error) { outcome = result(m, r, err) })
	return fmt.Sprint(outcome, ", ", p.accepted["token1"], " taken")
}

// A message that has been handed over is asked for, whether the context ends or the write fails.
func TestChunkIsAskedFor(t *testing.T) {
	t.Parallel()
	whole := newPlayer(script{pipelining: true, chunking: true})
	session, err := whole.session()
	if err != nil {
		t.Fatal(err)
	}
	greeted := whole.read
	tx := session.prepare(testMessage(1))
	envelope, all := greeted+len(tx.envelope), greeted+len(tx.envelope)+len(tx.content)
	const said = " <ani1@example.org>: said the server"
	for name, test := range map[string]struct {
		script script
		want   string
	}{
		"the context ends":             {script{ctxEnds: all}, "1 accepted, handed over 250 2.0.0" + said + ", 1 taken"},
		"the write fails behind all":   {script{cut: all, cutHow: writeArrives}, "1 accepted, handed over 250 2.0.0" + said + ", 1 taken"},
		"it fails halfway":             {script{cut: all - 1}, "1 unknown, handed over 0, 0 taken"},
		"it fails behind a refusal":    {script{cut: envelope + 1, acts: []act{{}, {answer: refuse}}}, "1 suppress, kept 550 5.1.1" + said + ", 0 taken"},
		"the envelope does not arrive": {script{cut: greeted + 1}, "1 unknown, handed over 0, 0 taken"},
	} {
		if got := playChunk(t, test.script); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// Permission that is withheld costs no session: nothing of the message has gone out.
func TestChunkWithoutPermission(t *testing.T) {
	t.Parallel()
	s := newServer(t, offersChunks)
	session, err := s.channel(s.url("")).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan *channels.Message, 3)
	for i := range 3 {
		in <- testMessage(i + 1)
	}
	close(in)
	withheld := errors.New("not now")
	permit := func(m *channels.Message) error {
		if m.ID == 2 {
			return withheld
		}
		return nil
	}
	var results []string
	if err := session.Deliver(t.Context(), in, permit, func(m *channels.Message, r channels.Receipt, err error) {
		results = append(results, result(m, r, err))
		if m.ID == 2 && !errors.Is(err, withheld) {
			t.Errorf("outcome %v", err)
		}
	}); err != nil {
		t.Error(err)
	}
	_ = session.Close()
	if diff := cmp.Diff([]string{ok1, "2 unavailable, kept 0", "3 accepted, handed over 250 2.0.0 Ok: queued as 4XyZ2"}, results); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if n := len(s.chunks); n != 2 {
		t.Errorf("%d messages went out", n)
	}
}

func compose(s channels.Session, m *channels.Message) (composed, error) {
	return s.(*session).compose.compose(nil, m)
}

// A RSET goes behind refused content by itself, before a message whose predecessor's envelope was refused in the same write, and
// before no other.
func TestChunkCommands(t *testing.T) {
	t.Parallel()
	whole := []string{"MAIL", "RCPT", "BDAT", "CONTENT"}
	for verb, refused := range map[string][]string{"RCPT": {"MAIL", "RCPT", "BDAT", "REFUSED", "RSET"}, "CONTENT": {"MAIL", "RCPT", "BDAT", "CONTENT", "RSET"}} {
		s := newServer(t, offersChunks, withHook(on(verb, 2, says("550 5.7.1 no"))))
		if results, err := conversation(t, s.channel(s.url("")), 4); err != nil {
			t.Fatal(results, err)
		}
		if diff := cmp.Diff(slices.Concat([]string{"EHLO"}, whole, refused, whole, whole, []string{"QUIT"}), s.verbs()); diff != "" {
			t.Errorf("commands (-want +got):\n%s", diff)
		}
	}
}
