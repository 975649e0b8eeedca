package campaign

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Change is what applying a campaign did, or would do.
type Change struct {
	Campaign string     `json:"campaign"`
	Action   string     `json:"action"` // add, change, none; remove: its file is gone
	Number   int        `json:"version"`
	Tick     string     `json:"tick,omitempty"` // civil time of its next run, such as 2026-12-24 08:00
	Next     *time.Time `json:"next,omitempty"` // when that run is planned

	campaign *Campaign // nil with remove
	newTicks bool      // the schedule begins anew
	tick     *time.Time
	applied  applied
}

// applied is what the database knows of a campaign.
type applied struct {
	ID          int
	Name        string
	Number      int // of the current version
	Fingerprint []byte
	Source      string
	Live        bool // its file was there when campaigns were last applied
	NextTick    *time.Time
	NextAt      *time.Time
}

// Apply stores the campaigns of a project as immutable versions, all or none. A campaign whose file and templates are
// those of its current version is left alone. A schedule whose ticks are not those of the version before goes on from
// now; otherwise it goes on where it stands. The schedules of all other campaigns end: their files are gone.
//
// The error is a diag.List where a new schedule has only one tick and that has passed.
func Apply(ctx context.Context, db pg.DBTX, campaigns []*Campaign, now time.Time, actor string) ([]Change, error) {
	var changes []Change
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		// One at a time: what is compared is then what is changed.
		_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa apply', 0))`)
		if err != nil {
			return fmt.Errorf("wait for another sapa apply: %w", err)
		}
		if changes, err = Diff(ctx, tx, campaigns, now); err != nil {
			return err
		}
		for _, change := range changes {
			if err := change.write(ctx, tx, actor); err != nil {
				return fmt.Errorf("apply %s: %w", change.Campaign, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// Diff says what Apply would do: a change for each of the campaigns, in their order, then for those whose file is gone.
func Diff(ctx context.Context, db pg.DBTX, campaigns []*Campaign, now time.Time) ([]Change, error) {
	known, err := readApplied(ctx, db)
	if err != nil {
		return nil, err
	}
	var changes []Change
	var problems diag.List
	for _, c := range campaigns {
		change, problem := c.compare(known[c.Name()], now)
		changes, problems = append(changes, change), append(problems, problem...)
		delete(known, c.Name())
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if a := known[name]; a.Live {
			changes = append(changes, Change{Campaign: name, Action: "remove", Number: a.Number, applied: a})
		}
	}
	return changes, nil
}

// readApplied lists the campaigns that have a version. One without a row in schedules was removed.
func readApplied(ctx context.Context, db pg.DBTX) (map[string]applied, error) {
	rows, _ := db.Query(ctx, `
		select c.id, c.name, v.number, v.fingerprint, v.source, s.campaign_id is not null as live, s.next_tick, s.next_at
		from campaigns c join versions v on v.id = c.version_id left join schedules s on s.campaign_id = c.id`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[applied])
	if err != nil {
		return nil, fmt.Errorf("read applied campaigns: %w", err)
	}
	known := map[string]applied{}
	for _, a := range list {
		known[a.Name] = a
	}
	return known, nil
}

// compare says what applying the campaign would change.
func (c *Campaign) compare(a applied, now time.Time) (Change, diag.List) {
	change := Change{Campaign: c.Name(), Action: "none", Number: a.Number, campaign: c, applied: a, tick: a.NextTick, Next: a.NextAt}
	same := string(c.fingerprint()) == string(a.Fingerprint)
	switch {
	case !a.Live:
		change.Action = "add"
	case !same:
		change.Action = "change"
	}
	if !same {
		change.Number++
	}
	other := !sameTicks(scheduleOf(a.Source), c.Definition.Schedule)
	switch {
	case other || !a.Live:
		change.newTicks = true
		change.tick, change.Next = c.firstTick(now)
	case !same && change.tick != nil:
		planAt := c.calendar.planAt(*change.tick)
		change.Next = &planAt
	case change.tick != nil && c.calendar != nil && a.NextAt != nil:
		// The file is the same; the company's zone, or the way in which ticks are counted, may not be.
		if planAt := c.calendar.planAt(*change.tick); planAt.After(now) && !planAt.Equal(*a.NextAt) {
			change.Action, change.Next = "change", &planAt
		}
	}
	if change.tick != nil {
		change.Tick = change.tick.Format(tickFormat)
	} else if other && c.calendar != nil {
		return change, diag.List{c.passed()}
	}
	return change, nil
}

// tickFormat is how ticks are written.
const tickFormat = "2006-01-02 15:04"

// passed is the problem that a schedule has no tick to come.
func (c *Campaign) passed() diag.Problem {
	return c.File.Problem("$.schedule.at", "write a time to come; or leave the schedule out, and start it with  sapa run "+c.Name(),
		"%s has passed in %s", c.calendar.at.Format(tickFormat), c.calendar.zone)
}

// scheduleOf is the schedule of a stored version.
func scheduleOf(source string) *Schedule {
	var d Definition
	f, _ := strictyaml.Parse("", source)
	_ = f.Decode(&d) // it was in order when it was applied; an older language may say less
	return d.Schedule
}

// firstTick is the first tick of the schedule after now, and when it is planned: at once, where that would have been
// earlier.
func (c *Campaign) firstTick(now time.Time) (tick, at *time.Time) {
	if c.calendar == nil {
		return nil, nil
	}
	t, ok := c.calendar.first(now)
	if !ok {
		return nil, nil
	}
	planAt := c.calendar.planAt(t)
	if planAt.Before(now) {
		planAt = now
	}
	return &t, &planAt
}

func (c Change) write(ctx context.Context, tx pgx.Tx, actor string) error {
	switch {
	case c.Action == "none":
		return nil
	case c.Action == "remove":
		if _, err := tx.Exec(ctx, `delete from schedules where campaign_id = $1`, c.applied.ID); err != nil {
			return fmt.Errorf("end the schedule: %w", err)
		}
		return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "remove", Subject: "campaign " + c.Campaign, Detail: map[string]any{"version": c.Number}})
	}
	id, err := c.insertCampaign(ctx, tx)
	if err != nil {
		return err
	}
	if c.Number != c.applied.Number {
		if err := insertVersion(ctx, tx, c.campaign, id, c.Number, actor); err != nil {
			return err
		}
	}
	if err := c.setSchedule(ctx, tx, id); err != nil {
		return err
	}
	return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "apply", Subject: "campaign " + c.Campaign, Detail: map[string]any{"version": c.Number}})
}

func (c Change) insertCampaign(ctx context.Context, tx pgx.Tx) (id int, err error) {
	if c.applied.ID != 0 {
		return c.applied.ID, nil
	}
	err = tx.QueryRow(ctx, `
		insert into campaigns (name) values ($1) on conflict (name) do update set created_at = campaigns.created_at returning id`, c.Campaign).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("store the campaign: %w", err)
	}
	return id, nil
}

// setSchedule lets the schedule begin anew, or go on with the tick that was noted: at once, if that waits because the
// version before could not be used. A tick that was taken in the meantime stays taken.
func (c Change) setSchedule(ctx context.Context, tx pgx.Tx, id int) error {
	var err error
	switch {
	case c.newTicks:
		_, err = tx.Exec(ctx, `
			insert into schedules (campaign_id, next_tick, next_at) values ($1, $2, $3)
			on conflict (campaign_id) do update set next_tick = $2, next_at = $3, changed_at = now()`, id, c.tick, c.Next)
	case c.tick != nil:
		_, err = tx.Exec(ctx, `update schedules set next_at = $3 where campaign_id = $1 and next_tick = $2 and next_at <> $3`, id, c.tick, c.Next)
	}
	if err != nil {
		return fmt.Errorf("set the schedule: %w", err)
	}
	return nil
}

// insertVersion stores a version and makes it the current one.
func insertVersion(ctx context.Context, tx pgx.Tx, c *Campaign, campaign, number int, actor string) error {
	var version int
	err := tx.QueryRow(ctx, `
		insert into versions (campaign_id, number, topic, source, files, fingerprint, applied_by)
		values ($1, $2, $3, $4, $5, $6, $7) returning id`,
		campaign, number, c.Topic(), c.File.Source.Text, c.Files, c.fingerprint(), actor).Scan(&version)
	if err != nil {
		return fmt.Errorf("store version %d: %w", number, err)
	}
	for _, l := range c.Links {
		_, err := tx.Exec(ctx, `insert into links (version_id, part, position, url) values ($1, $2, $3, $4)`, version, l.Part, l.Position, l.URL)
		if err != nil {
			return fmt.Errorf("store the links of version %d: %w", number, err)
		}
	}
	if _, err = tx.Exec(ctx, `update campaigns set version_id = $2 where id = $1`, campaign, version); err != nil {
		return fmt.Errorf("choose version %d: %w", number, err)
	}
	return nil
}

// fingerprint identifies a version's content: the file and the templates that it uses.
func (c *Campaign) fingerprint() []byte {
	var b strings.Builder
	write := func(s string) { fmt.Fprintf(&b, "%d:%s", len(s), s) }
	write(c.File.Source.Text)
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		write(name)
		write(c.Files[name])
	}
	sum := sha256.Sum256([]byte(b.String()))
	return sum[:]
}
