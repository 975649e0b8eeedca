package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spend is what each customer of AdventureWorks spent; rfmByHand ranks those who bought anything, in fifths.
const (
	spend = `
	select c.customer_key, coalesce(sum(s.sales), 0) as v from data.customers c left join data.sales s using (customer_key) group by 1`
	rfmByHand = `
	with bought as (
		select customer_key, max(order_date) as last, count(*) as n, sum(sales) as total
		from data.sales join data.customers using (customer_key) group by 1
	)
	select customer_key,
		5 * (rank() over (order by last) - 1) / count(*) over () + 1 as r,
		5 * (rank() over (order by n) - 1) / count(*) over () + 1 as f,
		5 * (rank() over (order by total) - 1) / count(*) over () + 1 as m
	from bought`
)

// TestAdventureWorksBase places customers among all: the rules choose whom window functions choose.
func TestAdventureWorksBase(t *testing.T) {
	t.Parallel()
	b := newBikes(t)
	cases := []struct{ rule, sql string }{
		{
			`percentile(sum(customer.sales, .sales)) >= 90`,
			`select customer_key from (select customer_key, 100 * (rank() over (order by v) - 1) / count(*) over () as p from (` + spend + `) s) x where p >= 90`,
		},
		{
			`percentile(monetary(customer.sales)) in 50..74`,
			`select customer_key from (select customer_key, 100 * (rank() over (order by v) - 1) / count(*) over () as p from (` + spend + `) s) x where p between 50 and 74`,
		},
		{
			`rfm(customer.sales).recency >= 4 && rfm(customer.sales).frequency >= 4`,
			`select customer_key from (` + rfmByHand + `) x where r >= 4 and f >= 4`,
		},
		{
			`rfm(customer.sales) in ["555", "545", "111"]`,
			`select customer_key from (` + rfmByHand + `) x where concat(r, f, m) in ('555', '545', '111')`,
		},
		{
			`rfm(customer.sales) == nil`,
			`select customer_key from data.customers where customer_key not in (select customer_key from data.sales)`,
		},
		{
			`recency(customer.sales) > 180`,
			`select customer_key from data.sales group by 1 having date '2023-07-01' - max(order_date) > 180`,
		},
	}
	for _, c := range cases {
		want := b.texts(`select customer_key::text from (` + c.sql + `) q`)
		got := b.chosen(c.rule)
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" || len(want) == 0 {
			t.Errorf("%s: %d, by hand %d\n%.500s", c.rule, len(got), len(want), d)
		}
		count := strings.TrimSpace(b.ok("segment", "count", "--as-of", "2023-07-01", c.rule))
		if count != fmt.Sprint(len(want)) {
			t.Errorf("%s: count says %s", c.rule, count)
		}
	}
	var all, top int
	if err := b.pool.QueryRow(t.Context(), `select count(*) from data.customers`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	if top = len(b.chosen(cases[0].rule)); top > all/10 || top < all/10-all/100 {
		t.Errorf("the top 10 percent of %d are %d", all, top)
	}
}

// chosen are the keys of the customers whom a rule means.
func (b *bikes) chosen(rule string) []string {
	b.t.Helper()
	var people []struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal([]byte(b.ok("segment", "list", "--as-of", "2023-07-01", "--limit", "0", "--json", rule)), &people); err != nil {
		b.t.Fatal(err)
	}
	var keys []string
	for _, p := range people {
		keys = append(keys, p.Key)
	}
	return keys
}
