package privacy

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// today is business time in these tests; their messages are of November 2026.
var today = time.Date(2026, 12, 3, 2, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

const shopYAML = `
customers:
  table: shop.customers
  key: id
  email: email
  phone: phone
  name: name
  region: {default: ID}
  consent: {default: granted, email: newsletter_ok}
`

// shop is a company with a history: its campaign had runs one, two and three for customers c1 … c5.
type shop struct {
	t      *testing.T
	pool   *pgxpool.Pool
	schema *customer.Schema
	one    *ledgertest.Run // e-mail, sent
	two    *ledgertest.Run // e-mail, planned
	three  *ledgertest.Run // texts, sent
}

// What is Zulkifli's, customer c1. Customers c4 and c5 share an address.
func zulkifli() []string {
	return []string{"Zulkifli", "zulkifli.r@mail.example", "0812-3456-7890", "+6281234567890", "ZulBrowser", "198.51.100.77", "hadiah=zul"}
}

func setup(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, pool: pgtest.Pool(t)}
	s.exec(`create schema shop; create table shop.customers (id text primary key, name text, email text, phone text, newsletter_ok boolean)`)
	s.exec(`insert into shop.customers values
		('c1', 'Zulkifli Rahardja', 'Zulkifli.R@Mail.example', '0812-3456-7890', true), ('c2', 'Ani', 'ani@mail.example', '0812-1111-2222', true),
		('c3', 'Budi', 'budi@mail.example', null, null), ('c4', 'Citra', 'keluarga@mail.example', null, null), ('c5', 'Dewi', 'keluarga@mail.example', null, null)`)
	cfg, problems := customer.LoadConfig("sapa.yaml", shopYAML, func(string) string { return "" })
	s.must(problems.Err())
	schema, problems, err := customer.Resolve(t.Context(), s.pool, cfg)
	s.must(err)
	s.must(problems.Err())
	s.schema = schema
	s.runs()
	return s
}

func (s *shop) runs() {
	t := s.t
	for channel, column := range map[string]string{"email": "email", "sms": "phone"} {
		region := map[string]string{"email": "", "sms": "ID"}[channel]
		_, err := customer.FillAddressBook(t.Context(), s.pool, channel, `select `+column+`, '`+region+`' from shop.customers where `+column+` is not null`)
		s.must(err)
	}
	c := ledgertest.NewCampaign(t, s.pool, "hello", "news", "https://bengkel.example/hadiah")
	s.one, s.two, s.three = c.Run(t, "one", 5), c.Run(t, "two", 5), c.Run(t, "three", 5)
	s.one.Settle(t, 1, 5, "sent", "")
	s.one.Attempt(t, 1, 5, "accepted", 250, "2.0.0 Ok")
	s.three.Settle(t, 1, 2, "sent", "")
	s.three.Settle(t, 3, 5, "skipped", "no address")
	s.three.Attempt(t, 1, 2, "accepted", 201, "queued")
	s.exec(`update runs set state = 'done' where id in ($1, $2)`, s.one.ID, s.three.ID)
	s.exec(`update messages m set channel = 'sms' where run_id = $1`, s.three.ID)
	s.exec(`update messages m set address_id = a.id from shop.customers c join addresses a on a.raw in (c.email, c.phone)
		where c.id = m.customer_key and a.channel = m.channel`)
}

// history gives a customer, whose messages have this place in their runs, one of everything that Sapa can hold.
func (s *shop) history(key string, place int64, email, phone, ip, agent, query string) {
	mail, text := s.one.Base+place, s.three.Base+place
	s.exec(`update attempts set words = '550 5.1.1 <' || $2 || '>: no such user', code = 550 where message_id = $1`, mail, email)
	s.exec(`insert into hits (at, message_id, kind, part, link, ip, user_agent) values
		($1, $2, 'open', null, null, $3::inet, $4), ($1, $2, 'click', 'html', 0, $3::inet, $4)`, ledgertest.Tick, mail, ip, agent)
	s.exec(`insert into responses (message_id, kind, first_at) values ($1, 'open', $2)`, mail, ledgertest.Tick)
	s.exec(`insert into responses (message_id, kind, first_at) values ($1, 'click', $2)`, mail, ledgertest.Tick)
	s.exec(`insert into responses (message_id, kind, part, link, first_at) values ($1, 'click', 'html', 0, $2)`, mail, ledgertest.Tick)
	s.exec(`insert into response_totals (run_id, kind, part, link, total, uniq) values ($1, 'open', '', -1, 1, 1), ($1, 'click', '', -1, 1, 1), ($1, 'click', 'html', 0, 1, 1)`, s.one.ID)
	s.exec(`insert into short_links (code, message_id, part, link, query, made_at) values ('aaaaaaa' || $2::text, $1, 'sms', 0, $3, $4),
		('bbbbbbb' || $2::text, $1, 'sms', 0, $3 || '&again=1', $4), ('uuuuuuu' || $2::text, $1, 'unsubscribe', 0, '', $4)`, text, fmt.Sprint(place), query, ledgertest.Tick)
	s.exec(`insert into alerts (message_id, desk, title, text, customer_key, campaign, at) values ($1, 'front-desk', 'Call ' || $2::text, 'They are at ' || $3::text, $4, 'hello', $5)`,
		mail, phone, email, key, ledgertest.Tick)
	s.exec(`insert into letters (message_id, run_id, code, size, content, composed_at) values ($1, 1, 'LETTER' || $2::text, 'a4', jsonb_build_object('text', 'Halo ' || $3::text), $4)`,
		text, key, phone, ledgertest.Tick)
	s.exec(`insert into calls (message_id, run_id, customer_key, name, script, due_at) values ($1, $2, $3, 'of ' || $3::text, 'Ring ' || $4::text, $5)`, text, s.three.ID, key, phone, ledgertest.Tick)
	s.exec(`insert into call_tries (message_id, number, agent, at, outcome, note) values ($1, 1, 'citra', $2, 'reached', 'Write to ' || $3::text)`, text, ledgertest.Tick, email)
	s.exec(`insert into events (name, customer_key, happened_at, data, key, digest, actor, at, warnings)
		values ('check_in', $1, $2, jsonb_build_object('phone', $3::text), 'visit of ' || $3::text, '\x01', 'gate', $2, array['no field ' || $3::text])`, key, ledgertest.Tick, phone)
	s.exec(`insert into triggers (event_id, campaign_id) select max(id), 1 from events`)
	s.exec(`insert into responses (message_id, kind, first_at) values ($1, 'call_reached', $2)`, text, ledgertest.Tick)
	s.exec(`insert into response_totals (run_id, kind, total, uniq) values ($1, 'call_reached', 1, 1)`, s.three.ID)
	s.exec(`insert into delivery_reports (message_id, provider_id, status, words, at, open) values ($1::bigint, 'SM' || $1::text, 'undelivered', 'not reached: ' || $2, $3, false)`, text, phone, ledgertest.Tick)
	s.exec(`insert into inbound (at, channel, provider_id, sender, sender_hash, recipient, body, kind, message_id, customer_key)
		select $1, 'sms', 'IN' || $2, $3, a.hash, '+628110001', 'Saya di ' || $4, 'reply', $5, $2 from addresses a where a.channel = 'sms' and a.normalised = $3`,
		ledgertest.Tick, key, phone, query, text)
	s.exec(`insert into inbound (at, channel, provider_id, sender, sender_hash, recipient, body, kind)
		select $1, 'sms', 'EARLY' || $2, $3, a.hash, '+628110001', 'Halo dari ' || $3, 'reply' from addresses a where a.channel = 'sms' and a.normalised = $3`,
		ledgertest.Tick, key, phone)
	s.must(customer.SetConsent(s.t.Context(), s.pool, customer.ConsentChange{
		CustomerKey: key, Channel: "email", Topic: "news", Source: "unsubscribe page", Evidence: map[string]any{"ip": ip, "user_agent": agent, "message": mail}, At: ledgertest.Tick,
	}))
	s.must(customer.Suppress(s.t.Context(), s.pool, "email", email, customer.Suppression{Reason: "hard bounce", Source: fmt.Sprintf("message %d", mail), At: ledgertest.Tick}))
}

// zul gives customer c1 a history.
func (s *shop) zul() {
	s.history("c1", 1, "zulkifli.r@mail.example", "+6281234567890", "198.51.100.77", "ZulBrowser/9.1", "hadiah=zul")
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%v\n%s", err, sql)
	}
}

func (s *shop) texts(sql string, args ...any) []string {
	s.t.Helper()
	rows, _ := s.pool.Query(s.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatalf("%v\n%s", err, sql)
	}
	return list
}

func (s *shop) number(sql string, args ...any) (n int) {
	s.t.Helper()
	if err := s.pool.QueryRow(s.t.Context(), sql, args...).Scan(&n); err != nil {
		s.t.Fatalf("%v\n%s", err, sql)
	}
	return n
}

func (s *shop) erase(key string) *Erasure {
	s.t.Helper()
	e, err := Erase(s.t.Context(), s.pool, s.schema, EraseOptions{Customer: key, Actor: "ani", Now: clock})
	s.must(err)
	return e
}

// holding lists the tables of Sapa's schema, River's too, that hold one of the words somewhere: in any column, whatever
// its type, in any case of letters, and in bytes.
func holding(t *testing.T, db pg.DBTX, words ...string) []string {
	t.Helper()
	rows, _ := db.Query(t.Context(), `
		select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = current_schema() and c.relkind = 'r' order by 1`)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !slices.Contains(tables, "river_job") || len(tables) < 20 {
		t.Fatalf("tables: %v %v", tables, err)
	}
	found := []string{}
	for _, table := range tables {
		for _, word := range words {
			var n int
			err := db.QueryRow(t.Context(), `select count(*) from `+pgx.Identifier{table}.Sanitize()+` t
				where strpos(lower(t::text), lower($1)) > 0 or strpos(t::text, $2) > 0`, word, hex.EncodeToString([]byte(word))).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 && !slices.Contains(found, table) {
				found = append(found, table)
			}
		}
	}
	return found
}
