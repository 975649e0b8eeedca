package segment

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The world of the tests: every kind of column, to-one and to-many relations, and rows that are mostly edges.

func col(name string, kind customer.Kind, pgType string) customer.Column {
	name, required := strings.CutSuffix(name, "!")
	return customer.Column{Name: name, Kind: kind, PGType: pgType, Nullable: !required}
}

func entity(name, table, key string, columns ...customer.Column) *customer.Entity {
	return &customer.Entity{Name: name, Table: customer.TableName{Schema: "public", Name: table}, Key: key, Columns: columns}
}

func testSchema() *customer.Schema {
	regions := entity("region", "regions", "id", col("id!", customer.Int, "bigint"), col("name!", customer.Text, "text"))
	dealers := entity("dealer", "dealers", "id", col("id!", customer.Int, "bigint"), col("city", customer.Text, "text"),
		col("rating", customer.Numeric, "numeric(4,1)"), col("opened", customer.Date, "date"), col("big!", customer.Bool, "boolean"),
		col("region_id", customer.Int, "bigint"))
	services := entity("services", "services", "ref", col("ref!", customer.Text, "text"), col("vehicle_id", customer.Int, "bigint"),
		col("at", customer.Timestamptz, "timestamp with time zone"), col("cost", customer.Numeric, "numeric"),
		col("kind", customer.Text, "text"))
	vehicles := entity("vehicles", "vehicles", "id", col("id!", customer.Int, "bigint"), col("customer_id!", customer.Int, "bigint"),
		col("km", customer.Int, "integer"), col("due", customer.Date, "date"), col("plate!", customer.Text, "text"),
		col("price", customer.Numeric, "numeric(14,2)"), col("sold", customer.Bool, "boolean"),
		col("dealer_id", customer.Numeric, "numeric"))
	orders := entity("orders", "Orders", "id", col("id!", customer.Int, "bigint"), col("customer_id", customer.Numeric, "numeric(20,2)"),
		col("total", customer.Numeric, "numeric(14,2)"), col("Qty", customer.Int, "integer"), col("amount!", customer.Int, "bigint"),
		col("ordered_at", customer.Timestamptz, "timestamp with time zone"), col("kind", customer.Text, "character varying(20)"),
		col("weight", customer.Float, "double precision"), col("paid", customer.Bool, "boolean"))
	customers := entity("customer", "customers", "id",
		col("id!", customer.Int, "bigint"), col("name", customer.Text, "text"), col("city!", customer.Text, "character varying(40)"),
		col("code", customer.Text, "character(5)"), col("age", customer.Int, "integer"), col("visits!", customer.Int, "smallint"),
		col("points", customer.Int, "bigint"), col("income", customer.Numeric, "numeric(14,2)"), col("weight", customer.Numeric, "numeric"),
		col("score", customer.Float, "double precision"), col("ratio", customer.Float, "real"), col("active", customer.Bool, "boolean"),
		col("vip!", customer.Bool, "boolean"), col("birth_date", customer.Date, "date"), col("joined!", customer.Date, "date"),
		col("seen", customer.Timestamp, "timestamp without time zone"), col("created_at", customer.Timestamptz, "timestamp with time zone"),
		col("uid", customer.UUID, "uuid"), col("mood", customer.Enum, "public.mood"), col("tags", customer.TextArray, "text[]"),
		col("labels!", customer.TextArray, "character varying(20)[]"),
		jsonCol("extra", "jsonb", "km: number, Full Name: text, city: text, address.city: text, address.geo.lat: number, since: date, seen: time, vip: boolean, labels: texts, any: other"),
		jsonCol("details", "json", `km: number, note: text, on: date, at: time, ok: boolean, tags: texts, it's.a\b: text`),
		col("dealer_id", customer.Int, "bigint"), col("nick", customer.Text, "text"), col("email", customer.Text, "text"), col("phone", customer.Text, "text"),
		col("country", customer.Text, "text"), col("news_ok", customer.Bool, "boolean"))
	one := func(name, local string, target *customer.Entity) *customer.Relation {
		return &customer.Relation{Name: name, One: true, Local: local, Remote: "id", Target: target}
	}
	many := func(name, remote string, target *customer.Entity) *customer.Relation {
		return &customer.Relation{Name: name, Local: "id", Remote: remote, Target: target}
	}
	orders.At, vehicles.At, services.At = "ordered_at", "due", "at"
	orders.Amount, vehicles.Amount, services.Amount = "total", "price", "cost"
	dealers.Relations = []*customer.Relation{one("region", "region_id", regions)}
	vehicles.Relations = []*customer.Relation{one("dealer", "dealer_id", dealers), many("services", "vehicle_id", services)}
	customers.Relations = []*customer.Relation{
		one("dealer", "dealer_id", dealers), many("vehicles", "customer_id", vehicles),
		many("orders", "customer_id", orders),
	}
	s := &customer.Schema{Customer: customers, Zone: "America/New_York", Country: "ID"}
	peopleColumns(s)
	return s
}

func entities(s *customer.Schema) []*customer.Entity {
	all, seen := []*customer.Entity{}, map[*customer.Entity]bool{}
	var visit func(e *customer.Entity)
	visit = func(e *customer.Entity) {
		if !seen[e] {
			seen[e] = true
			all = append(all, e)
			for _, r := range e.Relations {
				visit(r.Target)
			}
		}
	}
	visit(s.Customer)
	return all
}

// world is the rows: customers with everything related to them, as the VM wants them, and every table's rows flat.
type world struct {
	schema    *customer.Schema
	customers []map[string]any
	tables    map[*customer.Entity][]map[string]any
	clocks    []Clock
	ledger    *ledger
}

const worldSize = 150

func newWorld(seed uint64) *world {
	w := &world{schema: testSchema(), tables: map[*customer.Entity][]map[string]any{}, clocks: testClocks()}
	r := rand.New(rand.NewPCG(seed, 7))
	c := w.schema.Customer
	dealer, _ := c.Relation("dealer")
	region, _ := dealer.Target.Relation("region")
	for range 4 {
		w.add(r, region.Target, nil)
	}
	for range 8 {
		w.relateOne(r, w.add(r, dealer.Target, nil), dealer.Target, region)
	}
	for range worldSize {
		w.relate(r, w.add(r, c, nil), c)
	}
	w.customers = w.tables[c]
	w.ledger = newLedger(seed, w.clocks, w.customers)
	return w
}

// relate gives a row its to-one row and 0 to 3 rows of each of its to-many relations.
func (w *world) relate(r *rand.Rand, row map[string]any, e *customer.Entity) {
	for _, rel := range e.Relations {
		if rel.One {
			w.relateOne(r, row, e, rel)
			continue
		}
		var related []map[string]any
		for range max(0, r.IntN(5)-1) {
			child := w.add(r, rel.Target, map[string]any{rel.Remote: row[rel.Local]})
			if at := rel.Target.At; len(related) > 0 && r.IntN(2) == 0 { // two rows of one time
				child[at] = related[len(related)-1][at]
			}
			w.relate(r, child, rel.Target)
			related = append(related, child)
		}
		row[rel.Name] = related
	}
}

// joined is a key in the type of the column that refers to it.
func joined(e *customer.Entity, column string, key any) any {
	if c, _ := e.Column(column); c.Kind == customer.Numeric {
		return decimal.NewFromInt(key.(int64))
	}
	return key
}

func (w *world) relateOne(r *rand.Rand, row map[string]any, e *customer.Entity, rel *customer.Relation) {
	row[rel.Local], row[rel.Name] = nil, nil
	switch r.IntN(5) {
	case 0: // no row
	case 1: // a key that leads nowhere
		row[rel.Local] = joined(e, rel.Local, int64(999))
	case 2: // a key that no whole number equals
		if c, _ := e.Column(rel.Local); c.Kind == customer.Numeric {
			row[rel.Local] = decimal.RequireFromString("1.5")
		}
	default:
		target := w.tables[rel.Target][r.IntN(len(w.tables[rel.Target]))]
		row[rel.Local], row[rel.Name] = joined(e, rel.Local, target[rel.Remote]), target
	}
}

func (w *world) add(r *rand.Rand, e *customer.Entity, fixed map[string]any) map[string]any {
	row := map[string]any{}
	for _, c := range e.Columns {
		if c.Nullable && r.IntN(4) == 0 {
			row[c.Name] = nil
			continue
		}
		row[c.Name] = anyOf(r, pool(c))
	}
	row[e.Key] = int64(len(w.tables[e]) + 1)
	if key, _ := e.Column(e.Key); key.Kind == customer.Text {
		row[e.Key] = anyOf(r, []string{"a", "B", "é", "E", "_"}) + fmt.Sprint(len(w.tables[e])+1)
	}
	for k, v := range fixed {
		row[k] = joined(e, k, v)
	}
	addWithin(row, e, w.schema.Zone)
	w.tables[e] = append(w.tables[e], row)
	return row
}

func anyOf[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// pool is the values of a column, from which the literals of rules are drawn, too.
func pool(c customer.Column) []any {
	if c.Name == "nick" {
		return nickPool()
	}
	if values := peoplePool(c.Name); values != nil {
		return values
	}
	switch c.Kind {
	case customer.Bool:
		return []any{true, false}
	case customer.Int:
		return intPool(c.PGType)
	case customer.Numeric:
		return numericPool(c.PGType)
	case customer.Float:
		return floatPool(c.PGType)
	case customer.Text:
		return textPool(c.PGType)
	case customer.Date:
		return datePool()
	case customer.Timestamp:
		return timestampPool()
	case customer.Timestamptz:
		return instantPool()
	case customer.UUID:
		return []any{"00000000-0000-0000-0000-000000000001", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "a0000000-0000-4000-8000-00000000000b"}
	case customer.Enum:
		return []any{"happy", "sad", "Meh"}
	case customer.TextArray:
		return []any{[]string{}, []string{"vip"}, []string{"a", "É", ""}, []string{"vip", "A_%"}, []string{"x\ny"}}
	}
	return jsonPool(c)
}

func intPool(pgType string) []any {
	values := []any{int64(0), int64(1), int64(-1), int64(2), int64(3), int64(5), int64(7), int64(-3), int64(100)}
	switch pgType {
	case "bigint":
		return append(values, int64(math.MaxInt64), int64(math.MinInt64), int64(10_000_000_000))
	case "integer":
		return append(values, int64(math.MaxInt32), int64(math.MinInt32))
	}
	return append(values, int64(math.MaxInt16))
}

func numericPool(pgType string) []any {
	texts := []string{"0", "0.1", "-0.5", "1.5", "10", "99.9", "-3", "2", "7"}
	switch pgType {
	case "numeric(14,2)":
		texts = append(texts, "0.01", "1000000", "999999999999.99")
	case "numeric":
		texts = append(texts, "12345678901234567890.123", "0.333333333333333333333333", "1e150", "1e-150", "-1e20")
	}
	var values []any
	for _, t := range texts {
		values = append(values, decimal.RequireFromString(t))
	}
	if pgType == "numeric" {
		values = append(values, math.NaN(), math.Inf(1), math.Inf(-1))
	}
	return values
}

func floatPool(pgType string) []any {
	if pgType == "real" {
		return []any{0.0, float64(float32(0.1)), 1.5, -2.0, float64(float32(1e30)), math.NaN(), math.Inf(1)}
	}
	return []any{0.0, 0.1, 0.3, 0.1 + 0.2, -2.5, 7.0, 1.0 / 3, 1e250, 1e-250, math.NaN(), math.Inf(1), math.Inf(-1)}
}

func textPool(pgType string) []any {
	if pgType == "character(5)" {
		return []any{"", "a", "A", "B", "É", "A_%", "ab", "10"}
	}
	return []any{
		"", "a", "A", "B", "b", "ab", "aB", "Solo", "solo", "É", "é", "ß", "A_%", "A1%", "%", "_", `a\b`, `\`, "x\ny", "Zürich",
		" pad ", "\u00a0x", "10", "it's", `say "hi"`, "日本", "😀",
	}
}

var testDates = []string{
	"2026-02-28", "2024-02-29", "2000-02-29", "2026-03-01", "1990-11-22", "2026-11-22", "2026-11-21", "2026-11-23",
	"2026-01-31", "2026-03-08", "2026-11-01", "1999-02-28", "0044-03-15", "1970-01-01",
	"2008-02-29", "1984-12-31", "2025-01-01", "2023-03-01", "2024-02-28",
}

func datePool() []any {
	values := []any{Infinity, NegInfinity, time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(5_874_897, 12, 31, 0, 0, 0, 0, time.UTC)}
	for _, d := range testDates {
		t, _ := time.Parse(time.DateOnly, d)
		values = append(values, t)
	}
	return values
}

var zones sync.Map // of mustZone, which reads a file for each

func mustZone(name string) *time.Location {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	zones.Store(name, zone)
	return zone
}

// timestampPool is midnights, the microseconds around them, and hours that clocks skip or show twice.
func timestampPool() []any {
	values := []any{Infinity, NegInfinity, time.Date(294_276, 12, 30, 12, 0, 0, 0, time.UTC)}
	for _, d := range testDates {
		t, _ := time.Parse(time.DateOnly, d)
		values = append(values, t, t.Add(-time.Microsecond), t.Add(150*time.Minute))
	}
	return values
}

func instantPool() []any {
	values := []any{Infinity, NegInfinity, time.Date(294_276, 12, 30, 12, 0, 0, 0, time.UTC)}
	for _, zone := range []string{"America/New_York", "Asia/Jakarta"} {
		for _, d := range testDates {
			t, _ := time.ParseInLocation(time.DateOnly, d, mustZone(zone))
			values = append(values, t.UTC(), t.Add(-time.Microsecond).UTC(), t.Add(90*time.Minute).UTC())
		}
	}
	for _, c := range testClocks() {
		now := c.Now.Truncate(time.Microsecond)
		values = append(values, now, now.Add(-time.Microsecond))
	}
	return values
}

func testClocks() []Clock {
	clock := func(today, now, zone string) Clock {
		d, _ := time.Parse(time.DateOnly, today)
		n, _ := time.Parse(time.RFC3339Nano, now)
		return Clock{Today: d, Now: n, Zone: mustZone(zone), Given: Pretended()}
	}
	return []Clock{
		clock("2026-11-22", "2026-11-22T01:00:00Z", "Asia/Jakarta"),
		clock("2026-02-28", "2026-02-27T23:30:00.123456789Z", "America/New_York"),
		clock("2024-02-29", "2024-03-01T04:59:59.999999Z", "America/New_York"),
		clock("2026-03-08", "2026-03-08T07:00:00Z", "America/New_York"),
		clock("2026-11-01", "2026-11-01T06:00:00Z", "America/New_York"),
		clock("2024-02-28", "2024-02-28T12:00:00Z", "America/New_York"),
		clock("2026-12-31", "2026-12-30T17:00:00Z", "Asia/Jakarta"),
		clock("2025-03-01", "2025-03-01T03:00:00Z", "Asia/Jakarta"),
	}
}

// create makes the world's tables and fills them.
func (w *world) create(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `create type public.mood as enum ('sad', 'happy', 'Meh')`); err != nil {
		t.Fatal(err)
	}
	for _, e := range entities(w.schema) {
		w.createTable(t, pool, e)
	}
	w.ledger.create(t, pool, w.schema)
}

func (w *world) createTable(t testing.TB, pool *pgxpool.Pool, e *customer.Entity) {
	t.Helper()
	var columns []string
	for _, c := range e.Columns {
		null := ""
		if !c.Nullable {
			null = " not null"
		}
		columns = append(columns, c.SQL()+" "+c.PGType+null)
	}
	ddl := fmt.Sprintf("create table %s (%s)", e.Table.SQL(), strings.Join(columns, ", "))
	if _, err := pool.Exec(t.Context(), ddl); err != nil {
		t.Fatalf("%s: %v", ddl, err)
	}
	var batch pgx.Batch
	for _, row := range w.tables[e] {
		sql, args := insertion(e, row)
		batch.Queue(sql, args...)
	}
	if err := pool.SendBatch(t.Context(), &batch).Close(); err != nil {
		t.Fatalf("fill %s: %v", e.Table, err)
	}
}

func insertion(e *customer.Entity, row map[string]any) (string, []any) {
	var marks []string
	var args []any
	for i, c := range e.Columns {
		marks = append(marks, fmt.Sprintf("$%d::text::%s", i+1, c.PGType))
		args = append(args, literalText(row[c.Name], c))
	}
	return fmt.Sprintf("insert into %s values (%s)", e.Table.SQL(), strings.Join(marks, ", ")), args
}

// literalText is PostgreSQL's input for a value, written here independently of the translation.
func literalText(v any, c customer.Column) any {
	switch v := v.(type) {
	case nil:
		return nil
	case time.Time:
		switch {
		case v.Equal(Infinity):
			return "infinity"
		case v.Equal(NegInfinity):
			return "-infinity"
		}
		return v.UTC().Format("2006-01-02T15:04:05.999999Z")
	case []string:
		return arrayText(v)
	case float64:
		return strings.ReplaceAll(strings.TrimPrefix(fmt.Sprint(v), "+"), "Inf", "Infinity")
	}
	return fmt.Sprint(v)
}
