package segment

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// bigLedger is 20,000 customers who all had a message of each of two runs of campaign a, a fifth of whom clicked.
func bigLedger(t *testing.T) (*pgxpool.Pool, *customer.Schema) {
	t.Helper()
	pool := pgtest.Pool(t)
	statements := []string{
		`create table public.customers (id bigint primary key, email text, phone text, city text, news_ok boolean)`,
		`insert into public.customers select i, 'c' || i || '@example.com', '0811' || 1000000 + i, 'Solo', i % 3 = 0 from generate_series(1, 20000) i`,
		`insert into campaigns (id, name) overriding system value values (1, 'a'), (2, 'b')`,
		`insert into versions (id, campaign_id, number, topic, source, files, fingerprint, applied_by) overriding system value
			select c, c, 1, 'news', '', '{}', '', 'tester' from generate_series(1, 2) c`,
		`select ensure_month(10)`,
		`insert into runs (id, campaign_id, version_id, tick, as_of, actor, message_base, message_count, finished_at) overriding system value
			select r, 1 + r / 3, 1 + r / 3, now(), now(), 'tester', (10::bigint << 44) + (r::bigint << 28), 20000, timestamptz '2026-11-01' + r * interval '1 day'
			from generate_series(1, 3) r`,
		`insert into messages (id, run_id, not_before, claimed_at, state, channel, customer_key, attempts)
			select r.message_base + i, r.id, now(), r.finished_at, 'sent', 'email', i::text, 1 from runs r, generate_series(1, 20000) i`,
		`insert into attempts (message_id, number, worker, epoch, at, handed_over, verdict)
			select id, 1, 1, 1, claimed_at, claimed_at, 'accepted' from messages`,
		`insert into responses (message_id, kind, first_at) select id, 'click', claimed_at from messages where id % 5 = 0`,
		`insert into consents (customer_key, channel, topic, granted, source) select i::text, '*', 'news', i % 2 = 0, 'test' from generate_series(1, 10000) i`,
		`analyze`,
	}
	for _, sql := range statements {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s\n%v", sql, err)
		}
	}
	customers := entity("customer", "customers", "id", col("id!", customer.Int, "bigint"), col("email", customer.Text, "text"),
		col("phone", customer.Text, "text"), col("city", customer.Text, "text"), col("news_ok", customer.Bool, "boolean"))
	return pool, &customer.Schema{
		Customer: customers, Email: customer.Field{Column: "email"}, Phone: customer.Field{Column: "phone"}, Region: customer.Field{Default: "ID"},
		Consent: customer.Consent{Granted: true, Columns: map[string]string{"email": "news_ok"}}, Topics: []customer.Topic{{Name: "offers", OptIn: customer.OptInSingle}},
	}
}

// Facts are asked of all customers as sets: the rows that PostgreSQL touches stay within a few times those that there are,
// where asking customer by customer would touch billions.
func TestFactsAreAskedAsSets(t *testing.T) {
	t.Parallel()
	alone(t)
	pool, schema := bigLedger(t)
	scope := testScope(schema)
	clock := Clock{Today: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Now: time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC), Zone: time.UTC}
	for _, text := range []string{
		`received("a")`, `!received("a", days(30))`, `!received("a", days(1)) && customer.city == "Solo"`, `clicked("a", days(60))`, `!clicked("a")`,
		`clicked("a") || customer.city == "Semarang" || !received("b")`, `subscribed("news", "email")`, `!subscribed("news")`, `subscribed("offers")`,
		`!subscribed("offers", "sms")`, `has_channel("sms")`, `!has_channel("email")`, `segment("reached") == subscribed("news")`,
	} {
		rule := mustRule(t, text, scope)
		if err := FillFacts(t.Context(), pool, nil, clock, rule); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), `analyze addresses`); err != nil {
			t.Fatal(err)
		}
		q, err := Audience(scope, nil, rule, &Args{}, clock)
		if err != nil {
			t.Fatal(err)
		}
		if rows, plan := touched(t, pool, q); rows > 500_000 {
			t.Errorf("%s touches %d rows:\n%s", text, rows, plan)
		} else {
			t.Logf("%s touches %d rows", text, rows)
		}
	}
}

// touched is how many rows all steps of the plan gave or threw away.
func touched(t *testing.T, pool *pgxpool.Pool, q *Query) (int, string) {
	t.Helper()
	var text string
	err := pool.QueryRow(t.Context(), "explain (analyze, timing off, format json) select count(*) from "+q.From+" where "+q.Where, q.args()...).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan planStep }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.rows(), text
}

type planStep struct {
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Joined  float64 `json:"Rows Removed by Join Filter"`
	Plans   []planStep
}

func (s planStep) rows() int {
	n := int((s.Rows + s.Removed + s.Joined) * s.Loops)
	for _, p := range s.Plans {
		n += p.rows()
	}
	return n
}

// A database without Sapa's tables is told apart from one in which nothing happened.
func TestFactsNeedSapasTables(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	schema := testSchema()
	rule := mustRule(t, `has_channel("sms")`, testScope(schema))
	if err := FillFacts(t.Context(), db, nil, testClocks()[0], rule); err != ErrNoTables { //nolint:errorlint // as it is
		t.Error(err)
	}
	if err := FillFacts(t.Context(), db, nil, testClocks()[0], mustRule(t, `customer.vip`, testScope(schema)), (*Rule)(nil)); err != nil {
		t.Error(err)
	}
}
