package main

import (
	"context"
	"encoding/csv"
	"errors"
	"time"

	"github.com/sapa-crm/sapa/customer"
)

// listSuppressionsCSV writes every suppressed address, also those of which only a digest or nothing is known.
func listSuppressionsCSV(ctx context.Context, a *app, s *session, channel string) error {
	out := csv.NewWriter(a.stdout)
	if err := out.Write([]string{"channel", "address", "reason", "source", "at"}); err != nil {
		return err
	}
	err := customer.ListSuppressions(ctx, s.pool, channel, func(one *customer.SuppressedAddress) error {
		return out.Write([]string{one.Channel, one.Known(), one.Reason, one.Source, one.At.UTC().Format(time.RFC3339)})
	})
	out.Flush()
	return errors.Join(err, out.Error())
}
