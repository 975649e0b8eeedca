package delivery_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/email"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/sandbox"
)

// monday is a fixed day of business: Monday 23 November 2026, 9 o'clock in Jakarta.
var monday = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// quick is a lease for tests: the same proportions in a twelfth of the time.
var quick = delivery.Lease{Heartbeat: 250 * time.Millisecond, Permit: 1700 * time.Millisecond, Silence: 2500 * time.Millisecond}

// clock is business time, which can be set.
type clock struct{ offset atomic.Int64 }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.set(at)
	return c
}

func (c *clock) set(at time.Time) { c.offset.Store(int64(time.Until(at))) }
func (c *clock) now() time.Time   { return time.Now().Add(time.Duration(c.offset.Load())) }

// company is a company with a database: what a process needs to plan and send.
type company struct {
	pool    *pgxpool.Pool
	schema  *customer.Schema
	library *campaign.Library
	planner *campaign.Planner
	urls    *response.URLs
	clock   *clock
	log     *slog.Logger
}

const shopTables = `
create schema shop;
create table shop.customers (
	id bigint primary key, first_name text, email text, birth_date date, timezone text, newsletter_ok boolean
);
create table shop.vehicles (id bigint primary key, customer_id bigint, plate text, due date)`

const shopYAML = `
customers:
  table: shop.customers
  key: id
  email: email
  name: first_name
  timezone: {column: timezone, default: Asia/Jakarta}
  consent: {default: granted, email: newsletter_ok}
  relations:
    vehicles: {table: shop.vehicles, by: customer_id, key: id}
channels:
  email: {smtp: "smtp://127.0.0.1:9", from: "Bengkel Maju <halo@bengkel.example>"}
public_url: http://127.0.0.1:9
`

func openCompany(ctx context.Context, pool *pgxpool.Pool, at time.Time) (*company, error) {
	c := &company{pool: pool, clock: newClock(at), log: slog.New(slog.DiscardHandler)}
	if os.Getenv("SAPA_TEST_LOG") != "" {
		c.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	cfg, problems := customer.LoadConfig("sapa.yaml", shopYAML, func(string) string { return "" })
	if err := problems.Err(); err != nil {
		return nil, err
	}
	schema, problems, err := customer.Resolve(ctx, pool, cfg)
	if err != nil || problems.Err() != nil {
		return nil, fmt.Errorf("%w %w", err, problems.Err())
	}
	queue, err := delivery.NewQueue(pool, pg.DefaultSchema, c.clock.now)
	if err != nil {
		return nil, err
	}
	c.schema, c.library = schema, campaign.NewLibrary(pool, schema, nil)
	c.planner = &campaign.Planner{Pool: pool, Schema: schema, Library: c.library, Queue: queue, Now: c.clock.now, Log: c.log}
	keys, err := response.LoadKeyring(ctx, pool)
	if err != nil {
		return nil, err
	}
	c.urls, err = response.NewURLs("http://127.0.0.1:9", keys)
	return c, err
}

// sending says how an engine sends.
type sending struct {
	SMTP        string // host:port
	Connections int
	Rate        float64
	Lease       delivery.Lease
	Drain       time.Duration
	Meter       delivery.Meter
}

func (c *company) engine(s sending) (*delivery.Engine, error) {
	cfg, err := email.Parse("smtp://"+s.SMTP, "Bengkel Maju <halo@bengkel.example>")
	if err != nil {
		return nil, err
	}
	channel, err := email.New(cfg)
	if err != nil {
		return nil, err
	}
	return c.engineOn(channel, s)
}

func (c *company) engineOn(channel channels.Channel, s sending) (*delivery.Engine, error) {
	return c.engineFor(delivery.Account{
		Channel: channel, From: channels.Address{Name: "Bengkel Maju", Addr: "halo@bengkel.example"},
		Connections: s.Connections, Rate: s.Rate,
	}, s)
}

// engineFor is an engine with an account of its own.
func (c *company) engineFor(account delivery.Account, s sending) (*delivery.Engine, error) {
	return delivery.New(delivery.Config{
		Pool: c.pool, DBSchema: pg.DefaultSchema, Schema: c.schema, Library: c.library, URLs: c.urls, Log: c.log,
		Now: c.clock.now, Lease: s.Lease, Drain: s.Drain, Meter: s.Meter, Patience: 300 * time.Millisecond,
		Accounts: map[string]delivery.Account{"email": account},
	})
}

// shop is a company with a mail server that catches everything, in a test.
type shop struct {
	*company
	t    *testing.T
	mail *sandbox.Server
}

func setup(t *testing.T, misbehave ...sandbox.Rule) *shop {
	t.Helper()
	s := &shop{t: t}
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), shopTables+";"+observeStates)
	s.must(err)
	s.company, err = openCompany(t.Context(), pool, monday)
	s.must(err)
	s.mail, err = sandbox.Start(t.Context(), sandbox.Config{Dir: t.TempDir(), Misbehave: misbehave})
	s.must(err)
	t.Cleanup(func() { _ = s.mail.Close() })
	t.Cleanup(s.checkStates)
	return s
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), sql, args...)
	s.must(err)
}

// number asks the database for one number.
func (s *shop) number(sql string, args ...any) (n int) {
	s.t.Helper()
	s.must(s.pool.QueryRow(s.t.Context(), sql, args...).Scan(&n))
	return n
}

// text asks the database for one text.
func (s *shop) text(sql string, args ...any) (text string) {
	s.t.Helper()
	s.must(s.pool.QueryRow(s.t.Context(), sql, args...).Scan(&text))
	return text
}

const birthdayYAML = `
campaign: birthday
topic: greetings
audience:
  where: birthday(customer.birth_date)
  occasion: today()
channels: [email]
content:
  email:
    subject: "Selamat ulang tahun, {{ customer.first_name }}!"
    html: '<p>Halo {{ customer.first_name }}, <a href="https://bengkel.example/hadiah?c={{ customer.id }}">hadiah</a></p>'
`

// birthday makes n customers with ids from 1 whose birthday is today, and the campaign that greets them.
func (s *shop) birthday(n int) {
	s.t.Helper()
	s.exec(`insert into shop.customers (id, first_name, email, birth_date)
		select i, 'Budi ' || i, 'budi' || i || '@mail.example', date '1990-11-23' from generate_series(1, $1::int) i`, n)
	s.apply("birthday", birthdayYAML)
}

func (s *shop) apply(name, yaml string) {
	s.t.Helper()
	c, problems := campaign.Check("campaigns/"+name+".yaml", yaml, fstest.MapFS{}, s.schema, nil)
	s.must(problems.Err())
	_, err := campaign.Apply(s.t.Context(), s.pool, []*campaign.Campaign{c}, s.clock.now(), "tester")
	s.must(err)
}

// start plans a run by hand.
func (s *shop) start() int {
	s.t.Helper()
	r, _, err := s.planner.Start(s.t.Context(), campaign.Start{Campaign: "birthday", Actor: "tester"})
	s.must(err)
	return r.ID
}

// run starts an engine of this process; stop ends it and waits.
func (s *shop) run(how sending) (stop func()) {
	s.t.Helper()
	if how.SMTP == "" {
		how.SMTP = s.mail.SMTPAddr()
	}
	if how.Lease == (delivery.Lease{}) {
		how.Lease = quick
	}
	e, err := s.sender().engine(how)
	s.must(err)
	return s.runEngine(e)
}

// sender is the company as another process sees it, with connections of its own and the same business time.
func (s *shop) sender() *company {
	s.t.Helper()
	pool, err := pg.Connect(s.t.Context(), pgtest.URL(s.pool), pg.Options{MaxConns: 16})
	s.must(err)
	s.t.Cleanup(pool.Close)
	c, err := openCompany(s.t.Context(), pool, monday)
	s.must(err)
	c.clock = s.clock
	return c
}

func (s *shop) runEngine(e *delivery.Engine) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, s.planner.AddWorkers) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("the engine ended with: %v", err)
		}
	}
	s.t.Cleanup(stop)
	return stop
}

// await waits until the run is in one of the states.
func (s *shop) await(run int, states ...string) *delivery.Progress {
	s.t.Helper()
	var p *delivery.Progress
	s.until("run is "+strings.Join(states, " or "), func() bool {
		p = s.progress(run)
		for _, state := range states {
			if p.State == state {
				return true
			}
		}
		return false
	})
	return p
}

// progress reads where a run stands, also while the test's own connections are cut.
func (s *shop) progress(run int) *delivery.Progress {
	s.t.Helper()
	for try := 0; ; try++ {
		p, err := delivery.ReadProgress(s.t.Context(), s.pool, run, s.clock.now())
		if err == nil {
			return p
		}
		if try == 20 || !pg.Fleeting(err) {
			s.t.Fatal(err)
		}
	}
}

// until waits for a condition.
func (s *shop) until(what string, condition func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			s.t.Fatalf("after 90 s still not: %s\n%s", what, s.books())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// books shows where everything stands.
func (s *shop) books() string {
	return s.text(`select coalesce(string_agg(line, E'\n'), '') from (
		select format('run %s %s %s', id, state, reason) as line from runs
		union all select format('  messages %s %s: %s', state, reason, count(*)) from messages group by state, reason
		union all select format('  batch %s [%s] worker %s epoch %s done %s due %s', id, hi - lo + 1, worker, epoch, done, due_at) from batches where not done
		union all select format('  worker %s stopped %s', id, stopped_at) from workers
		union all select format('  jobs %s: %s', state, count(*)) from river_job group by state) x`)
}

// checkBooks holds invariant 2, that totals and occasions are the ledger's, and that nothing is claimed in a batch that
// nobody holds.
func (s *shop) checkBooks() {
	s.t.Helper()
	for what, sql := range map[string]string{
		"runs do not add up": `
			select count(*) from (
				select run_id from run_totals group by run_id
				having sum(delta) filter (where state = 'audience') <> coalesce(sum(delta) filter (where state <> 'audience'), 0)) x`,
		"totals differ from the ledger": `
			select count(*) from (
				(select run_id, state::text, coalesce(reason, ''), count(*) from messages group by 1, 2, 3
				 except select run_id, state, reason, sum(delta) from run_totals where state not in ('audience', 'already') group by 1, 2, 3)
				union all
				(select run_id, state, reason, sum(delta) from run_totals where state not in ('audience', 'already') group by 1, 2, 3 having sum(delta) <> 0
				 except select run_id, state::text, coalesce(reason, ''), count(*) from messages group by 1, 2, 3)) x`,
		"occasions are spent wrongly": `
			select count(*) from occasions o join messages m on m.id = o.message_id where o.spent <> (m.state not in ('failed', 'skipped'))`,
		"messages are claimed and nobody holds their batch": `
			select count(*) from messages m join batches b on m.id between b.lo and b.hi where m.state = 'claimed' and b.worker is null`,
		"messages are planned and their batch is done": `
			select count(*) from messages m where m.state = 'planned' and not exists (select from batches b where m.id between b.lo and b.hi and not b.done)`,
		"messages have attempts that do not count up to their number": `
			select count(*) from messages m where m.attempts <> (select count(*) from attempts a where a.message_id = m.id)
				or m.attempts <> (select coalesce(max(number), 0) from attempts a where a.message_id = m.id)`,
		"sent messages have not exactly one accepted attempt": `
			select count(*) from messages m where (m.state = 'sent')::int <> (select count(*) from attempts a where a.message_id = m.id and a.verdict = 'accepted')`,
	} {
		if n := s.number(sql); n > 0 {
			s.t.Errorf("%d %s\n%s", n, what, s.books())
		}
	}
}

// checkMail compares the ledger with the server's own record: nobody got two messages, what the ledger calls sent was
// accepted, and what was accepted it calls sent or unknown.
func (s *shop) checkMail() {
	s.t.Helper()
	accepted, recipients := map[string]int{}, map[string]int{}
	for m := range s.mail.Each(sandbox.Filter{}) {
		if m.Verdict.Accepted {
			accepted[m.Token]++
			recipients[fmt.Sprint(m.To)]++
		}
	}
	for to, n := range recipients {
		if n > 1 {
			s.t.Errorf("%s got %d messages", to, n)
		}
	}
	rows, err := s.pool.Query(s.t.Context(), `select id, state::text from messages`)
	s.must(err)
	defer rows.Close()
	var id int64
	var state string
	for rows.Next() {
		s.must(rows.Scan(&id, &state))
		n := accepted[s.urls.MessageToken(id)]
		delete(accepted, s.urls.MessageToken(id))
		if state == "sent" && n != 1 || n > 1 || n == 1 && state != "sent" && state != "unknown" {
			s.t.Errorf("message %d is %s and was accepted %d times", id, state, n)
		}
	}
	s.must(rows.Err())
	if len(accepted) > 0 {
		s.t.Errorf("the server accepted %d messages that the ledger does not know", len(accepted))
	}
}

// channel is the shop's account at its mail server.
func (s *shop) channel() channels.Channel {
	s.t.Helper()
	cfg, err := email.Parse("smtp://"+s.mail.SMTPAddr(), "Bengkel Maju <halo@bengkel.example>")
	s.must(err)
	c, err := email.New(cfg)
	s.must(err)
	return c
}
