package main

import "strings"

// question is a rule and what an expert writes by hand for it. now, today and the like are constants there, as a person
// who looks at the calendar would write them.
type question struct {
	name, rule, where string
}

// questions go from simple to nested. Each hand-written condition stands behind
// `select count(*) from bench.customers c where`.
func questions() []question {
	return []question{
		{"city", `customer.city == "Semarang"`, `c.city = 'Semarang'`},
		{
			"income", `customer.city in ["Solo", "Semarang"] && customer.income >= 10_000_000`,
			`c.city in ('Solo', 'Semarang') and c.income >= 10000000`,
		},
		{
			"birthday", `birthday(customer.birth_date)`,
			`(extract(month from c.birth_date) * 100 + extract(day from c.birth_date))::int = 1123`,
		},
		{"tags", `"vip" in customer.tags && customer.city != "Solo"`, `c.tags @> array['vip'] and c.city is distinct from 'Solo'`},
		{
			"due", `any(customer.vehicles, .next_service_on >= today() && .next_service_on <= today() + days(14))`,
			`exists (select from bench.vehicles v where v.customer_id = c.id and v.next_service_on between '2026-11-23' and '2026-12-07')`,
		},
		{
			"asleep", `none(customer.orders, .ordered_at > ago(days(180)))`,
			`not exists (select from bench.orders o where o.customer_id = c.id and o.ordered_at > '2026-05-27 09:00+07')`,
		},
		{
			"regulars", `count(customer.orders, .ordered_at > ago(days(90))) >= 3`,
			`c.id in (select customer_id from bench.orders where ordered_at > '2026-08-25 09:00+07' group by 1 having count(*) >= 3)`,
		},
		{
			"spenders", `sum(customer.orders, .total) > 20_000_000`,
			`c.id in (select customer_id from bench.orders group by 1 having sum(total) > 20000000)`,
		},
		{
			"nested", `any(customer.vehicles, .km > 200_000 && none(.services, .served_on > today() - years(1)))`,
			`exists (select from bench.vehicles v where v.customer_id = c.id and v.km > 200000
				and not exists (select from bench.services s where s.vehicle_id = v.id and s.served_on > '2025-11-23'))`,
		},
		{
			"winback", `max(map(customer.orders, .ordered_at)) < ago(days(180)) && count(customer.orders) >= 5 && customer.city == "Semarang"`,
			`c.city = 'Semarang' and c.id in (select customer_id from bench.orders group by 1 having count(*) >= 5 and max(ordered_at) < '2026-05-27 09:00+07')`,
		},
	}
}

// residualRule is one that SQL can't say at all: every customer is a candidate. For relatedRule, every order of every
// customer is loaded, too.
const (
	residualRule = `lower(customer.name) matches "^(budi|siti) .*[ao]$"`
	relatedRule  = `any(customer.orders, lower(.kind) matches "^t.*e$")`
)

func chosen(only string) []question {
	var list []question
	for _, q := range questions() {
		if strings.Contains(q.name, only) {
			list = append(list, q)
		}
	}
	return list
}
