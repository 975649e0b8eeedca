package email

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/wneessen/go-mail/smtp"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/channels"
)

// dialogueLength is how many messages a scripted dialogue has.
const dialogueLength = 3

// outcome is what a session said about one message.
type outcome struct {
	receipt channels.Receipt
	err     error
}

// mistake is a fault that is planted to see that the tests notice it; its zero value is none.
type mistake struct {
	plant func(*session)         // before the dialogue
	judge func(outcome) *outcome // what the session says instead; nil: as it is
}

// play has three messages delivered to a scripted server and returns what is wrong with what became of them.
func play(s script, m mistake) (*player, []string) {
	p := newPlayer(s)
	session, err := p.session()
	if err != nil {
		return p, nil // the connection was cut before a session began
	}
	session.hold = 0
	if m.plant != nil {
		m.plant(session)
	}
	v := verdicts{player: p, outcomes: map[int64]outcome{}}
	v.deliver(session, m)
	return p, v.problems()
}

// session greets the player.
func (p *player) session() (*session, error) {
	p.say("220 player\r\n")
	client, err := smtp.NewClient(p, "player")
	if err == nil {
		err = client.Hello("client")
	}
	if err != nil {
		return nil, err
	}
	c, err := New(Config{Host: "player", Port: 25, From: channels.Address{Addr: "halo@bengkel.example"}})
	if err != nil {
		return nil, err
	}
	s := newSession(c, p, client)
	s.wire.ahead = p.ahead
	return s, nil
}

// verdicts are what a session said, beside what the server did.
type verdicts struct {
	player   *player
	outcomes map[int64]outcome
	order    []int64
	left     int // messages that the session did not receive
	wrong    []string
}

func (v *verdicts) deliver(s *session, m mistake) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	v.player.endCtx = func() {
		cancel()
		for !s.wire.limit.hasEnded() { // it learns of it in a goroutine of its own
			runtime.Gosched()
		}
	}
	in, fed := make(chan *channels.Message, dialogueLength), 0
	feed := func() {
		if fed++; fed <= dialogueLength {
			in <- v.message(fed)
		}
		if fed == dialogueLength {
			close(in)
		}
	}
	feed()
	for !v.player.sparse && fed < dialogueLength {
		feed()
	}
	permits := 0
	permit := func(*channels.Message) error {
		if permits++; permits == v.player.deny {
			return errors.New("not now")
		}
		return nil
	}
	err := s.Deliver(ctx, in, permit, func(msg *channels.Message, r channels.Receipt, err error) {
		v.note(msg.ID, outcome{r, err}, m)
		if v.player.sparse && fed < dialogueLength {
			feed()
		}
	})
	v.player.endCtx = func() {}
	if v.left = len(in) + dialogueLength - fed; err == nil && v.left > 0 && ctx.Err() == nil {
		v.complain("Deliver returned without an error and left %d messages", v.left)
	}
	_ = s.Close()
}

func (v *verdicts) message(i int) *channels.Message {
	m := testMessage(i)
	if v.player.big && i == 2 {
		m.Text = strings.Repeat(strings.Repeat("x", 70)+"\n", 2*block/71)
	}
	return m
}

func (v *verdicts) note(id int64, o outcome, m mistake) {
	if _, again := v.outcomes[id]; again {
		v.complain("message %d: done was called again", id)
	}
	if m.judge != nil {
		if said := m.judge(o); said != nil {
			o = *said
		}
	}
	v.outcomes[id] = o
	v.order = append(v.order, id)
}

func (v *verdicts) complain(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// problems compares what the session said with what the server did.
func (v *verdicts) problems() []string {
	if len(v.outcomes)+v.left != dialogueLength {
		v.complain("%d outcomes, %d messages not received", len(v.outcomes), v.left)
	}
	for i, id := range v.order {
		if id != int64(i+1) {
			v.complain("outcomes in the order %v", v.order)
		}
	}
	for i := range dialogueLength {
		token := fmt.Sprintf("token%d", i+1)
		o, received := v.outcomes[int64(i+1)]
		if !received {
			if v.player.dots[token] > 0 {
				v.complain("%s: never received, yet the server has it", token)
			}
			continue
		}
		v.judge(token, o)
	}
	return v.wrong
}

func (v *verdicts) judge(token string, o outcome) {
	p, verdict, handedOver := v.player, channels.VerdictOf(o.err), !o.receipt.HandedOver.IsZero()
	end, answered := p.answered[token]
	switch {
	case p.accepted[token] > 1:
		v.complain("%s: the server accepted it %d times", token, p.accepted[token])
	case verdict == channels.VerdictAccepted && p.accepted[token] == 0:
		v.complain("%s: accepted, the session says; the server did not accept it", token)
	case verdict != channels.VerdictAccepted && verdict != channels.VerdictUnknown && p.accepted[token] > 0:
		v.complain("%s: %v, the session says; the server accepted it", token, verdict)
	case !handedOver && p.dots[token] > 0:
		v.complain("%s: not handed over, the session says; the server has its final dot", token)
	case !handedOver && (verdict == channels.VerdictAccepted || verdict == channels.VerdictUnknown):
		v.complain("%s: %v without having been handed over", token, verdict)
	case handedOver && verdict == channels.VerdictUnavailable:
		v.complain("%s: unavailable, yet handed over", token)
	case verdict == channels.VerdictUnknown && answered && p.heard >= end:
		v.complain("%s: unknown, yet the server's answer was there: %v", token, o.err)
	case o.err != nil && strings.Contains(o.err.Error(), "example.org"):
		v.complain("%s: the error names a recipient: %v", token, o.err)
	case len(o.receipt.Words) > channels.MaxWords:
		v.complain("%s: %d bytes of the server's words", token, len(o.receipt.Words))
	}
}

// modesOf are a script's modes: in a chunk, one trip for each message, two, and step by step.
func modesOf(yield func(script) bool) {
	_ = yield(script{pipelining: true, chunking: true}) && yield(script{pipelining: true}) &&
		yield(script{pipelining: true, sparse: true}) && yield(script{})
}

// cuts are connections that break at every octet, in every way, in both directions; of what stands within a
// message's content, where one octet is like the other, only at each line's end.
func cuts(yield func(script) bool) {
	for s := range modesOf {
		whole, _ := play(s, mistake{})
		for n := 1; n <= whole.read; n++ {
			if whole.within(n) {
				continue
			}
			for how := range cutHows {
				cut := s
				cut.cut, cut.cutHow = n, how
				if !yield(cut) {
					return
				}
			}
			if s.ctxEnds = n; !yield(s) {
				return
			}
			s.ctxEnds = 0
		}
		for n := 1; n <= whole.said; n++ {
			for _, s.chunk = range []int{0, 1, 7} {
				if s.mute = n; !yield(s) {
					return
				}
			}
		}
	}
}

// oddities are servers that behave badly at one command, in every way in which two things can go wrong there.
func oddities(yield func(script) bool) {
	for at := range 4 * dialogueLength {
		for a := range answers {
			var list []act
			for f := range forms {
				if f != endless || at%4 == int(a)%4 { // it takes long
					list = append(list, act{answer: a, form: f})
				}
			}
			for e := range ends {
				list = append(list, act{answer: a, end: e}, act{answer: a, end: e, take: true})
			}
			for x := range extras {
				list = append(list, act{answer: a, extra: x}, act{answer: a, extra: x, take: true})
			}
			for _, odd := range list {
				for s := range modesOf {
					if s.acts = append(make([]act, at), odd); odd.form == plain {
						s.chunk = 1
					}
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// pairs are servers that behave badly at two commands, and permissions that end at one message while they do at one: a
// message is refused and the next one's envelope accepted, DATA opened after a refused recipient, and so on.
func pairs(yield func(script) bool) {
	for first := range 4 * dialogueLength {
		for a := range answers {
			for deny := 1; deny <= dialogueLength; deny++ {
				for s := range modesOf {
					s.acts, s.deny = append(make([]act, first), act{answer: a}), deny
					if !yield(s) {
						return
					}
				}
			}
			for second := first + 1; second < 4*dialogueLength; second++ {
				for b := range answers {
					s := script{pipelining: true, acts: append(make([]act, second), act{answer: b})}
					s.acts[first] = act{answer: a}
					inChunks := s
					if inChunks.chunking = true; !yield(s) || !yield(inChunks) {
						return
					}
				}
			}
		}
	}
}

// scriptOf reads a script from bytes: what is wrong with the connection, and then the acts, most of them honest.
func scriptOf(b []byte) script {
	next := func(n int) int {
		if len(b) == 0 || n == 0 {
			return 0
		}
		v := int(b[0])
		b = b[1:]
		return v % n
	}
	mode := next(4)
	s := script{pipelining: mode != 1, chunking: mode == 3, sparse: mode == 2, chunk: next(9), big: next(4) == 3}
	switch where := next(256) * (1 + next(16)); next(8) {
	case 1:
		s.cut, s.cutHow = where, cutHow(next(int(cutHows)))
	case 2:
		s.mute = where
	case 3:
		s.ctxEnds = where
	case 4:
		s.deny = 1 + next(dialogueLength)
	}
	for len(b) > 0 {
		var a act
		if what := next(256); what < 128 {
			a = act{answer: answer(what % int(answers)), take: what >= 64}
		}
		if what := next(256); what < 128 {
			a.form, a.end = form(what%int(forms)), end(next(256)%int(2*ends))
			a.extra = next(2 * len(extras))
		}
		if a.end >= ends {
			a.end = goesOn
		}
		if a.extra >= len(extras) {
			a.extra = 0
		}
		s.acts = append(s.acts, a)
	}
	return s
}

// Whatever a server does at one command, and wherever a connection breaks, the session's verdicts are what is true: sent
// only where the server accepted, again only where it did not, and unknown only where it was handed over and nothing was
// answered.
func TestVerdictsAreTrue(t *testing.T) {
	t.Parallel()
	for name, scripts := range map[string]func(func(script) bool){"cuts": cuts, "oddities": oddities, "pairs": pairs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			played, bad := 0, 0
			for s := range scripts {
				played++
				if _, wrong := play(s, mistake{}); len(wrong) > 0 {
					t.Errorf("%s\n\t%+v", strings.Join(wrong, "\n"), s)
					if bad++; bad == 10 {
						t.Fatal("and so on")
					}
				}
			}
			if played < 2000 {
				t.Errorf("only %d dialogues", played)
			}
		})
	}
}

// The same for any script.
func TestVerdictsAreTrueAtRandom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			s := scriptOf(rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "script"))
			if _, wrong := play(s, mistake{}); len(wrong) > 0 {
				t.Fatalf("%s\n\t%+v", strings.Join(wrong, "\n"), s)
			}
		}
	})
}

// FuzzDialogue looks on: go test -fuzz FuzzDialogue ./channels/email
func FuzzDialogue(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := scriptOf(b); len(s.acts) < 100 {
			if _, wrong := play(s, mistake{}); len(wrong) > 0 {
				t.Errorf("%s\n\t%+v", strings.Join(wrong, "\n"), s)
			}
		}
	})
}

// hasEnded says whether the limiter has heard of the context's end.
func (l *limiter) hasEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}
