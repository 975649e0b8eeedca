package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/linediff"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ErrSamePerson says that who applied a version can't approve it.
var ErrSamePerson = errors.New("somebody else must approve the version")

// ErrUnapproved says that nobody has approved a version of the campaign yet.
var ErrUnapproved = errors.New("no version of the campaign is approved")

// Waiting is a version that waits for approval.
type Waiting struct {
	Campaign  string    `json:"campaign"`
	Number    int       `json:"version"`
	Current   int       `json:"current"` // the version that runs use until then; 0: none
	AppliedBy string    `json:"applied_by"`
	AppliedAt time.Time `json:"applied_at"`

	campaignID, versionID int
	currentID             *int
}

type unapprovedError struct{ w Waiting }

func (e *unapprovedError) Error() string {
	return fmt.Sprintf("no version of %s is approved yet: version %d, applied by %s on %s, waits until somebody else says: sapa approve %[1]s",
		e.w.Campaign, e.w.Number, e.w.AppliedBy, e.w.AppliedAt.UTC().Format("2 Jan 2006 15:04 MST"))
}

func (e *unapprovedError) Is(target error) bool { return target == ErrUnapproved }

const waitingSQL = `
	select c.name, v.number, coalesce(n.number, 0), v.applied_by, v.applied_at, c.id, v.id, c.version_id
	from approvals a join versions v on v.id = a.version_id join campaigns c on c.id = v.campaign_id left join versions n on n.id = c.version_id
	where a.state = 'waiting'`

// WaitingVersions lists the versions that wait for approval, by the campaign's name.
func WaitingVersions(ctx context.Context, db pg.DBTX) ([]Waiting, error) {
	rows, _ := db.Query(ctx, waitingSQL+` order by c.name, v.number`)
	list, err := pgx.CollectRows(rows, scanWaiting)
	if err != nil {
		return nil, fmt.Errorf("list versions that wait for approval: %w", err)
	}
	return list, nil
}

func scanWaiting(row pgx.CollectableRow) (w Waiting, err error) {
	err = row.Scan(&w.Campaign, &w.Number, &w.Current, &w.AppliedBy, &w.AppliedAt, &w.campaignID, &w.versionID, &w.currentID)
	return w, err
}

// readWaiting reads the version of a campaign that waits: that of the number, or the only one. The error is an ErrNotFound
// that says what there is.
func readWaiting(ctx context.Context, db pg.DBTX, name string, number int) (*Waiting, error) {
	rows, _ := db.Query(ctx, waitingSQL+` and c.name = $1 and (v.number = $2 or $2 = 0) order by v.number desc limit 1`, name, number)
	w, err := pgx.CollectExactlyOneRow(rows, scanWaiting)
	if err == nil {
		return &w, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read which version of %s waits for approval: %w", name, err)
	}
	return nil, nothingWaits(ctx, db, name, number)
}

// noneWaits is an ErrNotFound in its own words.
type noneWaits string

func (e noneWaits) Error() string        { return string(e) }
func (e noneWaits) Is(target error) bool { return target == ErrNotFound }

func nothingWaits(ctx context.Context, db pg.DBTX, name string, number int) error {
	var state *string
	err := db.QueryRow(ctx, `
		select a.state from campaigns c left join versions v on v.campaign_id = c.id and v.number = $2 left join approvals a on a.version_id = v.id
		where c.name = $1`, name, number).Scan(&state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("campaign %q: %w; what waits is listed by: sapa approve", name, ErrNotFound)
	case err != nil:
		return fmt.Errorf("read which version of %s waits for approval: %w", name, err)
	case number == 0:
		return noneWaits(fmt.Sprintf("no version of %s waits for approval; what waits is listed by: sapa approve", name))
	case state == nil:
		return noneWaits(fmt.Sprintf("version %d of %s does not wait for approval; what waits is listed by: sapa approve", number, name))
	}
	return noneWaits(fmt.Sprintf("version %d of %s does not wait any more, it is %s", number, name, *state))
}

func awaitApproval(ctx context.Context, tx pgx.Tx, version int, required bool) error {
	_, err := tx.Exec(ctx, `insert into approvals (version_id, state, required) values ($1, 'waiting', $2)`, version, required)
	if err != nil {
		return fmt.Errorf("let the version wait for approval: %w", err)
	}
	return nil
}

// withdraw ends the waiting of a campaign's versions: another came instead.
func withdraw(ctx context.Context, tx pgx.Tx, campaign int) error {
	_, err := tx.Exec(ctx, `update approvals set state = 'withdrawn', decided_at = now()
		where state = 'waiting' and version_id in (select id from versions where campaign_id = $1)`, campaign)
	if err != nil {
		return fmt.Errorf("withdraw what waited for approval: %w", err)
	}
	return nil
}

// Review is what a person looks at before approving a version.
type Review struct {
	Waiting
	Changes []FileChange `json:"changes"`
	Before  *Plan        `json:"before,omitempty"` // what the current version would plan now; nil: there is none, or it can't be used
	After   *Plan        `json:"after"`            // what the version would
}

// FileChange is how a file of a campaign changed: lines that begin with "- ", "+ " or, around them, two blanks.
type FileChange struct {
	File  string   `json:"file"`
	Lines []string `json:"lines"`
}

// Review compares the version that waits for approval with the current one: their files, and whom they would reach now. A
// number of 0 means the one that waits.
func (p *Planner) Review(ctx context.Context, name string, number int) (*Review, error) {
	w, err := readWaiting(ctx, p.Pool, name, number)
	if err != nil {
		return nil, err
	}
	r := &Review{Waiting: *w}
	if r.Changes, err = p.changes(ctx, w); err != nil {
		return nil, err
	}
	if r.After, err = p.dryRunOf(ctx, w, w.versionID); err != nil {
		return nil, err
	}
	if w.currentID == nil {
		return r, nil
	}
	r.Before, err = p.dryRunOf(ctx, w, *w.currentID)
	if unfit := diag.List(nil); errors.As(err, &unfit) {
		return r, nil // what no longer fits the company's tables reaches nobody
	}
	return r, err
}

// dryRunOf plans a version for now, and takes everything back.
func (p *Planner) dryRunOf(ctx context.Context, w *Waiting, version int) (*Plan, error) {
	c, err := p.Library.version(ctx, version)
	if err != nil {
		return nil, err
	}
	r := &Run{CampaignID: w.campaignID, Campaign: w.Campaign, VersionID: version}
	p.freeze(r, c, Start{Campaign: w.Campaign})
	return p.plan(ctx, r, c, true)
}

func (p *Planner) changes(ctx context.Context, w *Waiting) ([]FileChange, error) {
	after, err := readFiles(ctx, p.Pool, w.Campaign, w.versionID)
	if err != nil {
		return nil, err
	}
	before := map[string]string{}
	if w.currentID != nil {
		if before, err = readFiles(ctx, p.Pool, w.Campaign, *w.currentID); err != nil {
			return nil, err
		}
	}
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var list []FileChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if lines := linediff.Lines(before[name], after[name]); len(lines) > 0 {
			list = append(list, FileChange{File: name, Lines: lines})
		}
	}
	return list, nil
}

// readFiles are a version's files by their names in the project.
func readFiles(ctx context.Context, db pg.DBTX, campaign string, version int) (map[string]string, error) {
	var source string
	var templates map[string]string
	if err := db.QueryRow(ctx, `select source, files from versions where id = $1`, version).Scan(&source, &templates); err != nil {
		return nil, fmt.Errorf("read a version of %s: %w", campaign, err)
	}
	files := map[string]string{"campaigns/" + campaign + ".yaml": source}
	for name, text := range templates {
		switch {
		case name == madeText:
		case isSegmentFile(name):
			files[name+".yaml"] = text
		default:
			files["templates/"+name] = text
		}
	}
	return files, nil
}

// Approve makes a version that waits the current one; a number of 0 means the one that waits. Its schedule goes on, or
// begins anew where it has other ticks. Who applied it can't: that is an ErrSamePerson. One that does not wait is an
// ErrNotFound.
func (p *Planner) Approve(ctx context.Context, name string, number int, actor string) (change Change, err error) {
	err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa apply', 0))`); err != nil {
			return fmt.Errorf("wait for another sapa apply: %w", err)
		}
		w, err := readWaiting(ctx, tx, name, number)
		if err != nil {
			return err
		}
		if err := w.MayApprove(actor); err != nil {
			return err
		}
		change, err = p.approve(ctx, tx, w, actor)
		return err
	})
	return change, err
}

// MayApprove is an ErrSamePerson when the actor applied the version.
func (w *Waiting) MayApprove(actor string) error {
	if samePerson(w.AppliedBy, actor) {
		return fmt.Errorf("%w: version %d of %s was applied by %s, who can't approve it", ErrSamePerson, w.Number, w.Campaign, w.AppliedBy)
	}
	return nil
}

// samePerson compares names of actors, in whatever case.
func samePerson(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

func (p *Planner) approve(ctx context.Context, tx pgx.Tx, w *Waiting, actor string) (Change, error) {
	known, err := readApplied(ctx, tx)
	if err != nil {
		return Change{}, err
	}
	c, err := p.Library.version(ctx, w.versionID)
	if err != nil {
		return Change{}, err
	}
	a := known[w.Campaign]
	change := Change{Campaign: w.Campaign, Action: "approve", Number: w.Number, campaign: c, applied: a, tick: a.NextTick, Next: a.NextAt}
	change, problems := change.compareTicks(false, !sameTicks(scheduleOf(a.Source), c.Definition.Schedule), p.Now())
	if err := problems.Err(); err != nil {
		return change, fmt.Errorf("version %d of %s can't be approved as it is; change it and apply it again\n%w", w.Number, w.Campaign, err)
	}
	_, err = tx.Exec(ctx, `update approvals set state = 'approved', decided_at = now(), decided_by = $2 where version_id = $1`, w.versionID, actor)
	if err != nil {
		return change, fmt.Errorf("approve version %d of %s: %w", w.Number, w.Campaign, err)
	}
	if err := withdraw(ctx, tx, w.campaignID); err != nil {
		return change, err
	}
	if err := chooseVersion(ctx, tx, w.campaignID, w.versionID); err != nil {
		return change, err
	}
	if err := change.setSchedule(ctx, tx, w.campaignID); err != nil {
		return change, err
	}
	return change, access.Record(ctx, tx, access.Entry{
		Actor: actor, Action: "approve", Subject: "campaign " + w.Campaign,
		Detail: map[string]any{"version": w.Number, "applied_by": w.AppliedBy},
	})
}
