package campaign_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/twilio"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/sandbox"
)

const textSender = "+628111234567"

// phones is a workshop that texts: its numbers are read by the customers' region.
func phones(t *testing.T) (*shop, *clock) {
	t.Helper()
	s, c := setupClock(t, "2026-11-23T07:00+07:00")
	yaml := strings.Replace(crmYAML, "  phone: phone\n", "  phone: phone\n  region: {column: city, default: ID}\n", 1)
	s.resolve(strings.Replace(yaml, "email: newsletter_ok", "sms: newsletter_ok", 1))
	return s, c
}

// gateway is a sandbox that speaks Twilio's API.
func gateway(t *testing.T, misbehave ...sandbox.Rule) *sandbox.Server {
	t.Helper()
	g, err := sandbox.Start(t.Context(), sandbox.Config{Dir: t.TempDir(), Misbehave: misbehave})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func (s *shop) urls() *response.URLs {
	s.t.Helper()
	keys, err := response.LoadKeyring(s.t.Context(), s.pool)
	s.must(err)
	urls, err := response.NewURLs("http://127.0.0.1:9/sapa", keys)
	s.must(err)
	return urls
}

func (s *shop) texter(g *sandbox.Server) *delivery.Engine {
	s.t.Helper()
	cfg, err := twilio.Parse(g.TwilioURL())
	s.must(err)
	cfg.From, cfg.Now = textSender, s.now
	channel, err := twilio.New(cfg)
	s.must(err)
	e, err := delivery.New(delivery.Config{
		Pool: s.pool, DBSchema: pg.DefaultSchema, Schema: s.schema, Library: s.library, URLs: s.urls(), Log: s.log, Now: s.now,
		Accounts: map[string]delivery.Account{"sms": {Channel: channel, From: channels.Address{Addr: textSender}, Connections: 2}},
	})
	s.must(err)
	return e
}

var codes = regexp.MustCompile(`http://127\.0\.0\.1:9/sapa/s/([A-Za-z0-9]{8})`)

// bodies are what the gateway was told to send: "number: text", codes as CODE, by number; and the codes in that order.
func bodies(t *testing.T, g *sandbox.Server) (texts, drawn []string) {
	t.Helper()
	for m := range g.Each(sandbox.Filter{Which: sandbox.All, Channel: sandbox.ChannelSMS}) {
		text, err := g.Text(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, m.To[0]+": "+text.Form.Get("Body"))
	}
	slices.Sort(texts)
	for i, text := range texts {
		for _, m := range codes.FindAllStringSubmatch(text, -1) {
			drawn = append(drawn, m[1])
		}
		texts[i] = codes.ReplaceAllString(text, "CODE")
	}
	return texts, drawn
}

// A customer with two due cars gets one text that names both; who can't be reached is skipped with an honest reason.
func TestTexts(t *testing.T) {
	t.Parallel()
	s, _ := phones(t)
	s.exec(`insert into crm.customers (id, first_name, phone, city, newsletter_ok) values
		(1, 'Siti', '0812-3456-7890', 'Semarang', null), (2, 'Juha', '1 (11) 500 555-0162', 'US', null), (3, 'Budi', '(024) 6700 100', null, null),
		(4, 'Wayan', null, null, null), (5, null, '+62 812 1111 2222', null, null), (6, 'Made', '081222223333', null, false),
		(7, 'Ketut', '0412 345 678', 'au', true), (8, 'Nyoman', '62 811-222-3333 / 62 811-222-3334', null, null), (9, 'Agus', '0813 3333 4444', null, null)`)
	s.exec(`insert into crm.vehicles (id, customer_id, plate, next_service_on)
		select 10 * i, i, 'H ' || i || ' A', date '2026-12-01' from generate_series(1, 8) i union all select 11, 1, 'H 1 B', '2026-12-02'`)
	_, err := s.store(map[string]string{"campaigns/oil-change-sms.yaml": oilSMS})
	s.must(err)
	run, plan := s.start("oil-change-sms")
	want := map[string]int{
		"no address": 1, "no consent": 1, "bad address: no such number": 1, "bad address: not a mobile number": 1, "bad address: more than one number": 1,
	}
	if d := cmp.Diff(want, plan.Skipped); d != "" || plan.Audience != 8 || plan.Planned != 3 {
		t.Errorf("%+v %s", plan, d)
	}
	g := gateway(t)
	p := s.send(s.texter(g), run.ID, "done")
	if p.Counts["sent"] != 2 || p.Reasons["failed: content"] != 1 {
		t.Errorf("%v %v", p.Counts, p.Reasons)
	}
	texts, drawn := bodies(t, g)
	if d := cmp.Diff([]string{
		"+61412345678: Halo Ketut, H 7 A sudah waktunya ganti oli: CODE\n\nBengkel au\n\nBerhenti: CODE",
		"+6281234567890: Halo Siti, H 1 A, H 1 B sudah waktunya ganti oli: CODE\n\nBengkel Semarang\n\nBerhenti: CODE",
	}, texts); d != "" {
		t.Error(d)
	}
	s.codesLead(drawn, []string{
		"oil-change-sms 7 sms 0 c=7", "oil-change-sms 7 unsubscribe 0 ", "oil-change-sms 1 sms 0 c=1", "oil-change-sms 1 unsubscribe 0 ",
	})
	s.reportsToUs(g)
	s.addsUp()
}

// codesLead compares what codes stand for, and that there are no others.
func (s *shop) codesLead(drawn, want []string) {
	s.t.Helper()
	var got []string
	for _, code := range drawn {
		var text string
		s.must(s.pool.QueryRow(s.t.Context(), `
			select concat_ws(' ', c.name, m.customer_key, l.part, l.link, l.query)
			from short_links l join messages m on m.id = l.message_id join runs r on r.id = m.run_id join campaigns c on c.id = r.campaign_id
			where code = $1`, code).Scan(&text))
		got = append(got, text)
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Error(d)
	}
	if n := s.number(`select count(*) from short_links`); n != len(want) {
		s.t.Errorf("%d short links are kept", n)
	}
}

// reportsToUs checks that each text names the address for its reports.
func (s *shop) reportsToUs(g *sandbox.Server) {
	s.t.Helper()
	for m := range g.Each(sandbox.Filter{Which: sandbox.Accepted, Channel: sandbox.ChannelSMS}) {
		text, err := g.Text(m.ID)
		s.must(err)
		var id int64
		s.must(s.pool.QueryRow(s.t.Context(), `select m.id from messages m join addresses a on a.id = m.address_id where a.normalised = $1`, m.To[0]).Scan(&id))
		if got, want := text.Form.Get("StatusCallback"), s.urls().Report("sms", id); got != want {
			s.t.Errorf("reports of message %d go to %s, want %s", id, got, want)
		}
		if m.From != textSender {
			s.t.Errorf("the sender is %s", m.From)
		}
	}
}

// A text that is tried again says what it said, with the same codes; and the provider is told until when it may go.
func TestTextsTriedAgain(t *testing.T) {
	t.Parallel()
	s, c := phones(t)
	s.exec(`insert into crm.customers (id, first_name, phone) values (1, 'Siti', '0812-3456-7890'), (2, 'Budi', '0812-3456-7891')`)
	s.exec(`insert into crm.vehicles (id, customer_id, plate, next_service_on) values (10, 1, 'H 1', '2026-12-01'), (20, 2, 'H 2', '2026-12-01')`)
	yaml := strings.Replace(oilSMS, "channels: [sms]", `schedule: {cron: "0 8 * * *", until: "12:00"}`, 1)
	_, err := s.store(map[string]string{"campaigns/oil-change-sms.yaml": yaml})
	s.must(err)
	c.set(t, "2026-11-23T08:00+07:00")
	s.ticks()
	s.must(s.planner.PlanRun(t.Context(), 1))

	busy := gateway(t, rules(t, "sms-429=100%")...)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	e := s.texter(busy)
	go func() { ended <- e.Run(ctx, nil) }()
	s.until("both were refused for now", func() bool { return s.number(`select count(*) from attempts where verdict = 'retry'`) == 2 })
	stop()
	s.must(<-ended)
	want := []string{
		"oil-change-sms 1 sms 0 c=1", "oil-change-sms 1 unsubscribe 0 ", "oil-change-sms 2 sms 0 c=2", "oil-change-sms 2 unsubscribe 0 ",
	}
	rows, _ := s.pool.Query(t.Context(), `select code from short_links order by message_id, part`)
	first, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	s.codesLead(first, want)

	c.set(t, "2026-11-23T08:30+07:00")
	calm := gateway(t)
	if p := s.send(s.texter(calm), 1, "done"); p.Counts["sent"] != 2 {
		t.Errorf("%v %v", p.Counts, p.Reasons)
	}
	_, second := bodies(t, calm)
	if d := cmp.Diff(first, second); d != "" {
		t.Error(d)
	}
	s.codesLead(second, want)
	for m := range calm.Each(sandbox.Filter{Channel: sandbox.ChannelSMS}) {
		text, err := calm.Text(m.ID)
		s.must(err)
		if got := text.Form.Get("ValidityPeriod"); got != "12600" { // from 8:30 to 12:00
			t.Errorf("valid for %s s", got)
		}
	}
	s.addsUp()
}

func rules(t *testing.T, text string) []sandbox.Rule {
	t.Helper()
	list, err := sandbox.ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// until waits for something that another goroutine does.
func (s *shop) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("not in a minute: " + what)
		}
	}
}

// The links of a version belong to its text, and a personal part that is too long fails its message alone.
func TestTextLinks(t *testing.T) {
	t.Parallel()
	s, _ := phones(t)
	s.exec(`insert into crm.customers (id, first_name, phone) values (1, 'Siti', '0812-3456-7890'), (2, repeat('x', 1500), '0812-3456-7891')`)
	_, err := s.store(map[string]string{"campaigns/all.yaml": `
campaign: all
audience: {where: "true"}
content:
  sms:
    text: >
      {% for i in (1..2) %}{{ 'https://bengkel.example/a?x=1' | link: n: customer.first_name }} {% endfor %}
      {{ 'https://bengkel.example/b' | link }}
`})
	s.must(err)
	run, _ := s.start("all")
	g := gateway(t)
	p := s.send(s.texter(g), run.ID, "done")
	if p.Counts["sent"] != 1 || p.Reasons["failed: content"] != 1 {
		t.Errorf("%v %v", p.Counts, p.Reasons)
	}
	texts, drawn := bodies(t, g)
	if d := cmp.Diff([]string{"+6281234567890: CODE CODE  CODE"}, texts); d != "" {
		t.Error(d)
	}
	if drawn[0] != drawn[1] {
		t.Errorf("the same link has two codes: %q", drawn)
	}
	s.codesLead(drawn[1:], []string{"all 1 sms 0 n=Siti", "all 1 sms 1 "})
	if n := s.number(`select count(*) from links where (part, position, url) in (('sms', 0, 'https://bengkel.example/a?x=1'), ('sms', 1, 'https://bengkel.example/b'))`); n != 2 {
		t.Errorf("the version has %d of its links", n)
	}
	words := s.number(`select count(*) from attempts where words = 'link 1: the link''s personal part is too long: 1502 bytes, and 1000 fit'`)
	if words != 1 {
		t.Errorf("the failure is told %d times", words)
	}
}
