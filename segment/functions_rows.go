package segment

func rowFunctions() []*Function {
	return []*Function{
		{
			Name: "any", Usage: "any(rows, condition)", form: orTexts(formQuantifier),
			Sentence: "True when at least one row satisfies the condition.",
			Example:  `any(customer.vehicles, .next_service_on <= today())`,
		},
		{
			Name: "none", Usage: "none(rows, condition)", form: orTexts(formQuantifier),
			Sentence: "True when no row satisfies the condition; so also when there are no rows.",
			Example:  `none(customer.orders, .ordered_at > ago(days(180)))`,
		},
		{
			Name: "one", Usage: "one(rows, condition)", form: orTexts(formQuantifier),
			Sentence: "True when exactly one row satisfies the condition.",
			Example:  `one(customer.vehicles, .km > 100_000)`,
		},
		{
			Name: "all", Usage: "all(rows, condition)", form: orTexts(formQuantifier),
			Sentence: "True when every row satisfies the condition; so also when there are no rows.",
			Example:  `all(customer.vehicles, .km < 100_000)`,
		},
		{
			Name: "filter", Usage: "filter(rows, condition)", form: orTexts(formFilter),
			Sentence: "The rows that satisfy the condition, for another function.",
			Example:  `sum(filter(customer.orders, .kind == "part"), .total) > 500_000`,
		},
		{
			Name: "map", Usage: "map(rows, column)", form: orTexts(formMap),
			Sentence: "The values of a column, missing ones left out, for sum, min, max, mean, in and the functions above, in which # is the value.",
			Example:  `max(map(customer.orders, .ordered_at)) < ago(days(90))`,
		},
		{
			Name: "count", Usage: "count(rows) or count(rows, condition)", form: orTexts(formCount),
			Sentence: "How many rows there are, or how many satisfy the condition.",
			Example:  `count(customer.orders, .ordered_at > ago(days(90))) >= 3`,
		},
		{
			Name: "sum", Usage: "sum(rows, column)", form: formAggregate,
			Sentence: "The sum of a column; missing values are left out, and the sum of no rows is 0.",
			Example:  `sum(customer.orders, .total) > 1_000_000`,
		},
		{
			Name: "min", Usage: "min(map(rows, column)) or min(a, b)", form: formAggregate,
			Sentence: "The smallest, earliest or first value of a column, or of several values; missing ones are left out, and it is missing when there is none.",
			Example:  `min(map(customer.orders, .ordered_at)) > ago(days(30))`,
		},
		{
			Name: "max", Usage: "max(map(rows, column)) or max(a, b)", form: formAggregate,
			Sentence: "The largest, latest or last value of a column, or of several values; missing ones are left out, and it is missing when there is none.",
			Example:  `max(map(customer.orders, .total)) >= 250_000`,
		},
		{
			Name: "mean", Usage: "mean(map(rows, column))", form: formAggregate,
			Sentence: "The average of a column, missing values left out; missing when there is none.",
			Example:  `mean(map(customer.orders, .total)) > 100_000`,
		},
	}
}
