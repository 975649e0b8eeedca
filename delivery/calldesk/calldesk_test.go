package calldesk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
	"github.com/sapa-crm/sapa/segment"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// monday is a fixed day of business: Monday 23 November 2026, 9 o'clock in Jakarta.
var monday = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

const floristYAML = `
customers:
  table: shop.customers
  key: id
  phone: phone
  name: name
  timezone: {column: zone, default: Asia/Jakarta}
  region: {default: ID}
  consent: {default: granted, calls: may_call}
channels:
  calls: {card: [favourite, last_order, may_call]}
`

// versions is what applied versions say: quiet hours, and whom their rule means no more; or what is wrong with them.
type versions struct {
	quiet  []customer.Window
	gone   []string
	broken map[int]error // by version
	rules  map[int]error // by run
}

func (v *versions) Content(_ context.Context, version int) (*delivery.Content, error) {
	if err := v.broken[version]; err != nil {
		return nil, err
	}
	return &delivery.Content{Others: map[string]*delivery.Parts{"calls": {}}, Limits: delivery.Limits{Quiet: v.quiet}}, nil
}

func (v *versions) Still(_ context.Context, run int, customers []string) (keys []segment.Key, err error) {
	if err := v.rules[run]; err != nil {
		return nil, err
	}
	for _, c := range customers {
		if !slices.Contains(v.gone, c) {
			keys = append(keys, segment.Key{Customer: c})
		}
	}
	return keys, nil
}

func (v *versions) StillByEvent(context.Context, int, int64) ([]segment.Key, error) {
	return nil, errors.New("no event triggers these campaigns")
}

// florist is a shop whose campaign "mothers-day" has put customers c1 … c6 on the list, in this order.
type florist struct {
	*Desk
	t        *testing.T
	now      time.Time
	run      *ledgertest.Run
	versions *versions
}

func newFlorist(t *testing.T) *florist {
	t.Helper()
	f := &florist{t: t, now: monday, versions: &versions{}}
	pool := pgtest.Pool(t)
	ledgertest.Exec(t, pool, `create schema shop; create table shop.customers (
		id text primary key, name text, phone text, zone text, favourite text, last_order date, may_call boolean);
		insert into shop.customers select 'c' || i, 'Ibu ' || i, '0812-0000-000' || i, null, 'roses', '2026-05-10', null from generate_series(1, 6) i`)
	cfg, problems := customer.LoadConfig("sapa.yaml", floristYAML, func(string) string { return "" })
	f.must(problems.Err())
	schema, problems, err := customer.Resolve(t.Context(), pool, cfg)
	f.must(err)
	f.must(problems.Err())
	f.Desk = &Desk{
		Pool: pool, Schema: schema, Library: f.versions, Settings: cfg.Channels.Calls.WithDefaults(),
		Now: func() time.Time { return f.now },
	}
	f.run = f.calls("mothers-day")
	return f
}

// calls is a campaign's run with everybody on the list, due one minute after the other before now.
func (f *florist) calls(campaign string) *ledgertest.Run {
	f.t.Helper()
	run := ledgertest.NewCampaign(f.t, f.Pool, campaign, "offers").Run(f.t, "", 6)
	f.exec(`update runs set as_of = $1 where id = $2`, f.now, run.ID)
	f.exec(`insert into addresses (channel, region, raw, normalised, hash) select 'calls', 'ID', phone, '+62812000000' || right(id, 1), ('h' || id)::bytea from shop.customers on conflict do nothing`)
	f.exec(`update messages m set channel = 'calls', not_before = '9999-01-01Z', address_id = a.id
		from shop.customers c join addresses a on a.raw = c.phone where m.run_id = $1 and c.id = m.customer_key`, run.ID)
	f.exec(`insert into batches (run_id, lo, hi, due_at, channel) values ($1, $2, $3, '9999-01-01Z', 'calls')`, run.ID, run.Base+1, run.Base+6)
	f.exec(`insert into calls (message_id, run_id, customer_key, name, locale, reason, offer, script, due_at)
		select id, run_id, customer_key, 'Ibu ' || right(customer_key, 1), 'id-ID', 'bought last year', '10 %', 'Selamat pagi', $2::timestamptz + (id - $3) * interval '1 minute'
		from messages where run_id = $1`, run.ID, f.now.Add(-time.Hour), run.Base)
	return run
}

func (f *florist) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *florist) exec(sql string, args ...any) {
	f.t.Helper()
	ledgertest.Exec(f.t, f.Pool, sql, args...)
}

func (f *florist) texts(sql string, args ...any) []string {
	f.t.Helper()
	rows, _ := f.Pool.Query(f.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	f.must(err)
	return list
}

func (f *florist) equal(what string, want, got any) {
	f.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// give is whom an agent is given to call; "" nobody.
func (f *florist) give(agent string) string {
	f.t.Helper()
	c, err := f.Next(f.t.Context(), agent)
	if errors.Is(err, ErrNone) {
		return ""
	}
	f.must(err)
	return c.CustomerKey
}

// done says what came of an agent's call, which they are given first.
func (f *florist) done(agent string, o calls.Outcome, at ...string) Said {
	f.t.Helper()
	c, err := f.Next(f.t.Context(), agent)
	f.must(err)
	r := Result{Outcome: o, Note: "a note on " + c.CustomerKey}
	for _, r.At = range at {
	}
	said, err := f.Desk.Done(f.t.Context(), agent, c.ID, r)
	f.must(err)
	return said
}

func (f *florist) states() []string {
	f.t.Helper()
	return f.texts(`select concat_ws(' ', customer_key, state, reason) from messages where run_id = $1 order by id`, f.run.ID)
}

func TestNext(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	c, err := f.Next(t.Context(), "ani")
	f.must(err)
	f.equal("the call", &Call{
		ID: f.run.Base + 1, Run: f.run.ID, Campaign: "mothers-day", CustomerKey: "c1", Name: "Ibu 1", Phone: "+628120000001", Locale: "id-ID", Zone: "Asia/Jakarta",
		Reason: "bought last year", Offer: "10 %", Script: "Selamat pagi", Until: monday.Add(15 * time.Minute),
		Card: []CardLine{{"favourite", "roses"}, {"last order", "10 May 2026"}},
	}, c)
	f.equal("asked again", "c1", f.give("ani"))
	f.equal("another agent", "c2", f.give("budi"))
	f.must(f.Release(t.Context(), "budi", f.run.Base+2))
	if err := f.Release(t.Context(), "budi", f.run.Base+2); !errors.Is(err, ErrState) {
		t.Errorf("released twice: %v", err)
	}
	f.equal("behind those that were due before", "c3", f.give("budi"))
	err = f.Release(t.Context(), "budi", f.run.Base+1)
	if want := fmt.Sprintf("call %d: that is not possible with this call now: ani has it until 09:15", f.run.Base+1); err == nil || err.Error() != want {
		t.Errorf("released another's: %v, want %s", err, want)
	}
	f.now = monday.Add(15 * time.Minute)
	f.equal("what ani forgot is anybody's", "c1", f.give("citra"))
	if _, err := f.Current(t.Context(), "ani"); !errors.Is(err, ErrNone) {
		t.Errorf("ani still has a call: %v", err)
	}
}

// Whoever may not be called any more is put aside when their turn comes.
func TestNextLooksAgain(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.must(customer.Suppress(t.Context(), f.Pool, "calls", "+628120000001", customer.Suppression{Reason: "by hand", Source: "ani", At: monday}))
	f.must(customer.SetConsent(t.Context(), f.Pool, customer.ConsentChange{CustomerKey: "c2", Channel: "*", Topic: "offers", Source: "page", At: monday}))
	f.exec(`update shop.customers set may_call = false where id = 'c3'`)
	f.exec(`delete from shop.customers where id = 'c4'`)
	f.versions.gone = []string{"c5"}
	f.now = monday.Add(11 * time.Minute) // the run's rule is asked again
	f.equal("given", "c6", f.give("ani"))
	f.equal("the ledger", []string{
		"c1 skipped suppressed", "c2 skipped no consent", "c3 skipped no consent", "c4 skipped gone", "c5 skipped no longer eligible", "c6 planned",
	}, f.states())
	f.equal("attempts", []string{}, f.texts(`select message_id::text from attempts`))
	f.equal("occasions free again", []string{"c6"}, f.texts(`select customer_key from occasions where spent`))
	said, err := f.Desk.Done(t.Context(), "ani", f.run.Base+1, Result{Outcome: calls.DoNotCall})
	f.must(err)
	f.equal("called all the same, from an exported list, say", Said{Outcome: calls.DoNotCall, Late: true}, said)
	f.equal("whom nobody may call again", []string{"c1 calls"}, f.texts(`select customer_key || ' ' || channel from consents where evidence->>'said' <> ''`))
}

func TestHours(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.exec(`update messages set zone = 'Asia/Jayapura' where id = $1`, f.run.Base+3) // two hours ahead
	f.exec(`update calls set due_at = due_at - interval '1 day'`)
	f.now = time.Date(2026, 11, 23, 0, 59, 59, 0, time.UTC) // a second before eight in Jakarta
	f.equal("in the east it is day", "c3", f.give("ani"))
	f.equal("in Jakarta it is night", "", f.give("budi"))
	f.now = f.now.Add(time.Second)
	f.equal("at eight", "c1", f.give("budi"))
	f.versions.quiet = []customer.Window{{From: 7 * 60, To: 9 * 60}}
	f.equal("the campaign's quiet hours", "", f.give("citra"))
	f.now = monday
	f.equal("after them, what budi forgot", "c1", f.give("citra"))
	f.exec(`update runs set state = 'paused'`)
	f.equal("a paused run gives nothing out", "", f.give("dewi"))
	f.equal("what is in hand stays there", "c1", f.give("citra"))
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	for _, o := range []calls.Outcome{calls.Reached, calls.Interested, calls.Order, calls.WrongNumber, calls.DoNotCall} {
		f.equal(string(o), Said{Outcome: o}, f.done("ani", o))
	}
	f.equal("no answer", Said{Outcome: calls.NoAnswer, Open: true, DueAt: f.now.Add(3 * time.Hour)}, f.done("ani", calls.NoAnswer))
	f.equal("not yet", "", f.give("ani"))
	f.now = f.now.Add(3 * time.Hour)
	f.done("ani", calls.NoAnswer)
	f.now = f.now.Add(3 * time.Hour)
	c, err := f.Next(t.Context(), "ani")
	f.must(err)
	if c.Tries != 2 || !c.Last {
		t.Errorf("the third try is %+v", c)
	}
	f.equal("the third time", Said{Outcome: calls.NoAnswer}, f.done("ani", calls.NoAnswer))
	f.equal("the ledger", []string{"c1 sent", "c2 sent", "c3 sent", "c4 failed wrong number", "c5 sent", "c6 failed not reached"}, f.states())
	f.equal("the run", []string{"done"}, f.texts(`select state::text from runs`))
	f.equal("attempts", []string{
		"accepted reached", "accepted interested", "accepted order", "permanent wrong number", "accepted do not call", "permanent no answer",
	}, f.texts(`select verdict || ' ' || words from attempts order by message_id`))
	f.equal("suppressions", []string{"calls +628120000004 wrong number", "calls +628120000005 do not call"},
		f.texts(`select channel || ' ' || address || ' ' || reason from suppressions order by 1`))
	f.equal("the consent ledger", []string{fmt.Sprintf("c5 calls * f ani on the telephone %d", f.run.Base+5)},
		f.texts(`select concat_ws(' ', customer_key, channel, topic, granted, source, evidence->>'said', evidence->>'message') from consents`))
	f.equal("responses", []string{
		"call_do_not_call 1 1", "call_interested 1 1", "call_no_answer 3 1", "call_order 1 1", "call_reached 1 1", "call_wrong_number 1 1", "unsubscribe 1 1",
	}, f.texts(`select kind || ' ' || sum(total) || ' ' || sum(uniq) from response_totals group by kind order by 1`))
	f.equal("the audit log", []string{"reached", "interested", "order", "wrong number", "do not call", "no answer", "no answer", "no answer"},
		f.texts(`select detail->>'outcome' from audit_log where action = 'call' order by id`))
	f.equal("notes in the audit log", []string{}, f.texts(`select detail::text from audit_log where detail::text like '%note%'`))
	_, err = f.Desk.Done(t.Context(), "ani", f.run.Base+3, Result{Outcome: calls.Reached})
	if want := fmt.Sprintf("call %d: that is not possible with this call now: it is done, order", f.run.Base+3); err == nil || err.Error() != want {
		t.Errorf("done twice: %v, want %s", err, want)
	}
	if _, err := f.Desk.Done(t.Context(), "ani", 77, Result{Outcome: calls.Reached}); !errors.Is(err, ErrNotFound) {
		t.Errorf("call 77: %v", err)
	}
}

// A call back is kept for the agent who agreed on it, for a while, and then goes to anybody.
func TestCallBack(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	at := monday.Add(2 * time.Hour)
	said := f.done("ani", calls.CallBack, "11:00")
	if !said.Open || !said.DueAt.Equal(at) {
		t.Errorf("agreed: %+v", said)
	}
	f.equal("meanwhile", "c2", f.give("ani"))
	f.must(f.Release(t.Context(), "ani", f.run.Base+2))
	f.now = at
	f.exec(`update calls set due_at = due_at + interval '1 day' where customer_key <> 'c1'`)
	f.equal("hers, also where there is nothing else", "", f.give("budi"))
	f.exec(`update calls set due_at = due_at - interval '1 day' where customer_key <> 'c1'`)
	f.equal("not budi's", "c3", f.give("budi"))
	f.equal("before all others", "c1", f.give("ani"))
	f.done("ani", calls.CallBack, "1h")
	f.now = at.Add(time.Hour + keepFor)
	f.equal("by their time", "c3", f.give("budi"))
	f.done("budi", calls.Reached)
	for range 4 {
		f.done("citra", calls.Reached)
	}
	f.equal("anybody's by now", "c1", f.give("citra"))
	for at, want := range map[string]string{
		"":                 "say when the customer wants to be called",
		"2026-11-23T12:29": "2026-11-23 12:29 has passed; it is 2026-11-23 12:30 where the customer lives",
		"20.00":            "from 20:00 to 08:00 nobody is called; choose another time than 2026-11-23 20:00",
		"2028-11-23 12:30": "2028-11-23 12:30 is more than a year ahead",
		"tomorrow":         `write a time such as 14:30, a date and a time such as 2026-11-24 12:30, or 2h; not "tomorrow"`,
	} {
		_, err := f.Desk.Done(t.Context(), "citra", f.run.Base+1, Result{Outcome: calls.CallBack, At: at})
		if !errors.Is(err, ErrTime) || err.Error() != "that is no time to call back: "+want {
			t.Errorf("call back at %s: %v\nwant %s", at, err, want)
		}
	}
	f.equal("12:00 is tomorrow's", time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC), f.done("citra", calls.CallBack, "12:00").DueAt.UTC())
}

// A customer whom two campaigns want called is with one agent at a time, and the more important campaign comes first.
func TestOneAgentForACustomer(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	second := f.calls("valentine")
	f.exec(`update runs set priority = 5 where id = $1`, second.ID)
	var got []string
	for i := range 6 {
		c, err := f.Next(t.Context(), fmt.Sprintf("agent-%d", i))
		f.must(err)
		got = append(got, c.Campaign+" "+c.CustomerKey)
	}
	f.equal("given", []string{"valentine c1", "valentine c2", "valentine c3", "valentine c4", "valentine c5", "valentine c6"}, got)
	f.equal("the other campaign wants the same people", "", f.give("late"))
	f.done("agent-2", calls.Reached)
	f.equal("who is free again", "c3", f.give("late"))
}

func TestTidy(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.exec(`update messages set not_after = $1 where id <= $2`, monday, f.run.Base+2)
	f.run.Settle(t, 3, 3, "skipped", "cancelled")
	f.equal("not too late", "c4", f.give("ani"))
	f.equal("nor this one", "c5", f.give("budi"))
	f.exec(`update messages set not_after = $1 where id = $2`, monday, f.run.Base+4)
	f.must(f.Tidy(t.Context()))
	f.equal("the ledger", []string{"c1 skipped too late", "c2 skipped too late", "c3 skipped cancelled", "c4 planned", "c5 planned", "c6 planned"}, f.states())
	f.equal("open", []string{"c4", "c5", "c6"}, f.texts(`select customer_key from calls where done_at is null order by 1`))
}

// What comes of a call counts also where its run was cancelled meanwhile.
func TestLateOutcome(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.equal("given", "c1", f.give("ani"))
	f.exec(`update runs set state = 'cancelled'`)
	f.must(delivery.Cancel(t.Context(), f.Pool, f.run.ID))
	f.must(f.Tidy(t.Context()))
	f.equal("it stays hers", "c1: The run was cancelled.", f.stopped("ani"))
	f.equal("whom budi gets", "", f.give("budi"))
	said, err := f.Desk.Done(t.Context(), "ani", f.run.Base+1, Result{Outcome: calls.DoNotCall})
	f.must(err)
	f.equal("said", Said{Outcome: calls.DoNotCall, Late: true}, said)
	f.equal("suppressed", []string{"+628120000001"}, f.texts(`select address from suppressions`))
	f.equal("the ledger", "c1 skipped cancelled", f.states()[0])
}

// Eight agents ask at once, again and again, while two campaigns want the same customers: nobody has a customer whom
// somebody else has, and everybody is called once by each campaign.
func TestAgentsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.calls("valentine")
	d := &diary{t: t, with: map[string]string{}, called: map[int64]int{}}
	var agents sync.WaitGroup
	for i := range 8 {
		agents.Go(func() {
			agent := fmt.Sprintf("agent-%d", i)
			for d.count() < 12 {
				c, err := f.Next(t.Context(), agent)
				if errors.Is(err, ErrNone) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				d.begin(agent, c)
				d.end(c)
				if _, err := f.Desk.Done(t.Context(), agent, c.ID, Result{Outcome: calls.Reached}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	agents.Wait()
	for id, n := range d.called {
		if n != 1 {
			t.Errorf("call %d was given out %d times", id, n)
		}
	}
}

// diary is who speaks to whom.
type diary struct {
	t      *testing.T
	mu     sync.Mutex
	with   map[string]string
	called map[int64]int
}

func (d *diary) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.called)
}

func (d *diary) begin(agent string, c *Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if other := d.with[c.CustomerKey]; other != "" {
		d.t.Errorf("%s and %s have %s", agent, other, c.CustomerKey)
	}
	d.with[c.CustomerKey] = agent
	d.called[c.ID]++
}

func (d *diary) end(c *Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.with, c.CustomerKey)
}

// What is claimed at one moment by all, before anybody says what came of it.
func TestClaimsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFlorist(t)
	f.calls("valentine")
	given := make(chan string, 8)
	var agents sync.WaitGroup
	for i := range 8 {
		agents.Go(func() {
			c, err := f.Next(t.Context(), fmt.Sprintf("agent-%d", i))
			switch {
			case err == nil:
				given <- c.CustomerKey
			case !errors.Is(err, ErrNone):
				t.Error(err)
			}
		})
	}
	agents.Wait()
	close(given)
	var got []string
	for key := range given {
		got = append(got, key)
	}
	slices.Sort(got)
	f.equal("customers", []string{"c1", "c2", "c3", "c4", "c5", "c6"}, got)
}
