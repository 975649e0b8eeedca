package delivery

import (
	"testing"
	"time"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// The database's clock is set back: slots that were leased by the old one lie in the future, and are not waited for.
func TestLeaseSlotsByASetBackClock(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	for _, length := range []time.Duration{200 * time.Millisecond, 3 * time.Minute} { // of a slot every three minutes
		if _, err := leaseSlots(ctx, pool, "a", length); err != nil {
			t.Fatal(err)
		}
		if _, err := leaseSlots(ctx, pool, "a", length); err != nil && length < slotHorizon {
			t.Fatal(err)
		}
		if _, err := pool.Exec(ctx, `update send_slots set next_at = clock_timestamp() + interval '1 hour'`); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		start, err := leaseSlots(ctx, pool, "a", length)
		if err != nil || start.After(time.Now().Add(slotHorizon+time.Second)) || start.Before(begun.Add(slotHorizon-time.Second)) {
			t.Errorf("slots of %s: they begin in %s, %v", length, start.Sub(begun), err)
		}
		if _, err := pool.Exec(ctx, `delete from send_slots`); err != nil {
			t.Fatal(err)
		}
	}
}
