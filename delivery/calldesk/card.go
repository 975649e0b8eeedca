package calldesk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
)

// row reads what the card shows and what consent depends on; nil where the customer is not there any more.
func (d *Desk) row(ctx context.Context, key string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var paths [][]string
	for _, column := range append([]string{d.Schema.Consent.Columns[calls.Name]}, d.Settings.Card...) {
		if column != "" {
			paths = append(paths, []string{column})
		}
	}
	fetch, err := customer.NewFetch(d.Schema.Customer, paths)
	if err != nil {
		return nil, err
	}
	rows, err := fetch.Rows(ctx, d.Pool, []string{key})
	if err != nil {
		return nil, err
	}
	return rows[key], nil
}

// card is what an agent sees of the customer's row: the columns that sapa.yaml names, where they hold something.
func (d *Desk) card(row map[string]any) []CardLine {
	list := []CardLine{}
	for _, column := range d.Settings.Card {
		c, ok := d.Schema.Customer.Column(column)
		if text := shown(row[column], c.Kind); ok && text != "" {
			list = append(list, CardLine{strings.ReplaceAll(column, "_", " "), text})
		}
	}
	return list
}

// shown is a value as a person reads it.
func shown(value any, kind customer.Kind) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	case decimal.Decimal:
		return v.String()
	case time.Time:
		if kind == customer.Date {
			return v.Format("2 Jan 2006")
		}
		return v.Format("2 Jan 2006 15:04")
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = shown(part, customer.Other)
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(value)
}
