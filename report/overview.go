package report

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// ErrNotFound says that there is no such campaign or run.
var ErrNotFound = errors.New("not found")

// notFound is an ErrNotFound in words.
type notFound string

func (e notFound) Error() string { return string(e) }

func (e notFound) Is(target error) bool { return target == ErrNotFound }

// Applied is a campaign as it stands: its current version, when it runs next, and what keeps it from that.
type Applied struct {
	Name      string     `json:"campaign"`
	Version   int        `json:"version"` // 0: none is approved; the rest is then that of the one that waits
	AppliedAt time.Time  `json:"applied_at"`
	AppliedBy string     `json:"applied_by"`
	Live      bool       `json:"live"`      // false: its file is gone; what it did stays
	NextTick  *time.Time `json:"next_tick"` // civil; nil: it has no schedule, or that is over
	NextAt    *time.Time `json:"next_at"`   // when that run is planned
	LastRun   *int       `json:"last_run"`

	Waiting    *int    `json:"waiting_for_approval,omitempty"` // the version that somebody else than who applied it must approve
	Quarantine *string `json:"quarantine,omitempty"`           // why the campaign makes no runs
}

// Overview lists the campaigns that have a version, by name.
func Overview(ctx context.Context, db pg.DBTX) ([]Applied, error) {
	rows, _ := db.Query(ctx, `
		select c.name, case when v.id = c.version_id then v.number else 0 end as version, v.applied_at, v.applied_by,
			s.campaign_id is not null as live, s.next_tick, s.next_at,
			(select max(r.id) from runs r where r.campaign_id = c.id) as last_run, w.number as waiting, q.reason as quarantine
		from campaigns c
		left join lateral (
			select w.id, w.number from versions w join approvals a on a.version_id = w.id and a.state = 'waiting'
			where w.campaign_id = c.id order by w.number desc limit 1) w on true
		join versions v on v.id = coalesce(c.version_id, w.id)
		left join schedules s on s.campaign_id = c.id
		left join quarantines q on q.campaign_id = c.id
		order by c.name collate "C"`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Applied])
	if err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	return list, nil
}

// ParseSince reads a date (2026-11-01, in now's zone), a moment (RFC 3339), or a time span back from now (30d, 12h); "" is
// always. Its error names the text and these forms.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return day, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if span, err := time.ParseDuration(text); err == nil && span >= 0 {
		return now.Add(-span), nil
	}
	return time.Time{}, fmt.Errorf("%s is neither a date such as 2026-11-01 nor a time such as 30d or 12h", text)
}
