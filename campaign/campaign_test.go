package campaign_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
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

func TestMain(m *testing.M) { pgtest.Main(m) }

// shop is a company with a database, an engine and a mail server that catches everything.
type shop struct {
	t       *testing.T
	pool    *pgxpool.Pool
	schema  *customer.Schema
	library *campaign.Library
	planner *campaign.Planner
	mail    *sandbox.Server
	log     *slog.Logger
	now     func() time.Time
}

const shopTables = `
create schema shop;
create table shop.customers (
	id bigint primary key, first_name text, email text, birth_date date, city text, timezone text, newsletter_ok boolean
);
create table shop.vehicles (
	id bigint primary key, customer_id bigint not null, plate text not null, next_service_on date
);
create index on shop.vehicles (customer_id)`

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
  email: {smtp: "smtp://SMTP", from: "Bengkel Maju <halo@bengkel.example>"}
public_url: http://127.0.0.1:9
`

// monday is a fixed day of business: Monday 23 November 2026, 9 o'clock in Jakarta.
var monday = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

func setup(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, pool: pgtest.Pool(t), now: func() time.Time { return monday }}
	s.log = slog.New(slog.DiscardHandler)
	if os.Getenv("SAPA_TEST_LOG") != "" {
		s.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	s.exec(shopTables)
	mail, err := sandbox.Start(t.Context(), sandbox.Config{Dir: t.TempDir(), Log: s.log})
	s.must(err)
	t.Cleanup(func() { _ = mail.Close() })
	s.mail = mail
	s.resolve(strings.ReplaceAll(shopYAML, "SMTP", mail.SMTPAddr()))
	return s
}

func (s *shop) resolve(yaml string) {
	s.t.Helper()
	cfg, problems := customer.LoadConfig("sapa.yaml", yaml, func(string) string { return "" })
	s.must(problems.Err())
	schema, problems, err := customer.Resolve(s.t.Context(), s.pool, cfg)
	s.must(err)
	s.must(problems.Err())
	base, problems := campaign.Base(cfg, schema)
	s.must(problems.Err())
	queue, err := delivery.NewQueue(s.pool, pg.DefaultSchema, s.now)
	s.must(err)
	s.schema, s.library = schema, campaign.NewLibrary(s.pool, schema, base)
	s.planner = &campaign.Planner{Pool: s.pool, Schema: schema, Library: s.library, Queue: queue, Now: s.now, Log: s.log}
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

// apply checks and applies a campaign file whose name is that of the campaign.
func (s *shop) apply(name, text string, templates map[string]string) {
	s.t.Helper()
	files := fstest.MapFS{}
	for file, body := range templates {
		files[file] = &fstest.MapFile{Data: []byte(body)}
	}
	c, problems := campaign.Check("campaigns/"+name+".yaml", text, files, s.schema, s.library.Base())
	s.must(problems.Err())
	_, err := campaign.Apply(s.t.Context(), s.pool, []*campaign.Campaign{c}, s.now(), "tester")
	s.must(err)
}

// customers makes n customers born on the day of monday, with ids from 1.
func (s *shop) customers(n int) {
	s.t.Helper()
	s.exec(`insert into shop.customers (id, first_name, email, birth_date)
		select i, 'Budi ' || i, 'budi' || i || '@mail.example', date '1990-11-23' from generate_series(1, $1::int) i`, n)
}

// engine is an engine with this shop's account.
func (s *shop) engine(smtpURL string) *delivery.Engine {
	s.t.Helper()
	cfg, err := email.Parse(smtpURL, "Bengkel Maju <halo@bengkel.example>")
	s.must(err)
	channel, err := email.New(cfg)
	s.must(err)
	return s.engineWith(channel)
}

func (s *shop) engineWith(channel channels.Channel) *delivery.Engine {
	s.t.Helper()
	keys, err := response.LoadKeyring(s.t.Context(), s.pool)
	s.must(err)
	urls, err := response.NewURLs("http://127.0.0.1:9", keys)
	s.must(err)
	e, err := delivery.New(delivery.Config{
		Pool: s.pool, DBSchema: pg.DefaultSchema, Schema: s.schema, Library: s.library, URLs: urls, Log: s.log, Now: s.now,
		Accounts: map[string]delivery.Account{"email": {Channel: channel, From: channels.Address{Name: "Bengkel Maju", Addr: "halo@bengkel.example"}, Connections: 4}},
	})
	s.must(err)
	return e
}

// send works from one engine until the run is in one of the states, and stops the engine.
func (s *shop) send(e *delivery.Engine, run int, states ...string) *delivery.Progress {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, s.planner.AddWorkers) }()
	p := s.await(run, states...)
	stop()
	s.must(<-ended)
	return p
}

// await waits until the run is in one of the states.
func (s *shop) await(run int, states ...string) *delivery.Progress {
	s.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		p, err := delivery.ReadProgress(s.t.Context(), s.pool, run, s.now())
		s.must(err)
		for _, state := range states {
			if p.State == state {
				return p
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("run %d is %s (%s) after a minute: %v", run, p.State, p.Reason, p.Counts)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *shop) start(name string) (*campaign.Run, *campaign.Plan) {
	s.t.Helper()
	r, plan, err := s.planner.Start(s.t.Context(), campaign.Start{Campaign: name, Actor: "tester"})
	s.must(err)
	return r, plan
}

// addsUp checks invariant 2 of every run, and that the totals are the ledger's.
func (s *shop) addsUp() {
	s.t.Helper()
	if n := s.number(`
		select count(*) from (
			select run_id from run_totals group by run_id
			having sum(delta) filter (where state = 'audience') <> coalesce(sum(delta) filter (where state <> 'audience'), 0)) x`); n > 0 {
		s.t.Errorf("%d runs do not add up", n)
	}
	if n := s.number(`
		select count(*) from (
			(select run_id, state::text, coalesce(reason, ''), count(*) from messages group by 1, 2, 3
			 except select run_id, state, reason, sum(delta) from run_totals where state not in ('audience', 'already') group by 1, 2, 3)
			union all
			(select run_id, state, reason, sum(delta) from run_totals where state not in ('audience', 'already') group by 1, 2, 3 having sum(delta) <> 0
			 except select run_id, state::text, coalesce(reason, ''), count(*) from messages group by 1, 2, 3)) x`); n > 0 {
		s.t.Errorf("%d totals differ from the ledger", n)
	}
	if n := s.number(`select count(*) from occasions o join messages m on m.id = o.message_id
		where o.spent <> (m.state not in ('failed', 'skipped'))`); n > 0 {
		s.t.Errorf("%d occasions are spent wrongly", n)
	}
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

func TestEveryCustomerOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(1200)
	s.apply("birthday", birthdayYAML, nil)

	run, plan := s.start("birthday")
	if plan.Audience != 1200 || plan.Planned != 1200 {
		t.Fatalf("plan: %+v", plan)
	}
	p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	if p.Counts["sent"] != 1200 {
		t.Errorf("sent %d, want 1200: %v", p.Counts["sent"], p.Counts)
	}
	s.addsUp()
	seen := map[string]int{}
	for m := range s.mail.Each(sandbox.Filter{}) {
		seen[fmt.Sprint(m.To)]++
	}
	if len(seen) != 1200 {
		t.Errorf("%d different recipients, want 1200", len(seen))
	}
	for to, n := range seen {
		if n != 1 {
			t.Errorf("%s got %d messages", to, n)
		}
	}

	again, plan := s.start("birthday")
	if plan.Already != 1200 || plan.Planned != 0 {
		t.Errorf("the same again: %+v", plan)
	}
	s.await(again.ID, "done")
	s.addsUp()
}
