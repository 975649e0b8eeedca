package segment

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/migrations"
)

// The ledger of the tests' world: what Sapa sent the customers and heard of them, at moments that are the edges of the
// periods which rules are drawn with.
type ledger struct {
	messages   []sentMessage
	consents   map[string]customer.Ledger // by customer key
	erased     map[string]bool
	suppressed map[string]string // channel → normalised address
}

type sentMessage struct {
	run       int
	key       string
	state     string
	claimed   time.Time
	handed    time.Time // zero: no attempt is known
	tried     bool      // an earlier attempt had another time
	unclear   bool      // nobody knows when it was handed over within the attempt
	responses map[string]time.Time
}

// Runs 1 to 3 are those of campaign a, 4 to 6 those of b; nothing was ever sent of c.
func campaignOf(run int) string { return map[bool]string{true: "a", false: "b"}[run <= 3] }

var (
	testCampaigns = []string{"a", "b", "c"}
	testTopics    = []string{"news", "offers", "alerts", "texts", "unlisted"}
	testPeriods   = []string{"days(30)", "hours(48)", "months(1)", "weeks(2)", "years(1)", "days(1) + months(1)", `duration("90m")`}
)

// testSegments are the named segments that rules use.
func testSegments() map[string]string {
	return map[string]string{
		"regulars": `count(customer.orders, .paid) >= 1 || segment("reached")`,
		"loyal":    `segment("regulars") && !segment("vips")`,
		"vips":     `customer.vip`,
		"reached":  `received("a", days(30))`,
		"foreign":  `any(customer.vehicles, .km > customer.visits) ? !subscribed("offers") : customer.age != nil`,
		"spelt":    `customer.name matches "\\bs" || has_channel("sms")`, // SQL can't decide it
	}
}

func testNames() *Names {
	n := &Names{Segments: map[string]NamedRule{}, Campaigns: testCampaigns, Goals: testCampaigns, Topics: testTopics}
	for name, text := range testSegments() {
		n.Segments[name] = NamedRule{Text: text}
	}
	return n
}

// testScope is the scope of the tests' rules.
func testScope(s *customer.Schema) *Scope { return NewScope(s).WithNames(testNames()) }

// peopleColumns are what of the customer's row Sapa reads itself.
func peopleColumns(s *customer.Schema) {
	s.Email, s.Phone = customer.Field{Column: "email"}, customer.Field{Column: "phone"}
	s.Region = customer.Field{Column: "country", Default: "id"}
	s.Consent = customer.Consent{Granted: true, Columns: map[string]string{"email": "news_ok"}}
	s.Topics = []customer.Topic{
		{Name: "news"},
		{Name: "offers", OptIn: customer.OptInSingle},
		{Name: "alerts", OptIn: customer.OptInDouble},
		{Name: "texts", Channels: []string{"sms"}},
	}
}

// peoplePool is the values of those columns; nil for all others.
func peoplePool(column string) []any {
	switch column {
	case "email":
		return []any{"budi@example.com", "BUDI@Example.com", "siti@example.com", "ani@example.com", "nobody", "", "a@b@c"}
	case "phone":
		return []any{"0811 1234 567", "+628111234567", "0812-3456-789", "021 5551234", "call me", "", "2025550123"}
	case "country":
		return []any{"ID", " id", "US", "Indonesia", ""}
	}
	return nil
}

func newLedger(seed uint64, clocks []Clock, customers []map[string]any) *ledger {
	r := rand.New(rand.NewPCG(seed, 11))
	l := &ledger{
		consents: map[string]customer.Ledger{}, erased: map[string]bool{},
		suppressed: map[string]string{"email": "budi@example.com", "sms": "+628111234567"},
	}
	var moments []time.Time
	for _, clock := range clocks {
		now := clock.Now.Truncate(time.Microsecond)
		moments = append(moments, now, now.Add(-time.Microsecond), now.Add(time.Hour), now.AddDate(-3, 0, 0))
		for _, text := range testPeriods {
			at := parsePeriod(text).before(clock)
			moments = append(moments, at, at.Add(-time.Microsecond), at.Add(time.Minute))
		}
	}
	for _, row := range customers {
		key := strconv.FormatInt(row["id"].(int64), 10)
		l.erased[key] = r.IntN(20) == 0
		for range r.IntN(4) {
			l.messages = append(l.messages, randomMessage(r, key, moments))
		}
		l.consents[key] = randomConsents(r, key, moments)
	}
	for _, key := range []string{"erased:7", "99999", "not a number"} { // of nobody who is a customer
		l.messages = append(l.messages, randomMessage(r, key, moments))
	}
	return l
}

func parsePeriod(text string) period {
	rule, problems := ParseRule(Text(`received("a", `+text+`)`), testScope(testSchema()))
	if problems != nil {
		panic(problems.Error())
	}
	return rule.Facts()[0].within
}

func randomMessage(r *rand.Rand, key string, moments []time.Time) sentMessage {
	m := sentMessage{
		run: 1 + r.IntN(6), key: key, claimed: anyOf(r, moments), responses: map[string]time.Time{}, tried: r.IntN(3) == 0,
		state: anyOf(r, []string{"sent", "sent", "sent", "unknown", "failed", "skipped", "planned", "claimed"}), unclear: r.IntN(4) == 0,
	}
	if r.IntN(8) > 0 {
		m.handed = anyOf(r, moments)
	}
	for _, kind := range []string{"open", "click", "reply", "conversion", "machine_open", "machine_click"} {
		if r.IntN(3) == 0 {
			m.responses[kind] = anyOf(r, moments)
		}
	}
	return m
}

func randomConsents(r *rand.Rand, key string, moments []time.Time) (l customer.Ledger) {
	for range r.IntN(5) {
		c := customer.ConsentChange{
			CustomerKey: key, Channel: anyOf(r, []string{"email", "sms", customer.Every}), Topic: anyOf(r, append([]string{customer.Every}, testTopics...)),
			Granted: r.IntN(2) == 0, At: anyOf(r, moments),
		}
		c.Pending = !c.Granted && r.IntN(4) == 0
		switch r.IntN(5) {
		case 0:
			c.Until, c.Granted, c.Channel, c.Topic = anyOf(r, moments), false, customer.Every, customer.Every
		case 1:
			c.Resumes = true
		}
		l = append(customer.Ledger{{ConsentChange: c}}, l...) // the latest first
	}
	return l
}

// finished is when a run was over: with its last hand-over. The last run of each campaign is not.
func (l *ledger) finished(run int) *time.Time {
	if run%3 == 0 {
		return nil
	}
	var last time.Time
	for _, m := range l.messages {
		if m.run == run && m.at().After(last) {
			last = m.at()
		}
	}
	return &last
}

// at is when the message was handed over, by what is known.
func (m *sentMessage) at() time.Time {
	if m.handed.IsZero() {
		return m.claimed
	}
	return m.handed
}

// create makes Sapa's tables and fills them, and has the address book filled.
func (l *ledger) create(t testing.TB, pool *pgxpool.Pool, schema *customer.Schema) {
	t.Helper()
	if err := migrations.Up(t.Context(), pool, "sapa"); err != nil {
		t.Fatal(err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`select ensure_month(10)`)
	batch.Queue(`insert into campaigns (id, name) overriding system value values (1, 'a'), (2, 'b'), (3, 'c')`)
	batch.Queue(`insert into versions (id, campaign_id, number, topic, source, files, fingerprint, applied_by) overriding system value
		select c, c, 1, 'news', '', '{}', '', 'tester' from generate_series(1, 3) c`)
	for run := 1; run <= 6; run++ {
		campaign := 1 + (run-1)/3
		batch.Queue(`insert into runs (id, campaign_id, version_id, tick, as_of, actor, message_base, message_count, finished_at)
			overriding system value values ($1, $2, $2, now(), now(), 'tester', $3, $4, $5)`, run, campaign, baseOf(run), l.count(run), l.finished(run))
	}
	l.queueMessages(batch)
	for key, said := range l.consents {
		for _, c := range slices.Backward(said) {
			until := any(nil)
			if !c.Until.IsZero() {
				until = c.Until
			}
			batch.Queue(`insert into consents (customer_key, channel, topic, granted, pending, until, resumes, source, at)
				values ($1, $2, $3, $4, $5, $6, $7, 'test', $8)`, key, c.Channel, c.Topic, c.Granted, c.Pending, until, c.Resumes, c.At)
		}
		if l.erased[key] {
			batch.Queue(`insert into erasures (customer_key, key_hash, at, actor, row_present) values ($1, $1::text::bytea, now(), 'tester', true)`, key)
		}
	}
	if err := pool.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatalf("fill the ledger: %v", err)
	}
	for channel, address := range l.suppressed {
		if err := customer.Suppress(t.Context(), pool, channel, address, customer.Suppression{Reason: "by hand", Source: "test", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	rule, problems := ParseRule(Text(`has_channel("email") && has_channel("sms")`), testScope(schema))
	if problems != nil {
		t.Fatal(problems)
	}
	if err := FillFacts(t.Context(), pool, nil, testClocks()[0], rule); err != nil {
		t.Fatal(err)
	}
}

func baseOf(run int) int64 { return 10<<44 | int64(run)<<28 }

func (l *ledger) count(run int) (n int) {
	for _, m := range l.messages {
		if m.run == run {
			n++
		}
	}
	return n
}

func (l *ledger) queueMessages(batch *pgx.Batch) {
	last := map[int]int64{}
	for _, m := range l.messages {
		last[m.run]++
		id, attempts := baseOf(m.run)+last[m.run], 1
		if m.tried {
			attempts = 2
			batch.Queue(`insert into attempts (message_id, number, worker, epoch, at, handed_over, verdict) values ($1, 1, 1, 1, $2, $2, 'retry')`, id, m.claimed)
		}
		batch.Queue(`insert into messages (id, run_id, not_before, claimed_at, state, channel, customer_key, attempts)
			values ($1, $2, $3, $3, $4::text::message_state, 'email', $5, $6)`, id, m.run, m.claimed, m.state, m.key, attempts)
		if !m.handed.IsZero() {
			at, handed := m.handed.Add(-time.Second), any(m.handed)
			if m.unclear {
				at, handed = m.handed, nil
			}
			batch.Queue(`insert into attempts (message_id, number, worker, epoch, at, handed_over, verdict) values ($1, $2, 1, 1, $3, $4, 'accepted')`,
				id, attempts, at, handed)
		}
		for kind, at := range m.responses {
			batch.Queue(`insert into responses (message_id, kind, first_at) values ($1, $2, $3)`, id, kind, at)
			if kind == "click" { // the link, at another time
				batch.Queue(`insert into responses (message_id, kind, part, link, first_at) values ($1, $2, 'html', 0, $3)`, id, kind, at.Add(time.Hour))
			}
		}
	}
}

// holds says whether a fact is true of a customer. since is the zero time for ever.
func (l *ledger) holds(schema *customer.Schema, row map[string]any, name, of, channel string, since, now time.Time) bool {
	key := strconv.FormatInt(row["id"].(int64), 10)
	switch name {
	case "subscribed":
		return !l.erased[key] && l.subscribed(schema, row, key, of, channel, now)
	case "has_channel":
		return !l.erased[key] && l.reachable(row, of)
	}
	kind := map[string]string{"opened": "open", "clicked": "click", "replied": "reply", "converted": "conversion"}[name]
	return slices.ContainsFunc(l.messages, func(m sentMessage) bool {
		if m.key != key || campaignOf(m.run) != of {
			return false
		}
		if name == "received" {
			return (m.state == "sent" || m.state == "unknown") && !m.at().Before(since)
		}
		at, ok := m.responses[kind]
		return ok && !at.Before(since)
	})
}

func (l *ledger) subscribed(schema *customer.Schema, row map[string]any, key, topic, channel string, now time.Time) bool {
	channels := []string{channel}
	if channel == "" {
		channels = map[bool][]string{true: {"sms"}, false: {"email", "sms", "whatsapp", "voice", "calls"}}[topic == "texts"]
	}
	return slices.ContainsFunc(channels, func(channel string) bool {
		var opted *bool
		if v, ok := row["news_ok"].(bool); ok && channel == "email" {
			opted = &v
		}
		return schema.Standing(l.consents[key], opted, channel, topic, now).Granted
	})
}

func (l *ledger) reachable(row map[string]any, channel string) bool {
	column := map[string]string{"email": "email", "sms": "phone"}[channel]
	raw, _ := row[column].(string)
	region, _ := row["country"].(string)
	if region = strings.ToUpper(strings.TrimSpace(region)); len(region) != 2 {
		region = "ID"
	}
	a, err := customer.Normalise(channel, raw, region)
	if err != nil {
		panic(err)
	}
	return raw != "" && a.Usable() && !strings.EqualFold(a.Normalised, l.suppressed[channel])
}

// row is a customer as a Program wants it.
func (w *world) row(row map[string]any, rule *Rule, clock Clock) Row {
	out, known := Row{"customer": row}, map[string]bool{}
	now := clock.Now.Truncate(time.Microsecond)
	for _, f := range rule.Facts() {
		var since time.Time
		if f.within != (period{}) {
			since = addInstant(now, f.within.negated(), clock.Zone)
		}
		known[f.String()] = w.ledger.holds(w.schema, row, f.Name, f.Of, f.Channel, since, now)
	}
	out[FactsKey] = known
	return out
}
