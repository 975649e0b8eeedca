package response

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
)

// Undelivered is what a person says of a message that was sent: it came back.
type Undelivered struct {
	Message  int64
	Run      int
	Channel  string
	Code     int    // why, by the channel's codes
	Words    string // what the code means
	Suppress string // why the address must not be used again; "": it may
}

// RecordUndelivered keeps what people say, as reports of a provider are kept, and suppresses the addresses. Doing it again
// changes nothing.
func RecordUndelivered(ctx context.Context, tx pgx.Tx, list []Undelivered, at time.Time) error {
	reports := make([]report, len(list))
	for i, u := range list {
		reports[i] = report{
			Report:  channels.Report{Status: channels.ReportUndelivered, Code: u.Code, Words: u.Words, Suppress: u.Suppress},
			message: u.Message, run: int32(u.Run), channel: u.Channel, at: at, //nolint:gosec // runs are numbered from 1
		}
	}
	if _, err := tx.Exec(ctx, insertReportsSQL, (&Hooks{}).reportArgs(reports)); err != nil {
		return fmt.Errorf("record %d messages that came back: %w", len(list), err)
	}
	return nil
}
