package email

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
