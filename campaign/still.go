package campaign

import (
	"context"
	"fmt"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// Still says which of a run's customers, and which of their rows, its rule means now: with the run's own date, moment and
// thresholds, and with the data as they are. Of a triggered run it can't be asked; see StillByEvent.
func (l *Library) Still(ctx context.Context, run int, customers []string) ([]segment.Key, error) {
	r := &Run{ID: run}
	var kept []byte
	err := l.db.QueryRow(ctx, `select version_id, tick, as_of, given from runs where id = $1`, run).Scan(&r.VersionID, &r.Tick, &r.AsOf, &kept)
	if err != nil {
		return nil, fmt.Errorf("read run %d: %w", run, err)
	}
	if err := r.take(kept); err != nil {
		return nil, err
	}
	c, err := l.version(ctx, r.VersionID)
	if err != nil {
		return nil, err
	}
	if c.event != nil {
		return nil, fmt.Errorf("ask the rule of run %d again: %s goes when an event comes, and its rule is asked as of that: StillByEvent", run, c.Name())
	}
	keys, err := segment.Still(ctx, l.db, c.scope, customers, c.clockOf(r), c.base, c.where)
	if err != nil {
		return nil, &CompanyError{fmt.Errorf("ask the rule again: %w", pg.WithoutValues(err))}
	}
	return keys, nil
}

// StillByEvent says whether the rule of a triggered run means the customer of an event now, and which of their rows: with the
// event's own date and moment, and with the data as they are.
func (l *Library) StillByEvent(ctx context.Context, run int, event int64) ([]segment.Key, error) {
	r := &Run{ID: run}
	var kept []byte
	err := l.db.QueryRow(ctx, `
		select r.version_id, r.tick, e.at, r.given, e.customer_key from runs r, events e where r.id = $1 and e.id = $2`, run, event).
		Scan(&r.VersionID, &r.Tick, &r.AsOf, &kept, &r.only)
	if err != nil {
		return nil, fmt.Errorf("read event %d of run %d: %w", event, run, err)
	}
	if err := r.take(kept); err != nil {
		return nil, err
	}
	c, err := l.version(ctx, r.VersionID)
	if err != nil {
		return nil, err
	}
	events, err := segment.ReadEvents(ctx, l.db, c.event, c.schema.Zone, event)
	if err != nil {
		return nil, err
	}
	if r.event = events[event]; r.event == nil {
		return nil, nil
	}
	keys, err := segment.Still(ctx, l.db, c.scope, []string{r.only}, c.clockOf(r), c.base, c.where)
	if err != nil {
		return nil, &CompanyError{fmt.Errorf("ask the rule again: %w", pg.WithoutValues(err))}
	}
	return keys, nil
}
