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
	Tick     string     `json:"tick,omitempty"`               // civil time of its next run, such as 2026-12-24 08:00
	Next     *time.Time `json:"next,omitempty"`               // when that run is planned
	Waits    bool       `json:"waits_for_approval,omitempty"` // somebody else must approve the version before anything runs by it
	Withdraw int        `json:"withdrawn,omitempty"`          // the version that waited for approval, and does not any more
	Event    string     `json:"event,omitempty"`              // that triggers it
	Segments []string   `json:"segments,omitempty"`           // of those that it uses, the ones whose rules are other ones

	campaign *Campaign // nil with remove
	store    bool      // the version is a new one
	newTicks bool      // the schedule begins anew
	tick     *time.Time
	applied  applied
}

// applied is what the database knows of a campaign.
type applied struct {
	ID          int
	Name        string
	Number      int // of the current version; 0 while none is approved
	Fingerprint []byte
	Source      string
	Files       map[string]string
	Guarded     bool   // the current version itself asked for approval; or, while there is none, the one that waits
	Latest      int    // of its versions
	Waiting     int    // the version that waits for approval; 0: none
	Waits       []byte // its fingerprint
	Live        bool   // its file was there when campaigns were last applied
	NextTick    *time.Time
	NextAt      *time.Time
}

// Apply stores the campaigns of a project as immutable versions, all or none. A campaign whose file and templates are
// those of its current version is left alone. Where approval is asked for, a new version waits for it (Planner.Approve),
// and everything goes on by the version before. A schedule whose ticks are not those of the version before goes on from
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
		select c.id, c.name, coalesce(v.number, 0) as number, v.fingerprint, coalesce(v.source, '') as source, coalesce(v.files, '{}') as files,
		       coalesce(a.required, c.version_id is null and w.required, false) as guarded,
		       (select max(number) from versions where campaign_id = c.id) as latest, coalesce(w.number, 0) as waiting, w.fingerprint as waits,
		       s.campaign_id is not null as live, s.next_tick, s.next_at
		from campaigns c
		left join versions v on v.id = c.version_id
		left join approvals a on a.version_id = c.version_id
		left join schedules s on s.campaign_id = c.id
		left join lateral (
			select w.number, w.fingerprint, x.required from versions w join approvals x on x.version_id = w.id and x.state = 'waiting'
			where w.campaign_id = c.id order by w.number desc limit 1) w on true
		where exists (select from versions where campaign_id = c.id)`)
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
	if t := c.Definition.Trigger; t != nil {
		change.Event = t.Event
	}
	same := a.Number > 0 && string(c.fingerprint()) == string(a.Fingerprint)
	change.number(same)
	if change.store {
		change.Segments = changedSegments(a.Files, c.Files)
	}
	switch {
	case !a.Live:
		change.Action = "add"
	case change.store || change.Withdraw > 0:
		change.Action = "change"
	}
	if change.Waits {
		return change.keepSchedule(), nil
	}
	other := !sameTicks(scheduleOf(a.Source), c.Definition.Schedule)
	return change.compareTicks(same, other, now)
}

// number says which version the file is: the current one, the one that waits for approval, or a new one, which may have
// to wait.
func (c *Change) number(same bool) {
	a := c.applied
	switch {
	case same:
		c.Withdraw = a.Waiting
	case a.Waiting > 0 && string(c.campaign.fingerprint()) == string(a.Waits):
		c.Number, c.Waits = a.Waiting, true
	default:
		c.Number, c.store, c.Withdraw = a.Latest+1, true, a.Waiting
		c.Waits = c.campaign.asksApproval() || a.Guarded
	}
}

// keepSchedule leaves the schedule to the current version, until the new one is approved. A campaign that is new, or comes
// back, has none until then.
func (c Change) keepSchedule() Change {
	if !c.applied.Live {
		c.newTicks, c.tick, c.Next = true, nil, nil
	}
	if c.tick != nil {
		c.Tick = c.tick.Format(tickFormat)
	}
	return c
}

// compareTicks says whether the schedule begins anew; other: its ticks are not those of the version before.
func (c Change) compareTicks(same, other bool, now time.Time) (Change, diag.List) {
	a, calendar := c.applied, c.campaign.calendar
	switch {
	case other || !a.Live || a.NextTick == nil && calendar != nil && calendar.cron != "": // its version waited for approval
		c.newTicks = true
		c.tick, c.Next = c.campaign.firstTick(now)
	case !same && c.tick != nil:
		planAt := calendar.planAt(*c.tick)
		c.Next = &planAt
	case c.tick != nil && calendar != nil && a.NextAt != nil:
		// The file is the same; the company's zone, or the way in which ticks are counted, may not be.
		if planAt := calendar.planAt(*c.tick); planAt.After(now) && !planAt.Equal(*a.NextAt) {
			c.Action, c.Next = "change", &planAt
		}
	}
	if c.tick != nil {
		c.Tick = c.tick.Format(tickFormat)
	} else if other && calendar != nil {
		return c, diag.List{c.campaign.passed()}
	}
	return c, nil
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
		if err := withdraw(ctx, tx, c.applied.ID); err != nil {
			return err
		}
		return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "remove", Subject: "campaign " + c.Campaign, Detail: map[string]any{"version": c.Number}})
	}
	id, err := c.insertCampaign(ctx, tx)
	if err != nil {
		return err
	}
	if c.Withdraw > 0 {
		if err := withdraw(ctx, tx, id); err != nil {
			return err
		}
	}
	if c.store {
		if err := c.storeVersion(ctx, tx, id, actor); err != nil {
			return err
		}
	}
	if err := c.setSchedule(ctx, tx, id); err != nil {
		return err
	}
	detail := map[string]any{"version": c.Number}
	if c.Waits {
		detail["waits_for_approval"] = true
	}
	if c.Withdraw > 0 {
		detail["withdrawn"] = c.Withdraw
	}
	return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "apply", Subject: "campaign " + c.Campaign, Detail: detail})
}

// storeVersion stores the campaign as a version, which is the current one from now, or waits for approval.
func (c Change) storeVersion(ctx context.Context, tx pgx.Tx, campaign int, actor string) error {
	version, err := insertVersion(ctx, tx, c.campaign, campaign, c.Number, actor)
	if err != nil {
		return err
	}
	if c.Waits {
		return awaitApproval(ctx, tx, version, c.campaign.asksApproval())
	}
	return chooseVersion(ctx, tx, campaign, version)
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

// insertVersion stores a version.
func insertVersion(ctx context.Context, tx pgx.Tx, c *Campaign, campaign, number int, actor string) (version int, err error) {
	err = tx.QueryRow(ctx, `
		insert into versions (campaign_id, number, topic, source, files, fingerprint, applied_by, event)
		values ($1, $2, $3, $4, $5, $6, $7, nullif($8, '')) returning id`,
		campaign, number, c.Topic(), c.File.Source.Text, c.Files, c.fingerprint(), actor, c.Event()).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("store version %d: %w", number, err)
	}
	for _, l := range c.Links {
		_, err := tx.Exec(ctx, `insert into links (version_id, part, position, url) values ($1, $2, $3, $4)`, version, l.Part, l.Position, l.URL)
		if err != nil {
			return 0, fmt.Errorf("store the links of version %d: %w", number, err)
		}
	}
	return version, nil
}

// chooseVersion makes a version the one that new runs use. What was wrong with the one before is over.
func chooseVersion(ctx context.Context, tx pgx.Tx, campaign, version int) error {
	if _, err := tx.Exec(ctx, `update campaigns set version_id = $2 where id = $1`, campaign, version); err != nil {
		return fmt.Errorf("choose the version: %w", err)
	}
	if _, err := tx.Exec(ctx, `delete from quarantines where campaign_id = $1`, campaign); err != nil {
		return fmt.Errorf("end the quarantine: %w", err)
	}
	return nil
}

// fingerprint identifies a version's content: the file, and the templates and the rules of segments that it uses.
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
