package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// The senders, as they are called in tables.
const (
	sapa       = "Sapa"
	goMail     = "go-mail"
	goMailLean = "go-mail without NOOP and RSET"
	smtpSource = "smtp-source -d"
)

// course is a series of rounds in which all senders send the same message to so many people.
type course struct {
	*bench
	messages int
	rtt      time.Duration
	campaign string
	octets   int      // of Sapa's message
	senders  []string // Sapa first
	results  map[string][]result
	planning []float64 // CPU of planning Sapa's run: ours and PostgreSQL's, in µs per message
}

// sendNear compares rates and processor time at a server on this machine.
func (b *bench) sendNear(ctx context.Context) error {
	c, err := b.course(ctx, b.messages, 0, goMail, goMailLean, smtpSource)
	if err != nil {
		return err
	}
	r := &b.results
	r.Rate = round(median(c.figures(sapa, func(r result) float64 { return r.rate })))
	r.GoMail, r.GoMailLean = round(median(c.ratios(goMail, rate))), round(median(c.ratios(goMailLean, rate)))
	r.CPU = round(median(c.ratios(goMail, processor)))
	if c.results[smtpSource] != nil {
		ratio := round(median(c.ratios(smtpSource, rate)))
		r.SMTPSource = &ratio
	}
	return nil
}

// sendFar is sendNear to a server that is some milliseconds away.
func (b *bench) sendFar(ctx context.Context) error {
	c, err := b.course(ctx, b.far, b.rtt, goMail, smtpSource)
	if err != nil {
		return err
	}
	b.results.GoMailFar = round(median(c.ratios(goMail, rate)))
	return nil
}

func (b *bench) course(ctx context.Context, messages int, rtt time.Duration, others ...string) (*course, error) {
	name, err := b.audience(ctx, messages)
	if err != nil {
		return nil, err
	}
	c := &course{bench: b, messages: messages, rtt: rtt, campaign: name, senders: []string{sapa}, results: map[string][]result{}}
	for _, other := range others {
		if other != smtpSource || b.source != nil {
			c.senders = append(c.senders, other)
		}
	}
	if err := c.warmUp(ctx); err != nil {
		return nil, err
	}
	for i := range b.rounds {
		if err := c.round(ctx, i); err != nil {
			return nil, err
		}
	}
	c.print()
	return c, nil
}

// warmUp lets each sender send once, Sapa first, which also tells how large its message is.
func (c *course) warmUp(ctx context.Context) error {
	if err := c.round(ctx, 0); err != nil {
		return err
	}
	c.results, c.planning = map[string][]result{}, nil
	return c.settle(ctx)
}

// round lets each sender send once. Who begins moves on from round to round, and every other round goes backwards.
func (c *course) round(ctx context.Context, i int) error {
	for k := range c.senders {
		place := (i/2 + k) % len(c.senders)
		if i%2 == 1 {
			place = len(c.senders) - 1 - place
		}
		if err := c.turn(ctx, c.senders[place]); err != nil {
			return fmt.Errorf("%s: %w", c.senders[place], err)
		}
	}
	return nil
}

// turn lets one sender send. Sapa's run is planned immediately before it, and what that leaves to be done in the background
// is counted as Sapa's.
func (c *course) turn(ctx context.Context, sender string) error {
	var run int
	if sender == sapa {
		var err error
		if run, err = c.plan(ctx); err != nil {
			return err
		}
	}
	r, err := c.watch(c.messages, c.rtt, func() (*exec.Cmd, error) { return c.send(ctx, sender, run) })
	if err != nil {
		return err
	}
	c.results[sender] = append(c.results[sender], r)
	if sender == sapa {
		c.octets = int(r.octets)
		return c.empty(ctx)
	}
	return nil
}

func (c *course) plan(ctx context.Context) (run int, err error) {
	before, err := c.postgresCPU()
	if err != nil {
		return 0, err
	}
	if run, _, err = c.planned(ctx, c.campaign); err != nil {
		return 0, err
	}
	after, err := c.postgresCPU()
	c.planning = append(c.planning, float64((after-before).Microseconds())/float64(c.messages))
	return run, err
}

// send starts a sender and waits for its end.
func (c *course) send(ctx context.Context, sender string, run int) (*exec.Cmd, error) {
	switch sender {
	case smtpSource:
		cmd := c.source.send(ctx, c.addr, c.messages, c.connections, c.octets)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w %s", err, out)
		}
		return cmd, err
	case sapa:
		return c.work(ctx, run, nil)
	}
	child, err := spawn(ctx, "gomail", loop{Addr: c.addr, Messages: c.messages, Connections: c.connections, Lean: sender == goMailLean})
	if err != nil {
		return nil, err
	}
	return child.cmd, child.cmd.Wait()
}

// work lets a process of Sapa send a run.
func (b *bench) work(ctx context.Context, run int, says *worked) (*exec.Cmd, error) {
	child, err := spawn(ctx, "worker", work{URL: b.url, SMTP: b.addr, Connections: b.connections, Run: run, Profile: b.profile})
	if err != nil {
		return nil, err
	}
	if says == nil {
		says = &worked{}
	}
	if err := child.out.Decode(says); err != nil {
		_ = child.cmd.Wait() // it has said on standard error what happened
		return nil, fmt.Errorf("the sending process ended early: %w", err)
	}
	return child.cmd, child.cmd.Wait()
}

func rate(r result) float64      { return r.rate }
func processor(r result) float64 { return r.client + r.postgres }

// figures are a figure of a sender, round by round.
func (c *course) figures(sender string, figure func(result) float64) (list []float64) {
	for _, r := range c.results[sender] {
		list = append(list, figure(r))
	}
	return list
}

// ratios are Sapa's figure over another sender's, round by round. Of processor time only the sender's own process counts
// for the other: it has no database, and what PostgreSQL does then is left over from Sapa's turn.
func (c *course) ratios(other string, figure func(result) float64) (list []float64) {
	for i, r := range c.results[sapa] {
		o := c.results[other][i]
		o.postgres = 0
		list = append(list, figure(r)/figure(o))
	}
	return list
}

func (c *course) print() {
	where := ""
	if c.rtt > 0 {
		where = fmt.Sprintf(" to a server %s away", c.rtt)
	}
	fmt.Printf("sending to %d recipients%s\n\n", c.messages, where)
	fmt.Println("| | messages/s | client CPU µs | PostgreSQL CPU µs | sink CPU µs | octets |\n| --- | --- | --- | --- | --- | --- |")
	for _, sender := range c.senders {
		figure := func(f func(result) float64) string { return spread(c.figures(sender, f), "%.0f") }
		postgres := ""
		if sender == sapa {
			postgres = figure(func(r result) float64 { return r.postgres })
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %.0f |\n", sender, figure(rate), figure(func(r result) float64 { return r.client }), postgres,
			figure(func(r result) float64 { return r.sink }), c.results[sender][0].octets)
	}
	fmt.Println("\n| Sapa over | messages/s | CPU of client and PostgreSQL |\n| --- | --- | --- |")
	for _, other := range c.senders[1:] {
		fmt.Printf("| %s | %s | %s |\n", other, spread(c.ratios(other, rate), "%.2f"), spread(c.ratios(other, processor), "%.2f"))
	}
	fmt.Printf("\nPlanning the run took PostgreSQL %s µs of CPU per message before.\n\n", spread(c.planning, "%.0f"))
}
