package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
)

// drillChannels are the channels that a drill can send by, in the order in which its campaign names them.
func drillChannels() []string { return []string{"email", "whatsapp", "sms"} }

// What the sandbox of a drill does to mail, and to what goes by Twilio.
const (
	mailMisbehaviour  = "4xx=3%,5xx=1%,delay=20ms/1%,delay=1s/0.02%,drop-before=0.05%,drop-after=0.05%"
	phoneMisbehaviour = "sms-429=2%,sms-21611=1%,sms-21211=0.4%,sms-21610=0.3%,sms-21614=0.3%,sms-delay=20ms/1%,sms-delay=1s/0.02%," +
		"sms-500=0.05%,sms-502=0.03%,sms-503=0.05%,sms-500-after=0.05%,sms-503-after=0.05%," +
		"sms-timeout-before=0.05%,sms-timeout-after=0.15%,sms-drop-before=0.05%,sms-drop-after=0.1%," +
		"callbacks-early=2%,callbacks-late=5%,callbacks-twice=5%,callbacks-reversed=5%,callbacks-never=15%"
)

// drillTimeout is how long an answer of the sandbox's Twilio is waited for.
const drillTimeout = 2 * time.Second

// drillWaits are those of a drill whose business time is real: a sixtieth of the real ones before another attempt, and
// look-ups after 20 and 80 s.
func drillWaits() delivery.Waits {
	return delivery.Waits{
		Again:  []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 4 * time.Minute, 12 * time.Minute},
		LookUp: []time.Duration{20 * time.Second, 80 * time.Second}, LookUpEvery: 20 * time.Second, LookUpPause: 20 * time.Millisecond,
	}
}

// choose completes the options with what its channels want where a flag was not given.
func (o *drillOptions) choose(given func(flag string) bool) error {
	if slices.Contains(o.channels, "all") {
		o.channels = drillChannels()
	}
	for _, name := range o.channels {
		if !slices.Contains(drillChannels(), name) {
			return &exitError{exitUsage, fmt.Errorf("--channel: no drill for %q; there are %s, and all", name, strings.Join(drillChannels(), ", "))}
		}
	}
	o.channels = slices.DeleteFunc(drillChannels(), func(name string) bool { return !slices.Contains(o.channels, name) })
	if !o.phones() {
		return nil
	}
	for flag, use := range map[string]func(){
		"messages": func() { o.messages = 40_000 }, "rate": func() { o.rate = 400 },
		"misbehave": func() { o.misbehave = mailMisbehaviour + "," + phoneMisbehaviour },
	} {
		if !given(flag) {
			use()
		}
	}
	o.waits = drillWaits()
	return nil
}

// phones says that some of the messages go by Twilio.
func (o *drillOptions) phones() bool {
	return slices.ContainsFunc(o.channels, func(name string) bool { return name != "email" })
}

func (o *drillOptions) clock() drillClock {
	c := drillClock{Real: time.Now(), Speed: drillSpeed}
	if o.phones() {
		c.Speed = 1
	}
	return c
}

// drillCampaign sends to each customer by the first channel that reaches them. Every tenth text has no link, by which a
// message could be told from others in its provider's list.
func drillCampaign(channels []string) string {
	const link = `{% if customer.linked %}{{ 'https://drill.example/offer' | link }}{% else %}come and see{% endif %}`
	content := map[string]string{
		"email": `
  email:
    subject: "Halo {{ customer.name }}"
    html: "<p>Halo {{ customer.name }}, <a href=\"https://drill.example/offer\">an offer</a>.</p>"
    text: "Halo {{ customer.name }}, an offer: https://drill.example/offer"`,
		"whatsapp": `
  whatsapp:
    template: HX0123456789abcdef0123456789abcdef
    variables: {1: "{{ customer.name }}", 2: "` + link + `"}`,
		"sms": `
  sms: {text: "Halo {{ customer.name }}, an offer: ` + link + `"}`,
	}
	text := "campaign: drill\naudience: {where: \"true\"}\nchannels: [" + strings.Join(channels, ", ") + "]\ncontent:"
	for _, name := range channels {
		text += content[name]
	}
	return text + "\n"
}

// drillConfig is the project's sapa.yaml.
func (d *drill) drillConfig(public string) string {
	limits := fmt.Sprintf("connections: %d", d.o.connections)
	if d.o.rate > 0 {
		limits += fmt.Sprintf(", rate: %d/s", d.o.rate)
	}
	twilio := fmt.Sprintf(`{twilio: "%s?timeout=%s", from: "+6281100000001", %s}`, d.mail.TwilioURL(), drillTimeout, limits)
	accounts := map[string]string{
		"email":    fmt.Sprintf(`{smtp: "smtp://%s?tls=none", from: "Drill <halo@drill.example>", %s}`, d.mail.SMTPAddr(), limits),
		"whatsapp": twilio,
		"sms":      twilio,
	}
	text := "customers: {table: drill.customers, key: id, email: email, phone: phone, name: name, region: {default: ID}, " +
		"consent: {default: granted, whatsapp: on_whatsapp}}\nchannels:\n"
	for _, name := range d.o.channels {
		text += "  " + name + ": " + accounts[name] + "\n"
	}
	return text + "public_url: http://" + public + "\n"
}

// build makes the customers, applies the campaign and plans its run.
func (d *drill) build(ctx context.Context) error {
	public, err := d.listen(ctx)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"sapa.yaml": d.drillConfig(public), "campaigns/drill.yaml": drillCampaign(d.o.channels)} {
		if err := writeFile(filepath.Join(d.dir, name), text); err != nil {
			return err
		}
	}
	s, err := d.connect(ctx)
	if err != nil {
		return err
	}
	d.session = s
	if err := d.populate(ctx); err != nil {
		return err
	}
	if err := s.checkMigrated(ctx); err != nil {
		return err
	}
	loaded, err := d.loadConfig()
	if err != nil {
		return err
	}
	if err := s.resolve(ctx, loaded); err != nil {
		return err
	}
	return d.plan(ctx)
}

// listen opens the public listener, where reports come in, for the drill's processes. Mail has none: nobody clicks.
func (d *drill) listen(ctx context.Context) (address string, err error) {
	if !d.o.phones() {
		return "127.0.0.1:9", nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open the drill's public listener: %w", err)
	}
	d.door = l.Addr().String()
	d.public, err = l.(*net.TCPListener).File()
	return d.door, errors.Join(err, l.Close())
}

// populate makes the customers. Each has one address, of one of the channels in turn.
func (d *drill) populate(ctx context.Context) error {
	_, err := d.pool.Exec(ctx, `drop schema if exists sapa cascade; drop schema if exists drill cascade; create schema drill;
		create table drill.customers (id bigint primary key, name text, email text, phone text, on_whatsapp boolean, linked boolean)`)
	if err == nil {
		_, err = d.pool.Exec(ctx, `
			insert into drill.customers
			select i, 'Person ' || i, case when channel = 'email' then 'person' || i || '@mail.example' end,
			       case when channel <> 'email' then '+62812' || 10000000 + i end, channel = 'whatsapp', i % 10 > 0
			from generate_series(1, $1::int) i, lateral (select ($2::text[])[i % cardinality($2::text[]) + 1] as channel) c`, d.o.messages, d.o.channels)
	}
	if err == nil {
		_, err = d.pool.Exec(ctx, `analyze drill.customers`)
	}
	if err != nil {
		return fmt.Errorf("make the drill's customers: %w", err)
	}
	return nil
}

func (d *drill) plan(ctx context.Context) (err error) {
	project, problems, err := campaign.LoadProject(os.DirFS(d.dir), d.schema, d.library.Base())
	if err != nil {
		return err
	}
	if err := findings(problems); err != nil {
		return err
	}
	if _, err := campaign.Apply(ctx, d.pool, project.Campaigns, d.now(), "drill"); err != nil {
		return err
	}
	if d.planner, err = d.session.planner(d.app); err != nil {
		return err
	}
	run, plan, err := d.planner.Start(ctx, campaign.Start{Campaign: "drill", Actor: "drill", Yes: true})
	if err != nil {
		return err
	}
	d.run, d.result.Audience = run.ID, plan.Audience
	fmt.Fprintf(d.stdout, "drill of %s with seed %d: %s messages, processes: %d, connections of each: %d, in %s\n", strings.Join(d.o.channels, ", "), d.o.seed,
		thousands(plan.Audience), d.o.workers, d.o.connections, d.dir)
	return nil
}
