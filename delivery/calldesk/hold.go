package calldesk

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// restFor is how long the calls of a run are passed over that could not be looked at.
const restFor = time.Minute

// resting are the runs whose calls are passed over for a while. It is of this process: others find out for themselves.
type resting struct {
	mu    sync.Mutex
	until map[int]time.Time
}

func (r *resting) rest(run int, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[int]time.Time{}
	}
	r.until[run] = until
}

// runs are those that rest now.
func (r *resting) runs(now time.Time) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []int{}
	for run, until := range r.until {
		if !until.After(now) {
			delete(r.until, run)
			continue
		}
		list = append(list, run)
	}
	return list
}

// heldWords begin the note on a run whose calls are held.
const heldWords = "its calls are held: "

// hold keeps one run's trouble from the calls of all others. A statement on the company's tables that the database refuses pauses
// the run, as it does where messages are filled. Else, where a version can't be used by this process, or a table is locked, its calls
// are passed over for a while, and the run says why. The error is the context's, or our own database's.
func (d *Desk) hold(ctx context.Context, run int, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	d.log().Warn("calls are held", slog.Int("run", run), slog.Any("error", cause))
	d.resting.rest(run, d.Now().Add(restFor))
	cause = pg.WithoutValues(cause)
	if pg.Refused(cause) {
		return delivery.PauseForCause(ctx, d.Pool, run, "company tables", fmt.Sprintf(
			"the company's tables can't be read as when the campaign was applied: %v; mend it, then: sapa resume %d", cause, run))
	}
	_, err := d.Pool.Exec(ctx, `
		update runs set reason = $2 where id = $1 and state = 'sending' and (reason is null or starts_with(reason, $3)) and reason is distinct from $2`,
		run, heldWords+cause.Error(), heldWords)
	if err != nil {
		return fmt.Errorf("note on run %d: %w", run, err)
	}
	return nil
}

// free takes back what hold said of a run that is well again.
func (d *Desk) free(ctx context.Context, run int, reason string) error {
	if !strings.HasPrefix(reason, heldWords) {
		return nil
	}
	_, err := d.Pool.Exec(ctx, `update runs set reason = null where id = $1 and starts_with(reason, $2)`, run, heldWords)
	if err != nil {
		return fmt.Errorf("note on run %d: %w", run, err)
	}
	return nil
}

func (d *Desk) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}
