package crowd

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"sync"

	"github.com/sapa-crm/sapa/sandbox"
)

// TextRates are shares between 0 and 1 of all texts.
type TextRates struct {
	Click float64 // whose link is followed
	Reply float64 // that are answered in words
	Stop  float64 // that are answered with STOP
}

// TypicalTexts are rates as small companies see them with texts that people asked for.
func TypicalTexts() TextRates { return TextRates{Click: 0.18, Reply: 0.03, Stop: 0.01} }

// Phones says who plays the receivers of texts.
type Phones struct {
	Sandbox     *sandbox.Server // with the texts, and for the answers
	Rates       TextRates
	Seed        uint64
	Concurrency int // people at once; 16 by default
}

// TextSummary is what the receivers of texts did.
type TextSummary struct {
	Texts, Clicked, Replied, Stopped, Failed int
	FirstFailure                             error // nil without one
}

// PlayTexts reads all texts that the sandbox accepted and returns when everybody has done what they wanted. Links to other
// machines are left alone. Requests that fail are counted; the error is the context's.
func PlayTexts(ctx context.Context, p Phones) (TextSummary, error) {
	if p.Concurrency < 1 {
		p.Concurrency = 16
	}
	b := newBrowser(0, p.Concurrency)
	defer b.close()
	var mu sync.Mutex
	var sum TextSummary
	var people sync.WaitGroup
	texts := make(chan sandbox.Message)
	for range p.Concurrency {
		people.Go(func() {
			for m := range texts {
				did, err := p.play(ctx, b, m)
				mu.Lock()
				sum.add(did, err)
				mu.Unlock()
			}
		})
	}
	for m := range p.Sandbox.Each(sandbox.Filter{Channel: sandbox.ChannelSMS}) {
		texts <- m
		if ctx.Err() != nil {
			break
		}
	}
	close(texts)
	people.Wait()
	return sum, ctx.Err()
}

// deed is what a person did with a text.
type deed int

const (
	nothing deed = iota
	clicked
	replied
	stopped
)

func (s *TextSummary) add(did deed, err error) {
	s.Texts++
	switch {
	case err != nil:
		s.Failed++
		if s.FirstFailure == nil {
			s.FirstFailure = err
		}
	case did == clicked:
		s.Clicked++
	case did == replied:
		s.Replied++
	case did == stopped:
		s.Stopped++
	}
}

// replies are what people write back.
func replies() []string {
	return []string{"Terima kasih", "Besok jam 9 bisa?", "Mobilnya sudah dijual", "Ok siap", "Berapa biayanya?"}
}

var address = regexp.MustCompile(`https?://[^\s]+`)

func (p *Phones) play(ctx context.Context, b *browser, m sandbox.Message) (deed, error) {
	dice := Config{Seed: p.Seed}.dice(m.MessageID)
	// All dice are thrown for everybody, so that a changed rate changes nothing else.
	stops, answers, clicks, choice := dice.Float64(), dice.Float64(), dice.Float64(), dice.IntN(len(replies()))
	switch {
	case stops < p.Rates.Stop:
		_, err := p.Sandbox.Reply(ctx, m.To[0], m.From, "STOP")
		return stopped, err
	case answers < p.Rates.Reply:
		_, err := p.Sandbox.Reply(ctx, m.To[0], m.From, replies()[choice])
		return replied, err
	case clicks < p.Rates.Click:
		return p.click(ctx, b, m.ID)
	}
	return nothing, nil
}

func (p *Phones) click(ctx context.Context, b *browser, id int64) (deed, error) {
	text, err := p.Sandbox.Text(id)
	if err != nil {
		return nothing, err
	}
	u, err := url.Parse(address.FindString(text.Form.Get("Body")))
	if err != nil {
		return nothing, fmt.Errorf("the link of a text: %w", err)
	}
	if !isHere(u) {
		return nothing, nil
	}
	return clicked, b.get(ctx, u)
}
