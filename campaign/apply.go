package campaign

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Change is what applying a campaign did, or would do.
type Change struct {
	Campaign string     `json:"campaign"`
	Action   string     `json:"action"` // add, change, none
	Number   int        `json:"version"`
	Next     *time.Time `json:"next,omitempty"` // when its next run is planned
}

// Apply stores campaigns as immutable versions, all or none. A campaign whose file and templates are those of its
// current version is left alone. A new version's schedule goes on from now; ticks of the past are not caught up.
func Apply(ctx context.Context, db pg.DBTX, campaigns []*Campaign, now time.Time, actor string) ([]Change, error) {
	var changes []Change
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		changes = nil
		for _, c := range campaigns {
			change, err := applyOne(ctx, tx, c, now, actor)
			if err != nil {
				return fmt.Errorf("apply %s: %w", c.Name(), err)
			}
			changes = append(changes, change)
		}
		return nil
	})
	return changes, err
}

// Diff says what Apply would do.
func Diff(ctx context.Context, db pg.DBTX, campaigns []*Campaign, now time.Time) (changes []Change, err error) {
	undo := errors.New("only a look")
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if changes, err = Apply(ctx, tx, campaigns, now, "diff"); err != nil {
			return err
		}
		return undo
	})
	if errors.Is(err, undo) {
		return changes, nil
	}
	return nil, err
}

func applyOne(ctx context.Context, tx pgx.Tx, c *Campaign, now time.Time, actor string) (Change, error) {
	change := Change{Campaign: c.Name(), Action: "none"}
	var id, number int
	var fingerprint []byte
	_, err := tx.Exec(ctx, `insert into campaigns (name) values ($1) on conflict do nothing`, c.Name())
	if err != nil {
		return change, err
	}
	err = tx.QueryRow(ctx, `
		select c.id, coalesce(v.number, 0), coalesce(v.fingerprint, '')
		from campaigns c left join versions v on v.id = c.version_id where c.name = $1 for update of c`, c.Name()).
		Scan(&id, &number, &fingerprint)
	if err != nil {
		return change, err
	}
	print := c.fingerprint()
	if string(print) == string(fingerprint) {
		change.Number = number
		return change, nil
	}
	change.Number, change.Action = number+1, "change"
	if number == 0 {
		change.Action = "add"
	}
	if err := insertVersion(ctx, tx, c, id, change.Number, print, actor); err != nil {
		return change, err
	}
	change.Next, err = setSchedule(ctx, tx, c, id, now)
	if err != nil {
		return change, err
	}
	return change, audit(ctx, tx, actor, "apply", "campaign "+c.Name(), map[string]any{"version": change.Number})
}

func insertVersion(ctx context.Context, tx pgx.Tx, c *Campaign, id, number int, print []byte, actor string) error {
	var version int
	err := tx.QueryRow(ctx, `
		insert into versions (campaign_id, number, topic, source, files, fingerprint, applied_by)
		values ($1, $2, $3, $4, $5, $6, $7) returning id`,
		id, number, c.Topic(), c.File.Source.Text, c.Files, print, actor).Scan(&version)
	if err != nil {
		return err
	}
	for _, l := range c.Links {
		_, err := tx.Exec(ctx, `insert into links (version_id, part, position, url) values ($1, $2, $3, $4)`, version, l.Part, l.Position, l.URL)
		if err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `update campaigns set version_id = $2 where id = $1`, id, version)
	return err
}

func setSchedule(ctx context.Context, tx pgx.Tx, c *Campaign, id int, now time.Time) (*time.Time, error) {
	var tick, at *time.Time
	if c.calendar != nil {
		if t, ok := c.calendar.next(c.calendar.civilNow(now)); ok {
			planAt := c.calendar.planAt(t)
			tick, at = &t, &planAt
		}
	}
	_, err := tx.Exec(ctx, `
		insert into schedules (campaign_id, next_tick, next_at) values ($1, $2, $3)
		on conflict (campaign_id) do update set next_tick = $2, next_at = $3, changed_at = now()`, id, tick, at)
	return at, err
}

// fingerprint identifies a version's content: the file and the templates that it uses.
func (c *Campaign) fingerprint() []byte {
	h := sha256.New()
	write := func(s string) { fmt.Fprintf(h, "%d:%s", len(s), s) }
	write(c.File.Source.Text)
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		write(name)
		write(c.Files[name])
	}
	return h.Sum(nil)
}
