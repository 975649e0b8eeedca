package response

import (
	"context"
	"fmt"
	"time"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/internal/pg"
)

// RecordCall counts what came of calling a customer as a response to the message; that they want no calls counts as
// unsubscribing, too. Call it in the transaction that writes the try (table call_tries), from which sapa check counts again.
func RecordCall(ctx context.Context, db pg.DBTX, message int64, o calls.Outcome, at time.Time) error {
	kinds := []string{o.Kind()}
	if o == calls.DoNotCall {
		kinds = append(kinds, "unsubscribe")
	}
	_, err := db.Exec(ctx, `
		with first as (
			insert into responses (message_id, kind, first_at)
			select $1, k, $3 from unnest($2::text[]) k order by k
			on conflict (message_id, kind, part, link) do update set first_at = least(responses.first_at, excluded.first_at)
			returning kind, xmax = 0 as new
		)
		insert into response_totals (run_id, kind, total, uniq)
		select c.run_id, f.kind, 1, f.new::int from first f join calls c on c.message_id = $1`, message, kinds, at)
	if err != nil {
		return fmt.Errorf("count a call: %w", err)
	}
	return nil
}
