package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/segment"
)

// What explain prints is read by marketers and by whoever looks after the database: each of these was looked at.
func TestExplain(t *testing.T) {
	t.Parallel()
	w := whyWorld(t)
	w.exec(`analyze public.customers, public.vehicles, public.orders`)
	w.transcript("explain-small.txt",
		[]string{"segment", "explain", `customer.city == "Solo" && any(customer.vehicles, .next_service_on <= today() + days(14)) && 1 < 2`},
		[]string{"segment", "explain", "spenders"},
		[]string{"segment", "explain", `customer.name matches "\\bAni\\b"`},
		[]string{"segment", "explain", "customer.nope == 1"},
	)
	w.exec(`insert into public.customers select i, 'Budi', null, 'Semarang', date '1950-01-01' + (i % 20000), null, null from generate_series(10, 20000) i`)
	w.exec(`insert into public.vehicles select i, i, 'H', i, date '2020-01-01' + i % 4000 from generate_series(100, 20000) i`)
	w.exec(`create index vehicles_customer_id_idx on public.vehicles (customer_id)`)
	w.exec(`analyze public.customers, public.vehicles, public.orders`)
	w.transcript("explain-large.txt",
		[]string{"segment", "explain", "birthday(customer.birth_date)"},
		[]string{"segment", "explain", `customer.city == "Solo" && any(customer.vehicles, .km > 100)`},
		[]string{"segment", "explain", `count(customer.vehicles) >= 2`},
	)
}

func TestExplainJSON(t *testing.T) {
	t.Parallel()
	w := whyWorld(t)
	var got struct {
		segment.Explanation
		Count *int `json:"count"`
	}
	if err := json.Unmarshal([]byte(w.ok("segment", "explain", "spenders", "--json", "--count")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count == nil || *got.Count != 1 || len(got.Clauses) != 3 || !strings.HasPrefix(got.SQL, "select") || len(got.Plan) == 0 || got.NoIndex == "" {
		t.Errorf("%+v", got)
	}
}
