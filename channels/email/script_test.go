package email

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// script is what a server does in one dialogue, and what becomes of the connection. Its zero value is a server without a
// fault. Some things are left out because no client could tell them apart from the truth: a reply that nobody asked for and
// that arrives between the final dot and its answer, or between a chunk with its envelope and the answer to that; an
// answer that lies; and the same in other words, a server that answers the commands behind a final dot and not the dot.
// One that is silent there says nothing any more, and what it says late it says before all that follows.
type script struct {
	pipelining bool
	chunking   bool
	sparse     bool  // no message is there before the one before it is done
	acts       []act // one for each command and each final dot that the server reads; after the last, all is well
	chunk      int   // the server's words come in pieces of so many octets; 0: as they were said
	big        bool  // the second message is of several blocks

	cut     int // the connection breaks when the server has read so many octets; 0: never
	cutHow  cutHow
	mute    int // nothing comes from the server behind so many octets; 0: never
	ctxEnds int // the context ends when the client has written so many octets; 0: never
	deny    int // the permit that is refused, from 1; 0: none
}

// cutHow is what the client notices of a connection that breaks while it writes.
type cutHow int

const (
	writeFails   cutHow = iota // the write fails halfway
	writeWorks                 // the kernel took it, and nobody reads it
	writeArrives               // the write fails although all of it arrived
	cutHows
)

// act is what the server does at one command.
type act struct {
	answer answer
	take   bool // where the answer makes no sense or does not come: the server has done what it was asked all the same
	form   form
	extra  int // index of extras: what it says unasked behind its answer
	end    end
}

type answer int

const (
	honest        answer = iota
	refuse               // for good
	refuseNow            // for now
	shutDown             // 421, and it hangs up
	misunderstand        // 500
	senseless            // a positive reply that can't belong here: 354 to MAIL, 250 to DATA
	garbage              // no reply at all by its form
	silent               // nothing
	late                 // the answer comes when the client has waited for it in vain
	open                 // DATA opened, or a chunk taken, whatever became of the recipient, otherwise honest
	answers
)

// form is how an answer is written.
type form int

const (
	plain form = iota
	bare       // the code alone
	manyLines
	longLine
	bareLF
	dirty   // control characters and no UTF-8
	endless // longer than any reply may be
	forms
)

var extras = []string{
	"", "250 2.0.0 as well\r\n", "550 5.1.1 no, ani1@example.org\r\n", "354 go on\r\n", "421 4.3.2 bye\r\n", "451 4.3.0 later\r\n", "250-half", "what?\r\n",
}

type end int

const (
	goesOn   end = iota
	hangsUp      // after the answer
	cutsOff      // in the middle of the answer
	cutsLine     // before the answer's line end
	vanishes     // before the answer
	resets       // after the answer, which is lost with the connection
	ends
)

// player plays the server's side of a script, in lock-step with the client: it is the client's net.Conn. Nothing of it
// waits: a read that would is a time-out. What it has decided is in accepted, which is the truth.
type player struct {
	script
	in       []byte       // read and not a whole line yet
	out      []byte       // said, not read by the client yet
	withheld []byte       // said too late
	closed   bool         // by the server, or cut
	hangs    bool         // the server does nothing any more
	lags     bool         // what the server says from now on is said too late
	deadline atomic.Int64 // the client's, in ns since 1970; set by its limiter, too
	over     bool         // hung up by the client
	endCtx   func()

	mail, rcpt, data bool
	token            string
	octets           []byte // of a chunk, so far
	missing          int    // of its octets
	confused         bool   // a command before a chunk got no answer of its own

	read, said, heard int            // octets: from the client, to it, and read by it
	content           [][2]int       // from where to where lines of content reached, in octets from the client
	dots              map[string]int // token → how often the server read its final dot
	accepted          map[string]int
	answered          map[string]int // token → where in what was said the whole answer to its dot ends
}

func newPlayer(s script) *player {
	return &player{
		script: s, endCtx: func() {},
		dots: map[string]int{}, accepted: map[string]int{}, answered: map[string]int{},
	}
}

func (p *player) Write(b []byte) (int, error) {
	switch {
	case p.over:
		return 0, net.ErrClosed
	case p.expired():
		return 0, os.ErrDeadlineExceeded
	case p.closed && p.cutHow == writeWorks:
		return len(b), nil
	case p.closed:
		return 0, syscall.EPIPE
	}
	before := p.read
	n := len(b)
	cuts := p.cut > 0 && before+n >= p.cut
	if cuts && p.cutHow != writeArrives {
		n = p.cut - before
	}
	p.serve(b[:n])
	if p.ctxEnds > 0 && before < p.ctxEnds && p.read >= p.ctxEnds {
		p.endCtx()
	}
	if !cuts {
		return len(b), nil
	}
	p.closed = true
	if p.cutHow == writeWorks {
		return len(b), nil
	}
	return n, syscall.ECONNRESET
}

func (p *player) Read(b []byte) (int, error) {
	heard := len(p.out)
	if p.chunk > 0 {
		heard = min(heard, p.chunk)
	}
	if p.mute > 0 {
		heard = min(heard, p.mute-p.heard)
	}
	switch {
	case p.over:
		return 0, net.ErrClosed
	case p.expired():
		return 0, os.ErrDeadlineExceeded
	case heard > 0:
		n := copy(b, p.out[:heard])
		p.out, p.heard = p.out[n:], p.heard+n
		return n, nil
	case p.closed:
		return 0, io.EOF
	}
	p.out, p.withheld, p.lags = append(p.out, p.withheld...), nil, false
	return 0, os.ErrDeadlineExceeded
}

// ahead is aheadOf for a player.
func (p *player) ahead() error {
	switch {
	case len(p.out) > 0 && (p.mute == 0 || p.heard < p.mute):
		return nil
	case p.closed:
		return io.EOF
	}
	return errQuiet
}

func (p *player) Close() error                     { p.over = true; return nil }
func (p *player) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (p *player) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (p *player) SetDeadline(at time.Time) error   { p.deadline.Store(at.UnixNano()); return nil }
func (p *player) SetReadDeadline(time.Time) error  { return nil }
func (p *player) SetWriteDeadline(time.Time) error { return nil }

func (p *player) expired() bool {
	at := p.deadline.Load()
	return at != 0 && time.Now().UnixNano() > at
}

// within says whether an octet from the client stood within the content of a message, and not at the end of a line.
func (p *player) within(n int) bool {
	return slices.ContainsFunc(p.content, func(line [2]int) bool { return line[0] < n && n < line[1]-1 })
}

// serve reads what the client wrote, line by line.
func (p *player) serve(b []byte) {
	p.read += len(b)
	p.in = append(p.in, b...)
	for !p.closed && !p.hangs {
		if p.missing > 0 {
			n := min(p.missing, len(p.in))
			p.octets, p.in, p.missing = append(p.octets, p.in[:n]...), p.in[n:], p.missing-n
			if p.missing > 0 {
				return
			}
			p.bdat()
			continue
		}
		i := bytes.IndexByte(p.in, '\n')
		if i < 0 {
			return
		}
		line := string(p.in[:i+1])
		p.in = p.in[i+1:]
		p.line(line)
	}
}

var ourToken = regexp.MustCompile(`^Message-ID: <([^@]*)@`)

func (p *player) line(line string) {
	switch {
	case p.data && line == ".\r\n":
		p.dot()
	case p.data:
		end := p.read - len(p.in)
		p.content = append(p.content, [2]int{end - len(line), end})
		if m := ourToken.FindStringSubmatch(line); m != nil {
			p.token = m[1]
		}
	case strings.HasPrefix(line, "EHLO"):
		offers := "8BITMIME"
		if p.pipelining {
			offers = "PIPELINING"
		}
		if p.chunking {
			offers += "\r\n250-CHUNKING"
		}
		p.say("250-player\r\n250-" + offers + "\r\n250 HELP\r\n")
	case strings.HasPrefix(line, "BDAT"):
		_, _ = fmt.Sscanf(line, "BDAT %d LAST\r\n", &p.missing)
	case strings.HasPrefix(line, "MAIL"):
		p.command(&p.mail, !p.mail, false)
	case strings.HasPrefix(line, "RCPT"):
		p.command(&p.rcpt, p.mail, false)
	case strings.HasPrefix(line, "DATA"):
		p.command(&p.data, p.rcpt, true)
	case strings.HasPrefix(line, "RSET"):
		p.mail, p.rcpt = false, false
		worked := false
		p.command(&worked, true, false)
		p.confused = p.confused || !worked
	case strings.HasPrefix(line, "QUIT"):
		p.say("221 2.0.0 bye\r\n")
	default:
		p.say("500 5.5.2 what?\r\n")
	}
}

func (p *player) next() act {
	if len(p.acts) == 0 {
		return act{}
	}
	a := p.acts[0]
	p.acts = p.acts[1:]
	return a
}

// command answers a command that sets the state where it succeeds, which it can do only when fit.
func (p *player) command(state *bool, fit, isData bool) {
	a := p.next()
	if p.chunking {
		a.extra = 0
		p.confused = p.confused || !a.own()
	}
	good, senselessCode := "250", "354"
	if isData {
		good, senselessCode = "354", "250"
	}
	if a.answer == open && isData {
		a.answer, fit = honest, true
	}
	works := fit && (a.take || a.answer == honest || a.answer == open)
	code := good
	switch a.answer {
	case honest, open:
		if !fit {
			code = "503"
		}
	case late, garbage, silent:
		if !works {
			code = "451"
		}
	case senseless:
		code = senselessCode
	default:
		code, works = a.answer.refusal(), false
	}
	*state = *state || works
	p.reply(a, code)
}

// own says whether the act's answer is one, and the next one can be another command's.
func (a act) own() bool {
	return a.answer != senseless && a.answer != garbage && a.answer != silent && a.answer != late && a.form != endless && a.end == goesOn
}

// bdat decides on the message whose last octet has come.
func (p *player) bdat() {
	at := p.read - len(p.in) - len(p.octets)
	for line := range bytes.SplitAfterSeq(p.octets, []byte("\n")) {
		p.content = append(p.content, [2]int{at, at + len(line)})
		at += len(line)
		if m := ourToken.FindSubmatch(line); m != nil {
			p.token = string(m[1])
		}
	}
	p.octets = nil
	p.decide(true)
}

// dot decides on the message that has come whole.
func (p *player) dot() { p.decide(false) }

func (p *player) decide(chunk bool) {
	a, token := p.next(), p.token
	against := chunk && a.answer == open && !p.rcpt && p.cut+p.mute == 0 && a.own() && !p.lags // its own refusal, and it says so
	before, confused := p.said, chunk && p.confused || against
	had := !chunk || p.rcpt && !confused && a.answer != misunderstand // else it is for the server to say whether it has it
	if p.confused = false; had {
		p.dots[token]++
	}
	works := p.rcpt && (a.take || a.answer == honest || a.answer == open) || against
	p.mail, p.rcpt, p.data, p.token = false, false, false, ""
	code := "250"
	switch a.answer {
	case honest, open, late, garbage, silent:
		if !works {
			code = "554"
		}
	case senseless:
		code = "354"
	default:
		code, works = a.answer.refusal(), false
	}
	if works {
		p.accepted[token]++
	}
	if a.answer == silent || a.answer == late || confused {
		a.extra = 0 // it would be a lying answer
	}
	p.hangs, p.lags = a.answer == silent, p.lags || a.answer == late
	p.reply(a, code)
	if confused || chunk && a.extra != 0 {
		return
	}
	whole := a.form != endless && (a.end == goesOn || a.end == hangsUp)
	if sensible := a.answer != senseless && a.answer != garbage && a.answer != silent && a.answer != late; sensible && whole && p.said > before {
		p.answered[token] = p.said - len(extras[a.extra])
	}
}
