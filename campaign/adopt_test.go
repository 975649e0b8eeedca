package campaign_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
)

// quarantined puts a campaign into quarantine, as an engine does.
func (s *shop) quarantined(name string, run int) {
	s.t.Helper()
	s.exec(`insert into quarantines (campaign_id, version_id, run_id, reason) select id, version_id, $2, 'the template failed' from campaigns where name = $1`, name, run)
}

// A campaign in quarantine makes no runs, by hand or by schedule; its ticks are noted. A person, or another version, lets
// it go on.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.people("", "")
	text := yamlOf("all", `schedule: {cron: "0 8 * * *"}`)
	s.apply("all", text, nil)
	run, _ := s.start("all")
	s.quarantined("all", run.ID)
	clock.set(t, "2026-11-24T08:00+07:00")
	s.ticks()
	if n := s.number(`select count(*) from runs`); n != 1 {
		t.Errorf("%d runs", n)
	}
	skipped := `select detail::text from audit_log where action = 'skip tick' order by id`
	want := []string{`{"tick": "2026-11-23 08:00", "reason": "quarantine"}`, `{"tick": "2026-11-24 08:00", "reason": "quarantine"}`}
	if d := cmp.Diff(want, s.strings(skipped)); d != "" {
		t.Error(d)
	}
	_, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "all", Actor: "ani"})
	if !errors.Is(err, campaign.ErrQuarantined) || err.Error() != `all is in quarantine since run 1: the template failed
why: sapa messages 1 --state failed; then mend the template and apply it, or let the campaign go on as it is: sapa resume all` {
		t.Error(err)
	}
	if _, _, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: "all"}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	for what, lift := range map[string]func(){
		"a person":        func() { s.must(s.planner.Release(t.Context(), "all", "ani")) },
		"another version": func() { s.apply("all", text+"description: mended\n", nil) },
		"resuming": func() {
			s.must(s.planner.Pause(t.Context(), run.ID, "ani", "wait"))
			s.must(s.planner.Resume(t.Context(), run.ID, "ani"))
		},
	} {
		lift()
		if n := s.number(`select count(*) from quarantines`); n != 0 {
			t.Errorf("%s does not end the quarantine", what)
		}
		s.exec(`delete from quarantines`)
		s.quarantined("all", run.ID)
	}
	s.exec(`delete from quarantines`)
	if err := s.planner.Release(t.Context(), "all", "ani"); !errors.Is(err, campaign.ErrNotFound) {
		t.Error(err)
	}
	clock.set(t, "2026-11-25T08:00+07:00")
	s.ticks()
	if n := s.number(`select count(*) from runs`); n != 2 {
		t.Errorf("%d runs", n)
	}
}

// Adopting holds everything first: runs under way are paused, ticks that have passed make no run.
func TestAdopt(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	s.people("", "")
	_, err := s.store(map[string]string{
		"campaigns/daily.yaml": scheduled("daily", `{cron: "0 8 * * *"}`)["campaigns/daily.yaml"],
		"campaigns/hand.yaml":  yamlOf("hand", ""),
	})
	s.must(err)
	sending, _ := s.start("hand")
	planning := s.number(`insert into runs (campaign_id, version_id, tick, as_of, actor) select id, version_id, now(), now(), 'x' from campaigns where name = 'hand' returning id`)
	reopened := s.number(`insert into runs (campaign_id, version_id, tick, as_of, actor, state) select id, version_id, now(), now(), 'x', 'done' from campaigns where name = 'hand' returning id`)
	s.exec(`insert into batches (run_id, lo, hi, due_at, channel) values ($1, 1, 2, now(), 'email')`, reopened)
	paused := s.number(`insert into runs (campaign_id, version_id, tick, as_of, actor, state, reason) select id, version_id, now(), now(), 'x', 'paused', 'by hand' from campaigns where name = 'hand' returning id`)

	if a, err := s.planner.Adopt(t.Context(), "ani", campaign.AdoptOptions{}); err != nil || a.Needed() || len(a.Paused) != 0 {
		t.Errorf("at home: %+v, %v", a, err)
	}
	s.exec(`update installation set system_identifier = '4711'`)
	clock.set(t, "2026-11-24T09:00+07:00")
	stands := `select 'run ' || id || ' ' || state || coalesce(' ' || reason, '') from runs
		union all select 'tick ' || next_tick from schedules where next_tick is not null
		union all select 'at home' from installation, pg_control_system() c where installation.system_identifier = c.system_identifier::text
		order by 1`
	before := s.strings(stands)
	dry, err := s.planner.Adopt(t.Context(), "ani", campaign.AdoptOptions{DryRun: true})
	s.must(err)
	if d := cmp.Diff(before, s.strings(stands)); d != "" {
		t.Errorf("a dry run changes something: %s", d)
	}
	a, err := s.planner.Adopt(t.Context(), "ani", campaign.AdoptOptions{})
	s.must(err)
	if d := cmp.Diff(dry, a); d != "" {
		t.Error(d)
	}
	want := &campaign.Adoption{
		From: a.From, To: a.To, Moved: []string{"daily"}, Stopped: []string{},
		Paused:  []campaign.PausedRun{{Run: sending.ID, Campaign: "hand", Waiting: 2}, {Run: planning, Campaign: "hand"}, {Run: reopened, Campaign: "hand"}},
		Waiting: []campaign.PausedRun{{Run: paused, Campaign: "hand"}},
	}
	if d := cmp.Diff(want, a); d != "" {
		t.Error(d)
	}
	const held = " paused the database was adopted here, and the one it was copied from may have sent this; look before you let it go on"
	if d := cmp.Diff([]string{"at home", "run 1" + held, "run 2" + held, "run 3" + held, "run 4 paused by hand", "tick 2026-11-25 08:00:00"}, s.strings(stands)); d != "" {
		t.Error(d)
	}
	log := s.strings(`select action || ' ' || subject || ' ' || coalesce(detail->>'reason', '') || coalesce(' ' || (detail->>'tick'), '') from audit_log
		where action not in ('apply', 'run', 'plan', 'adopt') order by id`)
	wantLog := []string{"pause run 1 adopt", "pause run 2 adopt", "pause run 3 adopt", "skip tick campaign daily adopt 2026-11-23 08:00", "skip tick campaign daily adopt 2026-11-24 08:00"}
	if d := cmp.Diff(wantLog, log); d != "" {
		t.Error(d)
	}
	if a, err := s.planner.Adopt(t.Context(), "ani", campaign.AdoptOptions{Hold: true}); err != nil || a.Needed() || len(a.Paused) != 0 || len(a.Moved) != 0 {
		t.Errorf("nothing is under way any more: %+v, %v", a, err)
	}
	if n := s.number(`select count(*) from audit_log where action = 'adopt' and actor = 'ani'`); n != 2 {
		t.Errorf("%d entries about adopting", n)
	}
	s.must(s.planner.Cancel(t.Context(), paused, "ani"))
	s.must(s.planner.Cancel(t.Context(), reopened, "ani"))
	s.must(s.planner.Resume(t.Context(), sending.ID, "ani"))
	// A physical copy of the cluster looks like the first one: a person says that everything is to be held.
	if a, err = s.planner.Adopt(t.Context(), "ani", campaign.AdoptOptions{Hold: true}); err != nil || a.Needed() || len(a.Paused) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	s.must(s.planner.Resume(t.Context(), sending.ID, "ani"))
	if p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), sending.ID, "done"); p.Counts["sent"] != 2 {
		t.Errorf("%+v", p)
	}
}

// A schedule whose version does not fit the tables of the copy ends, and begins anew when the campaign is applied.
func TestAdoptAVersionThatDoesNotFit(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	text := `
campaign: all
audience: {where: 'customer.city == "Solo"'}
schedule: {cron: "0 8 * * *"}
content: {email: {subject: Halo, text: Halo}}
`
	s.apply("all", text, nil)
	s.exec(`alter table crm.customers rename city to town`)
	s.resolve(crmYAML)
	s.exec(`update installation set database_name = 'elsewhere'`)
	clock.set(t, "2026-11-24T09:00+07:00")
	a, err := s.planner.Adopt(t.Context(), "ani", campaign.AdoptOptions{})
	s.must(err)
	if d := cmp.Diff([]string{"all"}, a.Stopped); d != "" {
		t.Error(d)
	}
	if n := s.number(`select count(*) from schedules`); n != 0 {
		t.Errorf("%d schedules", n)
	}
}

// In a database that is a copy no tick makes a run, and none is lost.
func TestNoTicksInACopy(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	_, err := s.store(scheduled("daily", `{cron: "0 8 * * *"}`))
	s.must(err)
	s.exec(`update installation set system_identifier = '4711'`)
	clock.set(t, "2026-11-23T08:00+07:00")
	if _, err := s.planner.Tick(t.Context()); !errors.Is(err, delivery.ErrForeign) {
		t.Errorf("a tick: %v", err)
	}
	if n := s.number(`select count(*) from runs`); n != 0 {
		t.Errorf("%d runs", n)
	}
	s.exec(`update installation set system_identifier = (select system_identifier::text from pg_control_system())`)
	s.ticks()
	if n := s.number(`select count(*) from runs`); n != 1 {
		t.Errorf("%d runs", n)
	}
}
