package campaign_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
)

// applyAs applies one campaign as somebody, and says what that did.
func (s *shop) applyAs(actor, text string) campaign.Change {
	s.t.Helper()
	changes, err := campaign.Apply(s.t.Context(), s.pool, s.load(map[string]string{"campaigns/all.yaml": text}), s.now(), actor)
	s.must(err)
	return changes[0]
}

const versionsOf = `
	select v.number || coalesce(' ' || a.state || coalesce(' by ' || a.decided_by, ''), '') || case when c.version_id = v.id then ' current' else '' end
	from versions v join campaigns c on c.id = v.campaign_id left join approvals a on a.version_id = v.id order by v.number`

// A version waits until somebody else approves it; meanwhile runs and the schedule use the one before.
func TestApproval(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.people("", "")
	plain := yamlOf("all", `schedule: {cron: "0 8 * * *"}`)
	s.applyAs("ani", plain)
	guarded := plain + "approval: required\n"
	c := s.applyAs("ani", guarded)
	if !c.Waits || c.Action != "change" || c.Number != 2 || c.Tick != "2026-11-23 08:00" {
		t.Errorf("%+v", c)
	}
	if c := s.applyAs("budi", guarded); !c.Waits || c.Action != "none" || c.Number != 2 {
		t.Errorf("the same again: %+v", c)
	}
	clock.set(t, "2026-11-23T08:00+07:00")
	s.ticks()
	if d := cmp.Diff([]string{"1"}, s.strings(`select v.number::text from runs r join versions v on v.id = r.version_id`)); d != "" {
		t.Error("the schedule's run:", d)
	}
	for _, who := range []string{"ani", " Ani "} {
		_, err := s.planner.Approve(t.Context(), "all", 0, who)
		if !errors.Is(err, campaign.ErrSamePerson) || err.Error() != "somebody else must approve the version: version 2 of all was applied by ani, who can't approve it" {
			t.Errorf("%q: %v", who, err)
		}
	}
	review, err := s.planner.Review(t.Context(), "all", 0)
	s.must(err)
	if d := cmp.Diff([]campaign.FileChange{{File: "campaigns/all.yaml", Lines: []string{"…", "  content: {email: {subject: Halo, text: Halo}}", `  schedule: {cron: "0 8 * * *"}`, "+ approval: required"}}}, review.Changes); d != "" {
		t.Error(d)
	}
	if review.Current != 1 || review.AppliedBy != "ani" || review.Before.Audience != 2 || review.After.Planned != 2 {
		t.Errorf("%+v", review)
	}
	change, err := s.planner.Approve(t.Context(), "all", 2, "budi")
	s.must(err)
	if change.Number != 2 || change.Tick != "2026-11-24 08:00" {
		t.Errorf("%+v", change)
	}
	if d := cmp.Diff([]string{"1", "2 approved by budi current"}, s.strings(versionsOf)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{`budi {"version": 2, "applied_by": "ani"}`}, s.strings(`select actor || ' ' || detail from audit_log where action = 'approve'`)); d != "" {
		t.Error(d)
	}
	if _, err := s.planner.Approve(t.Context(), "all", 2, "cici"); !errors.Is(err, campaign.ErrNotFound) || err.Error() != "version 2 of all does not wait any more, it is approved" {
		t.Error(err)
	}
	// Taking the key away needs approval, too, and the version after that one does not.
	if c := s.applyAs("budi", plain+"description: free\n"); !c.Waits || c.Number != 3 {
		t.Errorf("%+v", c)
	}
	_, err = s.planner.Approve(t.Context(), "all", 0, "ani")
	s.must(err)
	if c := s.applyAs("budi", plain+"description: freer\n"); c.Waits || c.Number != 4 {
		t.Errorf("%+v", c)
	}
}

// A campaign of which no version is approved can't run, has no schedule, and can't get round it by dropping the key.
func TestFirstVersionWaits(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.rails("{approval: required}")
	s.people("", "")
	text := yamlOf("all", `schedule: {cron: "0 8 * * *"}`)
	if c := s.applyAs("ani", text); !c.Waits || c.Action != "add" || c.Number != 1 || c.Next != nil {
		t.Errorf("%+v", c)
	}
	_, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "all", Actor: "ani"})
	if !errors.Is(err, campaign.ErrUnapproved) || !strings.HasPrefix(err.Error(), "no version of all is approved yet: version 1, applied by ani on ") ||
		!strings.HasSuffix(err.Error(), ", waits until somebody else says: sapa approve all") {
		t.Error(err)
	}
	s.rails("{max_audience: 100}") // sapa.yaml does not ask any more
	if c := s.applyAs("ani", text+"description: changed\n"); !c.Waits || c.Action != "change" || c.Number != 2 || c.Withdraw != 1 {
		t.Errorf("%+v", c)
	}
	clock.set(t, "2026-11-24T07:00+07:00")
	s.ticks()
	if n := s.number(`select count(*) from runs`); n != 0 {
		t.Errorf("%d runs", n)
	}
	if d := cmp.Diff([]string{"1 withdrawn", "2 waiting"}, s.strings(versionsOf)); d != "" {
		t.Error(d)
	}
	change, err := s.planner.Approve(t.Context(), "all", 0, "budi")
	s.must(err)
	if change.Tick != "2026-11-24 08:00" {
		t.Errorf("the schedule begins with %+v", change)
	}
	clock.set(t, "2026-11-24T08:00+07:00")
	s.ticks()
	if n := s.number(`select count(*) from runs`); n != 1 {
		t.Errorf("%d runs", n)
	}
}

// A file that goes back to the current version takes back what waits; so does one that is removed. A campaign that comes
// back and waits has no schedule meanwhile, and its old one when it goes back, too.
func TestApprovalIsWithdrawn(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T07:00+07:00")
	guarded := yamlOf("all", "schedule: {cron: \"0 8 * * *\"}\napproval: required")
	s.applyAs("ani", guarded)
	_, err := s.planner.Approve(t.Context(), "all", 0, "budi")
	s.must(err)
	s.applyAs("ani", guarded+"description: x\n")
	if c := s.applyAs("ani", guarded); c.Action != "change" || c.Number != 1 || c.Withdraw != 2 || c.Waits {
		t.Errorf("%+v", c)
	}
	if _, err := s.planner.Approve(t.Context(), "all", 0, "budi"); err == nil || err.Error() != "no version of all waits for approval; what waits is listed by: sapa approve" {
		t.Error(err)
	}
	s.applyAs("ani", guarded+"description: y\n")
	_, err = campaign.Apply(t.Context(), s.pool, nil, s.now(), "ani")
	s.must(err)
	if d := cmp.Diff([]string{"1 approved by budi current", "2 withdrawn", "3 withdrawn"}, s.strings(versionsOf)); d != "" {
		t.Error(d)
	}
	if c := s.applyAs("ani", guarded+"description: z\n"); c.Action != "add" || !c.Waits || c.Number != 4 || c.Next != nil {
		t.Errorf("%+v", c)
	}
	if d := cmp.Diff([]string{"over"}, s.strings(nextTicks)); d != "" {
		t.Error("a campaign that waits is on schedule:", d)
	}
	if c := s.applyAs("ani", guarded); c.Action != "change" || c.Number != 1 || c.Tick != "2026-11-23 08:00" {
		t.Errorf("%+v", c)
	}
	if d := cmp.Diff([]string{"2026-11-23 08:00 2026-11-23 01:00"}, s.strings(nextTicks)); d != "" {
		t.Error(d)
	}
}

// An approved version with other ticks begins its schedule anew; one whose only tick has passed can't be approved.
func TestApprovedSchedule(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	with := func(schedule string) string {
		return yamlOf("all", "schedule: "+schedule+"\napproval: required")
	}
	s.applyAs("ani", with(`{cron: "0 8 * * *"}`))
	_, err := s.planner.Approve(t.Context(), "all", 0, "budi")
	s.must(err)
	s.applyAs("ani", with(`{at: 2026-11-25 10:00}`))
	if d := cmp.Diff([]string{"2026-11-23 08:00 2026-11-23 01:00"}, s.strings(nextTicks)); d != "" {
		t.Error("before it is approved:", d)
	}
	clock.set(t, "2026-11-25T10:30+07:00")
	if _, err := s.planner.Approve(t.Context(), "all", 0, "budi"); err == nil || !strings.Contains(err.Error(), "2026-11-25 10:00 has passed") {
		t.Error(err)
	}
	clock.set(t, "2026-11-24T10:30+07:00")
	_, err = s.planner.Approve(t.Context(), "all", 0, "budi")
	s.must(err)
	if d := cmp.Diff([]string{"2026-11-25 10:00 2026-11-25 03:00"}, s.strings(nextTicks)); d != "" {
		t.Error(d)
	}
}

// Two people who approve at once approve once.
func TestApproveTwice(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T07:00+07:00")
	s.applyAs("ani", yamlOf("all", "approval: required"))
	results := make(chan error, 2)
	for _, who := range []string{"budi", "cici"} {
		p := s.process()
		go func() { _, err := p.Approve(t.Context(), "all", 0, who); results <- err }()
	}
	if a, b := <-results, <-results; (a == nil) == (b == nil) {
		t.Errorf("%v, %v", a, b)
	}
	if n := s.number(`select count(*) from audit_log where action = 'approve'`); n != 1 {
		t.Errorf("approved %d times", n)
	}
}
