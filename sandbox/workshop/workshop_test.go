package workshop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 15, 30, 0, 0, time.FixedZone("WIB", 7*3600))
}

func create(t *testing.T, pool *pgxpool.Pool, c Config) Counts {
	t.Helper()
	counts, err := Create(t.Context(), pool, c)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// ask returns a query's only row as text.
func ask(t *testing.T, pool *pgxpool.Pool, query string, args ...any) string {
	t.Helper()
	rows, err := pool.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, func(r pgx.CollectableRow) (string, error) {
		values, err := r.Values()
		return fmt.Sprint(values...), err
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return row
}

const fingerprint = `select md5(string_agg(line, E'\n' order by line)) from (
	select 'c' || c::text from workshop.customers c union all select 'v' || v::text from workshop.vehicles v
	union all select 's' || s::text from workshop.services s union all select 'o' || o::text from workshop.orders o) x(line)`

func TestTheSameSeedAndDayMakeTheSameWorkshop(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t, pgtest.Collation("C"))
	small := Config{Customers: 300, Vehicles: 400, Today: day(2026, 11, 22), Seed: 7}
	create(t, pool, small)
	first := ask(t, pool, fingerprint)
	create(t, pool, small)
	if again := ask(t, pool, fingerprint); again != first {
		t.Error("the second time differs")
	}
	for name, other := range map[string]Config{
		"seed": {Customers: 300, Vehicles: 400, Today: day(2026, 11, 22), Seed: 8},
		"day":  {Customers: 300, Vehicles: 400, Today: day(2026, 11, 23), Seed: 7},
	} {
		create(t, pool, other)
		if ask(t, pool, fingerprint) == first {
			t.Errorf("another %s makes no difference", name)
		}
	}
}

// TestEveryDayHasItsCases makes the whole workshop for days with traps.
func TestEveryDayHasItsCases(t *testing.T) {
	t.Parallel()
	for _, today := range []time.Time{day(2026, 11, 22), day(2027, 2, 28), day(2028, 2, 29), day(2026, 12, 31)} {
		t.Run(today.Format("2006-01-02"), func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Empty(t)
			size := Config{Today: today, Seed: 1} // all of it for one day, a quarter for the others
			scale := 1.0
			if today.Month() != time.November {
				size.Customers, size.Vehicles, scale = 5_000, 6_500, 0.25
			}
			counts := create(t, pool, size)
			if c := counts; scale == 1 && (c.Customers != 20_000 || c.Vehicles != 26_000 || c.Services < 50_000 || c.Orders < 30_000) {
				t.Errorf("counts %+v", c)
			}
			for name, check := range map[string]struct {
				query     string
				low, high int
			}{
				"birthdays": {`select count(*) from workshop.customers where to_char(birth_date, 'MMDD') = to_char($1::date, 'MMDD')`, 15, 100},
				"born on 29 February": {`select count(*) from workshop.customers
					where to_char(birth_date, 'MMDD') = '0229' and $1::date is not null`, 5, 80},
				"adults": {`select count(*) from workshop.customers
					where birth_date > $1::date - interval '18 years' or birth_date < $1::date - interval '76 years'`, 0, 0},
				"oil changes due in 14 days": {`select count(*) from workshop.vehicles where next_service_on between $1::date and $1::date + 14`, 1200, 1900},
				"overdue":                    {`select count(*) from workshop.vehicles where next_service_on < $1::date`, 1000, 8000},
				"customers with two due vehicles": {`select count(*) from (select from workshop.vehicles
					where next_service_on between $1::date and $1::date + 14 group by customer_id having count(*) > 1) x`, 5, 300},
				"future services": {`select count(*) from workshop.services where serviced_on > $1::date`, 0, 0},
				"future orders":   {`select count(*) from workshop.orders where ordered_at >= $1::date`, 0, 0},
				"big spenders without premium": {`select count(*) from workshop.customers c where premium is not true and
					(select sum(total) from workshop.orders o where o.customer_id = c.id and o.ordered_at > $1::date - 365) > 10e6`, 300, 1500},
				"customers without a vehicle": {`select count(*) from workshop.customers c
					where $1::date is not null and not exists (select from workshop.vehicles v where v.customer_id = c.id)`, 500, 3000},
			} {
				var n int
				if err := pool.QueryRow(t.Context(), check.query, today.Format("2006-01-02")).Scan(&n); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got := float64(n) / scale; got < float64(check.low) || got > float64(check.high) {
					t.Errorf("%s: %d × %v, want %d to %d", name, n, 1/scale, check.low, check.high)
				}
			}
		})
	}
}

func TestTheDataIsAsImperfectAsRealData(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t)
	create(t, pool, Config{Today: day(2026, 11, 22), Seed: 1})
	for _, column := range []string{
		"customers.first_name", "customers.email", "customers.phone", "customers.birth_date", "customers.city", "customers.income",
		"customers.newsletter_ok", "customers.premium", "customers.tags", "customers.timezone", "vehicles.odometer_km",
		"vehicles.next_service_on", "orders.kind",
	} {
		table, name, _ := strings.Cut(column, ".")
		share := ask(t, pool, fmt.Sprintf(`select (avg((%s is null)::int) between 0.09 and 0.11)::text from workshop.%s`, name, table))
		if share != "true" {
			t.Errorf("not about a tenth of %s is missing", column)
		}
	}
	for name, check := range map[string]struct{ query, want string }{
		"foreign domains":  {`select count(*) from workshop.customers where email ~ '@' and trim(email) !~* '(\.example>?|@)$'`, "0"},
		"bad addresses":    {`select count(*) from workshop.customers where email !~ '^[^@]+@[^@]+$'`, `about 100`},
		"bouncing":         {`select count(*) from workshop.customers where email like '%+bounce@%'`, "about 180"},
		"shared addresses": {`select count(*) from (select from workshop.customers group by email having count(*) = 2 and email is not null) x`, "about 33"},
		"deleted":          {`select count(*) from workshop.customers where deleted_at is not null`, "about 400"},
		"deleted too early": {`select count(*) from workshop.customers where deleted_at < created_at or deleted_at > '2026-11-23' or
			created_at > '2026-11-22'`, "0"},
		"one name only":  {`select count(*) from workshop.customers where full_name !~ ' '`, "about 2800"},
		"capitals":       {`select count(*) from workshop.customers where full_name = upper(full_name)`, "about 660"},
		"Jayapura":       {`select count(*) from workshop.customers where timezone = 'Asia/Jayapura'`, "about 200"},
		"Makassar":       {`select count(*) from workshop.customers where timezone = 'Asia/Makassar'`, "about 1100"},
		"no zone at all": {`select count(*) from workshop.customers where timezone not like 'Asia/%'`, "40"},
		"phones":         {`select count(*) from workshop.customers where regexp_replace(phone, '\D', '', 'g') !~ '^(62|0)8\d{2}0000\d{4}$'`, "0"},
		"the same phone": {`select count(*) - count(distinct right(regexp_replace(phone, '\D', '', 'g'), 11)) from workshop.customers where phone is not null`, "0"},
		"plates":         {`select count(*) from workshop.vehicles where plate !~ '^[A-Z]{1,2} \d{4} [A-Z]{3}$'`, "0"},
		"plates of Semarang": {`select count(*) from workshop.vehicles v join workshop.customers c on c.id = v.customer_id
			where c.city = 'Semarang' and plate !~ '^H '`, "0"},
		"services before the car was built": {`select count(*) from workshop.services s join workshop.vehicles v on v.id = s.vehicle_id
			where extract(year from serviced_on) < v.year`, "0"},
		"services' owners": {`select count(*) from workshop.services s join workshop.vehicles v on v.id = s.vehicle_id
			where v.customer_id <> s.customer_id`, "0"},
	} {
		got := ask(t, pool, check.query)
		var n, about int
		if _, err := fmt.Sscan(got, &n); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(check.want, "about %d", &about); err == nil {
			if n < about*7/10 || n > about*13/10 {
				t.Errorf("%s: %d, want %s", name, n, check.want)
			}
		} else if got != check.want {
			t.Errorf("%s: %s, want %s", name, got, check.want)
		}
	}
}

func TestTheCast(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t)
	create(t, pool, Config{Customers: 10, Vehicles: 3, Today: day(2026, 11, 22), Seed: 3})
	rows, err := pool.Query(t.Context(), `
		select id || ' ' || coalesce(birth_date::text, '-') || ' ' || (first_name is null) || ' ' || coalesce(email ~ 'bounce', false)
			|| ' ' || (email is null) || ' ' || newsletter_ok || ' ' || coalesce(deleted_at::text, '-')
			|| coalesce((select string_agg(' ' || next_service_on, '' order by v.id) from workshop.vehicles v where v.customer_id = c.id), '')
		from workshop.customers c order by id`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for i := range got { // the first names of others are drawn
		if i != 2 {
			fields := strings.Fields(got[i])
			fields[2] = "*"
			got[i] = strings.Join(fields, " ")
		}
	}
	want := []string{
		"1 1994-11-22 * false false true - 2026-11-25 2026-11-28",
		"2 1994-11-22 * true false true - 2026-12-01",
		"3 1994-11-22 true false false true -",
		"4 1994-11-22 * false true true -",
		"5 1988-02-29 * false false true -",
		"6 1994-11-22 * false false false -",
		"7 1994-11-22 * false false true 2026-11-21 00:00:00+00",
		"8 1994-11-22 * false false true -",
		"9 1994-11-22 * false false true -",
		"10 1994-11-23 * false false true -",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSomebodyElsesSchemaIsLeftAlone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Empty(t)
	if _, err := pool.Exec(t.Context(), `create schema workshop; create table workshop.customers (id int)`); err != nil {
		t.Fatal(err)
	}
	_, err := Create(t.Context(), pool, Config{Today: day(2026, 11, 22)})
	want := "make the workshop: the database has a schema workshop that is not the demo's: use another database"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if n := ask(t, pool, `select count(*) from information_schema.columns where table_schema = 'workshop'`); n != "1" {
		t.Errorf("%s columns are left, want 1", n)
	}
}

func TestImpossibleConfigs(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"make the workshop: the day that the data is made for is missing":              {},
		"make the workshop: 5 customers with 1 vehicles: at least 10 and 3 are needed": {Customers: 5, Vehicles: 1, Today: day(2026, 11, 22)},
	} {
		if _, err := Create(t.Context(), nil, c); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
