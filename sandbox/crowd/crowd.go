// Package crowd plays the customers of a demo: simulated people who open the mail that the sandbox caught, follow links
// in it and unsubscribe, each as a mail program or a browser would do it over HTTP.
//
// It contacts this machine only. Links and pictures elsewhere are left alone, redirects to elsewhere are not followed,
// and a name that resolves to another machine is not dialled. Whoever shows its results must say that the people in them are simulated.
package crowd

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/sandbox"
)

// Rates are shares between 0 and 1.
type Rates struct {
	Open        float64 // of all mail
	Again       float64 // of those who open: who look at it a second time
	Click       float64 // of those who open: who follow one link
	Unsubscribe float64 // of those who open: who unsubscribe with one click (RFC 8058), and do not click
}

// Typical are rates as small companies see them with mail that people asked for.
func Typical() Rates { return Rates{Open: 0.55, Again: 0.25, Click: 0.22, Unsubscribe: 0.012} }

// Config says who plays and with what.
type Config struct {
	Mail        iter.Seq2[[]byte, error] // messages as they came over the wire, such as sandbox.Server.EachRaw
	Rates       Rates
	Seed        uint64 // what a message's reader does follows from the seed and the Message-ID
	Concurrency int    // people at once; 16 by default
	Timeout     time.Duration
}

// Summary is what the crowd did.
type Summary struct {
	Mails        int   // read by a mail program
	Opened       int   // mails whose pictures were loaded
	Opens        int   // the same, second looks counted
	Clicked      int   // mails with a link that was followed
	Unsubscribed int   // mails that were answered by unsubscribing
	Elsewhere    int   // pictures and links that were left alone because they lead to other machines
	Failed       int   // requests without a good answer
	FirstFailure error // nil without one
}

// Play reads all the mail and returns when everybody has done what they wanted. Requests that fail are counted; the
// error is about reading the mail, or the context's.
func Play(ctx context.Context, config Config) (Summary, error) {
	if config.Concurrency < 1 {
		config.Concurrency = 16
	}
	browser := newBrowser(config.Timeout, config.Concurrency)
	defer browser.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var s tally
	var people sync.WaitGroup
	mails := make(chan []byte)
	for range config.Concurrency {
		people.Go(func() {
			for raw := range mails {
				s.add(read(ctx, browser, config, raw))
			}
		})
	}
	err := handOut(ctx, config.Mail, mails)
	close(mails)
	people.Wait()
	if err != nil {
		return s.Summary, fmt.Errorf("play the customers: %w", err)
	}
	return s.Summary, nil
}

func handOut(ctx context.Context, all iter.Seq2[[]byte, error], mails chan<- []byte) error {
	for raw, err := range all {
		if err != nil {
			return err
		}
		select {
		case mails <- raw:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

type tally struct {
	sync.Mutex
	Summary
}

func (t *tally) add(s Summary) {
	t.Lock()
	defer t.Unlock()
	t.Mails += s.Mails
	t.Opened += s.Opened
	t.Opens += s.Opens
	t.Clicked += s.Clicked
	t.Unsubscribed += s.Unsubscribed
	t.Elsewhere += s.Elsewhere
	t.Failed += s.Failed
	if t.FirstFailure == nil {
		t.FirstFailure = s.FirstFailure
	}
}

// person reads one mail.
type person struct {
	Summary
	browser *browser
	mail    *sandbox.Mail
}

// read is one customer with one mail.
func read(ctx context.Context, b *browser, config Config, raw []byte) Summary {
	mail, err := sandbox.ParseMail(raw)
	if err != nil {
		return Summary{Mails: 1, Failed: 1, FirstFailure: err}
	}
	p := &person{Summary: Summary{Mails: 1}, browser: b, mail: mail}
	dice := config.dice(mail.Get("Message-Id"))
	// All dice are thrown for everybody, so that a changed rate changes nothing else.
	opens, again, clicks, leaves := dice.Float64(), dice.Float64(), dice.Float64(), dice.Float64()
	choice := dice.IntN(1 << 30)
	if opens >= config.Rates.Open {
		return p.Summary
	}
	p.open(ctx)
	if again < config.Rates.Again {
		p.lookAgain(ctx)
	}
	switch {
	case leaves < config.Rates.Unsubscribe:
		p.unsubscribe(ctx)
	case clicks < config.Rates.Click:
		p.click(ctx, choice)
	}
	return p.Summary
}

func (c Config) dice(messageID string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(messageID))
	return rand.New(rand.NewPCG(c.Seed, h.Sum64()))
}

// open loads the pictures, which is what tells a sender that a mail was opened.
func (p *person) open(ctx context.Context) {
	if p.load(ctx) {
		p.Opened++
		p.Opens++
	}
}

func (p *person) lookAgain(ctx context.Context) {
	if p.Opened > 0 && p.load(ctx) {
		p.Opens++
	}
}

func (p *person) load(ctx context.Context) bool {
	loaded := false
	for _, address := range p.here(p.mail.Images()) {
		if p.worked(p.browser.get(ctx, address)) {
			loaded = true
		}
	}
	return loaded
}

// click follows one link that is not for unsubscribing.
func (p *person) click(ctx context.Context, choice int) {
	leave, _ := p.leaveAddress()
	var links []*url.URL
	for _, u := range p.here(p.mail.Links()) {
		if leave == nil || !sameKind(u, leave) {
			links = append(links, u)
		}
	}
	if len(links) > 0 && p.worked(p.browser.get(ctx, links[choice%len(links)])) {
		p.Clicked++
	}
}

// sameKind reports whether two addresses have the first part of the path in common, such as /u/.
func sameKind(a, b *url.URL) bool {
	first := func(u *url.URL) string {
		part, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		return part
	}
	return a.Host == b.Host && first(a) == first(b)
}

// unsubscribe does what a mail program's button does.
func (p *person) unsubscribe(ctx context.Context) {
	address, oneClick := p.leaveAddress()
	if address == nil || !oneClick {
		return
	}
	if !isHere(address) {
		p.Elsewhere++
		return
	}
	if p.worked(p.browser.post(ctx, address, "List-Unsubscribe=One-Click")) {
		p.Unsubscribed++
	}
}

// leaveAddress is the web address of List-Unsubscribe (RFC 2369), and whether it takes the one-click POST (RFC 8058).
func (p *person) leaveAddress() (address *url.URL, oneClick bool) {
	for part := range strings.SplitSeq(p.mail.Get("List-Unsubscribe"), ",") {
		u, err := url.Parse(strings.Trim(strings.TrimSpace(part), "<>"))
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			return u, strings.EqualFold(strings.TrimSpace(p.mail.Get("List-Unsubscribe-Post")), "List-Unsubscribe=One-Click")
		}
	}
	return nil, false
}

// here are the web addresses on this machine; the others are counted.
func (p *person) here(addresses []string) []*url.URL {
	var list []*url.URL
	for _, text := range addresses {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https":
		case !isHere(u):
			p.Elsewhere++
		default:
			list = append(list, u)
		}
	}
	return list
}

// worked counts a request that failed. Those that the end of the game cut off do not count.
func (p *person) worked(err error) bool {
	if err == nil {
		return true
	}
	if !errors.Is(err, context.Canceled) {
		p.Failed++
		if p.FirstFailure == nil {
			p.FirstFailure = err
		}
	}
	return false
}
