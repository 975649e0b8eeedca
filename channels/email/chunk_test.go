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

var offersChunks = offering("PIPELINING", "CHUNKING", "8BITMIME")

// both makes a hook of two.
func both(a, b hook) hook {
	return func(p *peer, verb, line string) bool { return a(p, verb, line) || b(p, verb, line) }
}

// TestChunk puts one fault into a conversation of three messages that come in chunks.
func TestChunk(t *testing.T) {
	t.Parallel()
	const (
		queued3 = "3 accepted, handed over 250 2.0.0 Ok: queued as 4XyZ2" // the third message, the second at the server
		unknown = "2 unknown, handed over 0"
		broke   = "the connection to the SMTP server broke: EOF"
	)
	takes := func(p *peer, line string) { p.take(line); p.say("250 2.0.0 Ok: queued as 4XyZ2") }
	for name, test := range map[string]struct {
		hook  hook
		want  []string // beside the first
		error string
		taken int
	}{
		"nothing wrong":             {on("", 0, nil), []string{ok2, ok3}, "", 3},
		"too big at MAIL":           {on("MAIL", 2, says("552 5.3.4 too big")), []string{"2 permanent, kept 552 5.3.4 too big", queued3}, "", 2},
		"recipient unknown":         {on("RCPT", 2, says("550 5.1.1 User unknown")), []string{"2 suppress, kept 550 5.1.1 User unknown", queued3}, "", 2},
		"recipient refused for now": {on("RCPT", 2, says("451 4.7.1 later")), []string{"2 retry, kept 451 4.7.1 later", queued3}, "", 2},
		"refused":                   {on("CONTENT", 2, says("554 5.7.1 spam")), []string{"2 permanent, handed over 554 5.7.1 spam", queued3}, "", 2},
		"refused for now":           {on("CONTENT", 2, says("452 4.3.1 disk full")), []string{"2 retry, handed over 452 4.3.1 disk full", queued3}, "", 2},
		"sender refused": {
			on("MAIL", 2, says("550 5.7.1 not yours")),
			[]string{"2 unavailable, kept 550 5.7.1 not yours"},
			"the SMTP server refuses the sender: 550 5.7.1 not yours: check `from`, and whether this account may send as it", 1,
		},
		"421 at MAIL": {
			on("MAIL", 2, func(p *peer, _ string) { p.say("421 4.3.2 bye"); p.drop() }),
			[]string{"2 unavailable, kept 421 4.3.2 bye"},
			"the SMTP server is closing the connection: 421 4.3.2 bye", 1,
		},
		"421 at RCPT": {
			on("RCPT", 2, func(p *peer, _ string) { p.say("421 4.3.2 bye"); p.drop() }),
			[]string{"2 unavailable, kept 421 4.3.2 bye"},
			"the SMTP server is closing the connection: 421 4.3.2", 1,
		},
		"421 to the content": {
			on("CONTENT", 2, func(p *peer, _ string) { p.say("421 4.3.2 bye"); p.drop() }),
			[]string{"2 retry, handed over 421 4.3.2 bye"},
			"the SMTP server is closing the connection: 421 4.3.2", 1,
		},
		"421 to RSET": {
			both(on("RCPT", 1, says("450 4.2.0 later")), on("RSET", 1, func(p *peer, _ string) { p.say("421 4.3.2 bye"); p.drop() })),
			[]string{"2 unavailable, kept 421 4.3.2 bye"},
			"the SMTP server is closing the connection: 421 4.3.2", 0,
		},
		"RSET refused": {
			both(on("RCPT", 1, says("450 4.2.0 later")), on("RSET", 1, says("502 5.5.1 what?"))),
			[]string{unknown},
			"the SMTP server's reply to RSET makes no sense: 502 5.5.1", 1,
		},
		"dropped at MAIL":    {on("MAIL", 2, drops), []string{unknown}, broke, 1},
		"dropped at BDAT":    {on("BDAT", 2, drops), []string{unknown}, broke, 1},
		"dropped at the end": {on("CONTENT", 2, drops), []string{unknown}, broke, 1},
		"dropped in the middle of the reply": {
			on("CONTENT", 2, func(p *peer, line string) { p.take(line); p.raw("250-2.0.0 Ok\r\n250 2.0.0 que"); p.drop() }),
			[]string{unknown},
			"the connection to the SMTP server broke: unexpected EOF", 2,
		},
		"dropped behind a refused recipient": {
			on("RCPT", 2, func(p *peer, _ string) { p.say("550 5.1.1 User unknown"); p.drop() }), []string{"2 suppress, kept 550 5.1.1 User unknown"}, broke, 1,
		},
		"reply in pieces": {
			on("CONTENT", 2, func(p *peer, line string) {
				p.take(line)
				for _, piece := range []string{"2", "50", "-2.0.0 Ok:", " queued\r", "\n250 2.0.0 as 4XyZ2\r\n"} {
					p.raw(piece)
				}
			}), []string{ok2, ok3}, "", 3,
		},
		"nonsense instead of a reply": {
			on("RCPT", 2, says("HTTP/1.1 400 Bad Request")), []string{unknown}, "the connection to the SMTP server broke: the server's reply is not SMTP", 1,
		},
		"354 to RCPT": {on("RCPT", 2, says("354 go on")), []string{unknown}, "the SMTP server's reply to RCPT makes no sense: 354", 1},
		"500 to RCPT": {on("RCPT", 2, says("500 what?")), []string{"2 unavailable, kept 0"}, "the SMTP server's reply to RCPT makes no sense: 500", 1},
		"354 to the content": {
			on("CONTENT", 2, says("354 go on")), []string{unknown}, "the SMTP server's reply to the message makes no sense: 354", 1,
		},
		"taken for a refused recipient": {
			both(on("RCPT", 2, says("550 5.1.1 User unknown")), on("REFUSED", 1, takes)),
			[]string{unknown},
			"the SMTP server's reply to the message makes no sense: 250 2.0.0", 2,
		},
		"taken from a refused sender": {
			both(on("MAIL", 2, says("550 5.7.1 not yours")), on("REFUSED", 1, takes)),
			[]string{unknown},
			"the SMTP server's reply to the message makes no sense: 250 2.0.0", 2,
		},
		"out of step behind refused content": {
			both(on("CONTENT", 2, says("552 5.3.4 too big")), on("RSET", 1, func(p *peer, _ string) { p.say("554 5.5.0 synchronization error"); p.drop() })),
			[]string{"2 permanent, handed over 552 5.3.4 too big"},
			"the SMTP server's reply to RSET makes no sense: 554 5.5.0", 1,
		},
		"BDAT not known": {
			on("CONTENT", 2, says("500 5.5.2 what?")),
			[]string{"2 unavailable, kept 500 5.5.2 what?"},
			"the SMTP server offers CHUNKING and refuses BDAT: 500 5.5.2", 1,
		},
		"BDAT not here": {
			on("CONTENT", 2, says("503 5.5.1 not here")),
			[]string{"2 unavailable, kept 503 5.5.1 not here"},
			"the SMTP server offers CHUNKING and refuses BDAT: 503 5.5.1", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, offersChunks, withHook(test.hook))
			results, err := conversation(t, s.channel(s.url("")), 3)
			first := ok1
			if strings.Contains(name, "RSET") {
				first = "1 retry, kept 450 4.2.0 later"
			}
			if diff := cmp.Diff(append([]string{first}, test.want...), results); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if text := errorText(err); text != test.error {
				t.Errorf("the session ended with %q, want %q", text, test.error)
			}
			if n := len(s.Accepted()); n != test.taken {
				t.Errorf("the server took %d messages, want %d", n, test.taken)
			}
		})
	}
}

// All replies come in one flight, and none before the last octet: envelope and content must have gone out before any of them.
// What is more than three replies makes a verdict doubtful that would be another one without the first of them.
func TestFlights(t *testing.T) {
	t.Parallel()
	const (
		asked   = "the SMTP server said something that it was not asked"
		nothing = " makes no sense: "
	)
	for replies, test := range map[string]struct {
		want  string
		error string
		most  manner
	}{
		"250 ok|250 ok|250 2.0.0 queued as X":          {"1 accepted, handed over 250 2.0.0 queued as X", "", chunked},
		"250 ok|250 ok|250 yes|250 as well":            {"1 accepted, handed over 250  yes", asked, oneTrip},
		"250 ok|250 ok|250 yes|421 bye":                {"1 accepted, handed over 250  yes", "the SMTP server is closing the connection: 421", chunked},
		"250 ok|250 ok|250 yes|554 no":                 {"1 unknown, handed over 250  yes", asked, oneTrip},
		"250 ok|250 ok|250 yes|what?":                  {"1 unknown, handed over 250  yes", asked, oneTrip},
		"250 ok|250 ok|554 no|250 yes":                 {"1 unknown, handed over 554  no", asked, oneTrip},
		"250 ok|250 ok|554 no|554 no":                  {"1 permanent, handed over 554  no", asked, chunked},
		"250 ok|550 5.1.1 no|503 no|250 yes":           {"1 unknown, handed over 550 5.1.1 no", asked, oneTrip},
		"250 ok|550 5.1.1 no|503 no|503 no":            {"1 suppress, kept 550 5.1.1 no", asked, oneTrip},
		"250 ok|421 bye|250 ok":                        {"1 unknown, handed over 421  bye", "the SMTP server is closing the connection: 421", oneTrip},
		"421 bye":                                      {"1 unavailable, kept 421  bye", "the SMTP server is closing the connection: 421 bye", chunked},
		"552 5.3.4 too big|250 ok|554 no":              {"1 unavailable, kept 0", "the SMTP server's reply to RCPT" + nothing + "250", oneTrip},
		"552 5.3.4 too big|250 ok|250 ok":              {"1 unknown, handed over 0", "the SMTP server's reply to RCPT" + nothing + "250", oneTrip},
		"550 5.7.1 not yours|what?|250 ok":             {"1 unknown, handed over 0", "the connection to the SMTP server broke: the server's reply is not SMTP", oneTrip},
		"552 5.3.4 too big|503 no|250 ok":              {"1 unknown, handed over 0", "the SMTP server's reply to the message" + nothing + "250", oneTrip},
		"250 ok|550 5.1.1 no|354 go on":                {"1 unknown, handed over 0", "the SMTP server's reply to the message" + nothing + "354", oneTrip},
		"500 what?|500 what?|500 what?|500 what?":      {"1 unavailable, kept 0", "the SMTP server's reply to MAIL" + nothing + "500", oneTrip},
		"250 ok|250 ok|500 what?|500 what?|500 what?":  {"1 unavailable, kept 500  what?", "the SMTP server offers CHUNKING and refuses BDAT: 500", oneTrip},
		"250 ok|250 ok|501 5.5.4 what?":                {"1 unavailable, kept 501 5.5.4 what?", "the SMTP server offers CHUNKING and refuses BDAT: 501 5.5.4", oneTrip},
		"250 ok|250 ok|502 5.5.1 what?":                {"1 unavailable, kept 502 5.5.1 what?", "the SMTP server offers CHUNKING and refuses BDAT: 502 5.5.1", oneTrip},
		"250 ok|250 ok|504 5.5.4 what?":                {"1 unavailable, kept 504 5.5.4 what?", "the SMTP server offers CHUNKING and refuses BDAT: 504 5.5.4", oneTrip},
		"250 ok|250 ok|505 5.5.4 something else":       {"1 permanent, handed over 505 5.5.4 something else", "", chunked},
		"250-two|250 lines|250-and|250 two|250 queued": {"1 accepted, handed over 250  queued", "", chunked},
	} {
		t.Run(replies, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, offersChunks, withHook(func(p *peer, verb, _ string) bool {
				if p.rcpt = "somebody"; verb == "CONTENT" {
					p.raw(strings.ReplaceAll(replies, "|", "\r\n") + "\r\n")
				}
				return verb == "MAIL" || verb == "RCPT" || verb == "CONTENT"
			}))
			forever := func(cfg *Config) { cfg.CommandTimeout, cfg.DataTimeout = time.Hour, time.Hour }
			c := s.channel(s.url(""), forever)
			results, err := conversation(t, c, 1)
			if diff := cmp.Diff([]string{test.want}, results); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if errorText(err) != test.error {
				t.Errorf("Deliver: %v, want %s", err, test.error)
			}
			if got := manner(c.most.Load()); got != test.most {
				t.Errorf("the server is trusted with %d, want %d", got, test.most)
			}
		})
	}
}

// A server that can't do chunks is asked for less from then on; one that can, and whose connection broke, is not. Where it
// hangs up between messages, one is on its way each time, so that this is a reason, too.
func TestChunksAreGivenUp(t *testing.T) {
	t.Parallel()
	waits := func(p *peer, _ string) { <-p.server.t.Context().Done() }
	knowsNoBDAT := func(p *peer, verb, _ string) bool {
		if verb == "BDAT" {
			p.say("500 5.5.2 what?")
		}
		return verb == "BDAT"
	}
	for name, test := range map[string]struct {
		hook hook
		want manner
	}{
		"never answered one":                 {on("CONTENT", 1, drops), oneTrip},
		"never answers one":                  {on("CONTENT", 1, waits), oneTrip},
		"hangs up between messages":          {on("MAIL", 2, drops), oneTrip},
		"hangs up behind a refused envelope": {on("RCPT", 2, func(p *peer, _ string) { p.say("550 5.1.1 no"); p.drop() }), oneTrip},
		"knows no BDAT":                      {knowsNoBDAT, oneTrip},
		"breaks":                             {on("CONTENT", 2, drops), chunked},
		"is silent":                          {on("CONTENT", 2, waits), chunked},
		"is silent from the beginning":       {on("MAIL", 2, waits), chunked},
		"closes":                             {on("CONTENT", 2, func(p *peer, _ string) { p.say("421 4.3.2 bye"); p.drop() }), chunked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, offersChunks, withHook(test.hook))
			c := s.channel(s.url(""), func(cfg *Config) { cfg.DataTimeout = 200 * time.Millisecond })
			if results, err := conversation(t, c, 3); err == nil {
				t.Fatalf("the session did not end: %q", results)
			}
			if got := manner(c.most.Load()); got != test.want {
				t.Errorf("the server is trusted with %d, want %d", got, test.want)
			}
			taken := len(s.Accepted())
			if results, err := conversation(t, c, 3); err != nil || len(s.Accepted()) != taken+3 {
				t.Errorf("the second session: %q, %v", results, err)
			}
		})
	}
}

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
