package calldesk

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// opted is what the company's own column says about calling somebody; nil: nothing, or there is none.
func (d *Desk) opted(ctx context.Context, key string) (opted *bool, there bool, err error) {
	column := d.Schema.Consent.Columns[calls.Name]
	row, err := d.row(ctx, key, column)
	if v, ok := row[column].(bool); ok {
		opted = &v
	}
	return opted, row != nil, err
}

// row reads columns of a customer; nil where they are not there any more.
func (d *Desk) row(ctx context.Context, key string, columns ...string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var paths [][]string
	for _, column := range columns {
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

// card is what an agent sees of the customer's row: the columns that sapa.yaml names, where they hold something. No campaign
// depends on it: where a column is gone, that is on the card.
func (d *Desk) card(ctx context.Context, key string) ([]CardLine, error) {
	row, err := d.row(ctx, key, d.Settings.Card...)
	if pg.Refused(err) {
		d.log().Warn("the card can't be read: do the columns of channels.calls.card exist?", slog.Any("error", err))
		return []CardLine{{"card", "it can’t be read: a column that sapa.yaml names below channels: calls: card: is gone"}}, nil
	}
	if err != nil {
		return nil, err
	}
	list := []CardLine{}
	for _, column := range d.Settings.Card {
		c, ok := d.Schema.Customer.Column(column)
		if text := shown(row[column], c.Kind); ok && text != "" {
			list = append(list, CardLine{strings.ReplaceAll(column, "_", " "), text})
		}
	}
	return list, nil
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
