package campaign_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
)

// mendRails sets what sapa.yaml says below rails:.
func (s *shop) rails(yaml string) {
	s.t.Helper()
	s.resolve(crmYAML + "\nrails: " + yaml + "\n")
}

// yamlOf is a campaign to all customers, with more lines of YAML.
func yamlOf(name, more string) string {
	return `
campaign: ` + name + `
audience: {where: "true", occasion: today()}
content: {email: {subject: Halo, text: Halo}}
` + more + "\n"
}

// whatRuns is everything that a run leaves.
const whatRuns = `
	select 'run ' || id || ' ' || state || ' ' || coalesce(reason, '') from runs
	union all select 'messages ' || count(*) from messages having count(*) > 0
	union all select 'occasions ' || count(*) from occasions having count(*) > 0
	union all select 'batches ' || count(*) from batches having count(*) > 0
	union all select 'totals ' || count(*) from run_totals having count(*) > 0
	union all select 'jobs ' || count(*) from river_job having count(*) > 0
	order by 1`

// A run by hand that is larger than max_audience leaves nothing but a note; its words say the numbers and which limit it is.
func TestMaxAudienceByHand(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ rails, own, want string }{
		"the campaign's own": {"{max_audience: 100}", "limits: {max_audience: 11}", `all would send 12 messages, and max_audience is 11; nothing was kept
if the rule means the right people, raise limits: max_audience in campaigns/all.yaml, and sapa apply; see: sapa run all --dry-run`},
		"that of sapa.yaml": {"{max_audience: 11}", "", `all would send 12 messages, and max_audience is 11; nothing was kept
if the rule means the right people, raise rails: max_audience in sapa.yaml, or a limit of the campaign's own; see: sapa run all --dry-run`},
		"just large enough":   {"{max_audience: 12}", "", ""},
		"the campaign's wins": {"{max_audience: 1}", "limits: {max_audience: 12}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := setupClock(t, "2026-11-23T09:00+07:00")
			s.rails(tt.rails)
			s.people(make([]string, 12)...)
			s.apply("all", yamlOf("all", tt.own), nil)
			_, dry, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: "all"})
			s.must(err)
			if dry.Refused != tt.want {
				t.Errorf("the dry run says: %s", dry.Refused)
			}
			_, plan, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "all", Actor: "ani", Yes: true})
			if tt.want == "" {
				s.must(err)
				if plan.Planned != 12 {
					t.Errorf("%+v", plan)
				}
				return
			}
			if !errors.Is(err, campaign.ErrTooMany) || err.Error() != tt.want {
				t.Errorf("%v", err)
			}
			if d := cmp.Diff([]string(nil), s.strings(whatRuns)); d != "" {
				t.Error(d)
			}
			want := []string{"ani refuse run run 1", "ani run run 1"}
			if d := cmp.Diff(want, s.strings(`select actor || ' ' || action || ' ' || subject from audit_log where action <> 'apply' order by 1`)); d != "" {
				t.Error(d)
			}
		})
	}
}

// A run of the schedule that is larger than max_audience is planned and waits; a person sends it, or ends it.
func TestMaxAudienceBySchedule(t *testing.T) {
	t.Parallel()
	for _, go_ := range []bool{true, false} {
		t.Run(fmt.Sprint(go_), func(t *testing.T) {
			t.Parallel()
			s, clock := setupClock(t, "2026-11-23T07:00+07:00")
			s.people(make([]string, 12)...)
			s.apply("all", yamlOf("all", "limits: {max_audience: 11}\nschedule: {cron: \"0 8 * * *\"}"), nil)
			clock.set(t, "2026-11-23T08:00+07:00")
			s.ticks()
			s.planScheduled()
			p := s.await(1, "paused")
			if p.Reason != "12 messages are more than max_audience, 11; send them with: sapa resume 1, or end it with: sapa cancel 1" || p.Counts["planned"] != 12 {
				t.Errorf("%+v", p)
			}
			if n := s.number(`select count(*) from river_job where kind = 'send_batch'`); n != 0 {
				t.Errorf("%d jobs would send it", n)
			}
			if !go_ {
				s.must(s.planner.Cancel(t.Context(), 1, "ani"))
				s.addsUp()
				return
			}
			s.must(s.planner.Resume(t.Context(), 1, "ani"))
			if p := s.send(s.engine("smtp://"+s.mail.SMTPAddr()), 1, "done"); p.Counts["sent"] != 12 {
				t.Errorf("%+v", p)
			}
			s.addsUp()
		})
	}
}

// What is unusual depends on what the campaign's last runs handed over.
func TestUnusuallyLargeRuns(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T09:00+07:00")
	s.exec(`insert into crm.customers (id, first_name, email) select n, 'Budi', 'budi' || n || '@mail.example' from generate_series(1, 1002) n`)
	many := "1,002 messages are more than 3 times the largest of its last runs, "
	for i, tt := range []struct {
		history []int // handed over by earlier runs, the oldest first
		yes     bool
		want    string
	}{
		{nil, false, ""}, // the first run may have up to 10,000
		{[]int{333}, false, many + "333"},
		{[]int{334}, false, ""},
		{[]int{333}, true, ""},
		{[]int{500, 1, 1, 1, 1, 1, 1, 1, 1, 1}, false, ""},             // the tenth counts
		{[]int{500, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, false, many + "1"},  // the eleventh does not
		{[]int{500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, false, ""}, // runs that sent nothing say nothing
		{[]int{1, -1000}, false, many + "1"},                           // nor does what was planned and cancelled
	} {
		name := fmt.Sprintf("all-%d", i)
		s.apply(name, yamlOf(name, ""), nil)
		for _, n := range tt.history {
			s.exec(`with c as (select id, version_id from campaigns where name = $1), r as (
				insert into runs (campaign_id, version_id, tick, as_of, state, actor, planned_at) select id, version_id, now(), now(), 'done', 'x', now() from c returning id)
				insert into run_totals (run_id, state, reason, delta) select id, case when $2::int < 0 then 'skipped' else 'sent' end, '', abs($2::int) from r`, name, n)
		}
		run, plan, err := s.planner.Start(t.Context(), campaign.Start{Campaign: name, Actor: "ani", Yes: tt.yes})
		s.must(err)
		state, reason := "sending", ""
		if tt.want != "" {
			state, reason = "paused", fmt.Sprintf("%s; send them with: sapa resume %d, or end it with: sapa cancel %[2]d", tt.want, run.ID)
		}
		if p := s.await(run.ID, "sending", "paused"); plan.Hold != tt.want || p.State != state || p.Reason != reason {
			t.Errorf("%d: hold %q, %s: %s", i, plan.Hold, p.State, p.Reason)
		}
	}
}

// A campaign's first run may be large, but not that large.
func TestFirstRun(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T09:00+07:00")
	s.exec(`insert into crm.customers (id, first_name, email) select n, 'Budi', 'budi' || n || '@mail.example' from generate_series(1, 10001) n`)
	for name, want := range map[string]string{"all": "10,001 messages are many for the campaign's first run", "less": ""} {
		text := yamlOf(name, "")
		if name == "less" {
			text = `
campaign: less
audience: {where: "customer.id > 1"}
content: {email: {subject: Halo, text: Halo}}
`
		}
		s.apply(name, text, nil)
		_, plan, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: name})
		s.must(err)
		if plan.Hold != want {
			t.Errorf("%s: %s", name, plan.Hold)
		}
	}
}

// A rehearsal shows the first messages as they would be sent, counts those that would fail, and stores nothing.
func TestRehearse(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T09:00+07:00")
	s.people(make([]string, 150)...)
	s.exec(`update crm.customers set first_name = null where id in (2, 90, 140)`)
	s.exec(`update crm.customers set email = null where id = 1`)
	s.exec(`update crm.customers set first_name = 'Budi ' || id where first_name is not null`)
	s.apply("all", `
campaign: all
audience: {where: "true"}
content: {email: {subject: "Halo {{ customer.first_name }}", text: "Kunjungi {{ 'https://bengkel.example/a' | link: c: customer.id }}"}}
`, nil)
	_, r, err := s.planner.Rehearse(t.Context(), campaign.Start{Campaign: "all"}, 3, "http://127.0.0.1:9")
	s.must(err)
	var got []string
	for _, m := range r.Messages {
		got = append(got, m.CustomerKey+" "+m.Message.To.Addr+" "+m.Message.Subject+" "+m.Message.Text)
	}
	if r.Planned != 149 || r.Looked != 100 || len(got) != 3 {
		t.Errorf("%d planned, looked at %d, %d shown", r.Planned, r.Looked, len(got))
	}
	want := []string{ // keys are texts: 10, 100, 101 …
		"10 budi10@mail.example Halo Budi 10 Kunjungi https://bengkel.example/a?c=10",
		"100 budi100@mail.example Halo Budi 100 Kunjungi https://bengkel.example/a?c=100",
		"101 budi101@mail.example Halo Budi 101 Kunjungi https://bengkel.example/a?c=101",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(r.Failing) != 2 || r.Failing[0].CustomerKey != "140" || r.Failing[1].CustomerKey != "2" {
		t.Errorf("%+v", r.Failing)
	}
	if d := cmp.Diff([]string(nil), s.strings(whatRuns)); d != "" {
		t.Error(d)
	}
	if _, r, err = s.planner.Rehearse(t.Context(), campaign.Start{Campaign: "all"}, 148, "http://127.0.0.1:9"); err != nil || len(r.Messages) != 145 || r.Looked != 148 {
		t.Errorf("%v: %d shown of %d", err, len(r.Messages), r.Looked)
	}
}

// A cooldown ends to the second, whatever the occasion; who was not sent anything has none.
func TestCooldownEnds(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-20T09:00+07:00")
	s.people("", "")
	s.exec(`update crm.customers set email = 'bounce@mail.example' where id = 2`)
	s.apply("all", strings.Replace(yamlOf("all", ""), "today()", "today(), cooldown: 2d", 1), nil)
	send := func() (*campaign.Plan, *delivery.Progress) {
		run, plan := s.start("all")
		return plan, s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	}
	if _, p := send(); p.Counts["sent"] != 1 || p.Counts["failed"] != 1 {
		t.Fatalf("%v", p.Counts)
	}
	s.exec(`update crm.customers set email = 'budi2@mail.example' where id = 2`)
	clock.set(t, "2026-11-21T09:00+07:00")
	if plan, p := send(); plan.Skipped["cooldown"] != 1 || p.Counts["sent"] != 1 {
		t.Errorf("the next day: %+v, %v", plan, p.Counts)
	}
	clock.set(t, "2026-11-22T08:59+07:00")
	if plan, _ := send(); plan.Skipped["cooldown"] != 2 {
		t.Errorf("a minute before it ends: %+v", plan)
	}
	clock.set(t, "2026-11-22T09:00+07:00")
	if plan, _ := send(); plan.Planned != 1 || plan.Skipped["cooldown"] != 1 {
		t.Errorf("when it ends: %+v", plan)
	}
}
