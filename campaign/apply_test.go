package campaign_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/internal/diag"
)

// lines are changes as tests read them.
func lines(changes []campaign.Change) (list []string) {
	for _, c := range changes {
		line := c.Action + " " + c.Campaign
		if c.Number > 0 {
			line += " v" + string(rune('0'+c.Number))
		}
		if c.Next != nil {
			line += " tick " + c.Tick + " planned " + c.Next.UTC().Format("2006-01-02 15:04")
		}
		list = append(list, line)
	}
	return list
}

// both applies a project after asking Diff, which must say the same and change nothing.
func (s *shop) both(files map[string]string, want ...string) {
	s.t.Helper()
	before := s.strings(everythingApplied)
	said, err := campaign.Diff(s.t.Context(), s.pool, s.load(files), s.now())
	s.must(err)
	if d := cmp.Diff(before, s.strings(everythingApplied)); d != "" {
		s.t.Errorf("diff changed something: %s", d)
	}
	did, err := s.store(files)
	s.must(err)
	if d := cmp.Diff(want, lines(did)); d != "" {
		s.t.Error(d)
	}
	if d := cmp.Diff(want, lines(said)); d != "" {
		s.t.Errorf("diff says otherwise: %s", d)
	}
}

const everythingApplied = `
	select 'campaign ' || row_to_json(c)::text from campaigns c
	union all select 'version ' || row_to_json(v)::text from versions v
	union all select 'link ' || row_to_json(l)::text from links l
	union all select 'schedule ' || row_to_json(s)::text from schedules s
	union all select 'audit ' || row_to_json(a)::text from audit_log a
	order by 1`

const mailYAML = `campaign: mail
topic: news
audience: {where: "true"}
content: {email: {subject: Halo, html: mail.html.liquid}}
`

const mailHTML = `<p><a href="https://bengkel.example/a">a</a> <a href="https://bengkel.example/b?c={{ customer.id }}#x">b</a></p>
<p>{{ 'https://bengkel.example/c' | link }}</p>`

func TestApply(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	files := map[string]string{"campaigns/mail.yaml": mailYAML, "templates/mail.html.liquid": mailHTML, "templates/other.liquid": "x"}
	s.both(files, "add mail v1")
	s.both(files, "none mail v1")
	first := s.strings(`select row_to_json(v)::text from versions v`)

	files["templates/other.liquid"] = "a template that no campaign uses"
	s.both(files, "none mail v1")
	files["templates/mail.html.liquid"] = strings.Replace(mailHTML, "/c", "/d", 1)
	s.both(files, "change mail v2")
	files["campaigns/mail.yaml"] = mailYAML + `schedule: {cron: "0 8 * * *"}` + "\n"
	s.both(files, "change mail v3 tick 2026-11-23 08:00 planned 2026-11-23 01:00")
	clock.set(t, "2026-11-23T07:30+07:00")
	s.both(files, "none mail v3 tick 2026-11-23 08:00 planned 2026-11-23 01:00")
	files["templates/mail.html.liquid"] = mailHTML
	files["campaigns/mail.yaml"] = mailYAML
	s.both(files, "change mail v4")

	if d := cmp.Diff(first, s.strings(`select row_to_json(v)::text from versions v where number = 1`)); d != "" {
		t.Errorf("a version has changed: %s", d)
	}
	links := s.strings(`select v.number || ' ' || part || ' ' || position || ' ' || url from links l join versions v on v.id = l.version_id
		where v.number <= 2 order by 1`)
	want := []string{
		"1 html 0 https://bengkel.example/a", "1 html 1 https://bengkel.example/b#x", "1 html 2 https://bengkel.example/c",
		"1 text 0 https://bengkel.example/a", "1 text 1 https://bengkel.example/b#x", "1 text 2 https://bengkel.example/c",
		"2 html 0 https://bengkel.example/a", "2 html 1 https://bengkel.example/b#x", "2 html 2 https://bengkel.example/d",
		"2 text 0 https://bengkel.example/a", "2 text 1 https://bengkel.example/b#x", "2 text 2 https://bengkel.example/d",
	}
	if d := cmp.Diff(want, links); d != "" {
		t.Error(d)
	}
	stored := s.strings(`select number || ' ' || topic || ' ' || applied_by || ' ' || (files->>'mail.html.liquid' = $$` + mailHTML + `$$)
		|| ' ' || (source = $$` + mailYAML + `$$) from versions where number in (1, 2) order by 1`)
	if d := cmp.Diff([]string{"1 news tester true true", "2 news tester false true"}, stored); d != "" {
		t.Error(d)
	}
	audited := s.strings(`select actor || ' ' || action || ' ' || subject || ' ' || (detail->>'version') from audit_log order by id`)
	if d := cmp.Diff([]string{"tester apply campaign mail 1", "tester apply campaign mail 2", "tester apply campaign mail 3", "tester apply campaign mail 4"}, audited); d != "" {
		t.Error(d)
	}
}

// A new text does not move the schedule; another schedule begins from now.
func TestApplyKeepsTicks(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	daily := scheduled("daily", `{cron: "0 8 * * *"}`)
	s.both(daily, "add daily v1 tick 2026-11-23 08:00 planned 2026-11-23 01:00")
	// The tick has come and nobody has taken it yet, as when Sapa is restarted: it is not lost.
	clock.set(t, "2026-11-23T08:05+07:00")
	edited := map[string]string{"campaigns/daily.yaml": strings.Replace(daily["campaigns/daily.yaml"], "Halo", "Hai", 1)}
	s.both(edited, "change daily v2 tick 2026-11-23 08:00 planned 2026-11-23 01:00")
	s.ticks()
	if d := cmp.Diff([]string{"2026-11-23 08:00 schedule true"}, s.strings(allRuns)); d != "" {
		t.Error(d)
	}
	if n := s.number(`select v.number from runs r join versions v on v.id = r.version_id`); n != 2 {
		t.Errorf("the run is of version %d, want the newest", n)
	}
	until := scheduled("daily", `{cron: "0 8 * * *", until: "18:00", catch_up: skip}`)
	s.both(until, "change daily v3 tick 2026-11-24 08:00 planned 2026-11-24 01:00")
	nine := scheduled("daily", `{cron: "0 9 * * *"}`)
	s.both(nine, "change daily v4 tick 2026-11-23 09:00 planned 2026-11-23 02:00")
	s.both(scheduled("daily", `{cron: "0 9 * * *", timezone: customer}`), "change daily v5 tick 2026-11-23 09:00 planned 2026-11-23 01:05")
	s.both(scheduled("daily", `{cron: "30 8 * * *", timezone: customer}`), "change daily v6 tick 2026-11-23 08:30 planned 2026-11-23 01:05")
}

// A campaign whose file is gone stops, and goes on when the file is back.
func TestApplyWithoutFile(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	a, b := scheduled("a", `{cron: "0 8 * * *"}`), scheduled("b", `{cron: "0 8 * * *"}`)
	files := maps.Clone(a)
	maps.Copy(files, b)
	files["campaigns/c.yaml"] = "campaign: c\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: Halo}}\n"
	both := []string{"tick 2026-11-23 08:00 planned 2026-11-23 01:00", "tick 2026-11-24 08:00 planned 2026-11-24 01:00"}
	s.both(files, "add a v1 "+both[0], "add b v1 "+both[0], "add c v1")
	s.both(b, "none b v1 "+both[0], "remove a v1", "remove c v1")
	s.both(b, "none b v1 "+both[0])
	clock.set(t, "2026-11-23T09:00+07:00")
	s.ticks()
	if d := cmp.Diff([]string{"b"}, s.strings(`select c.name from runs r join campaigns c on c.id = r.campaign_id`)); d != "" {
		t.Error(d)
	}
	audited := s.strings(`select actor || ' ' || action || ' ' || subject from audit_log where action = 'remove' order by id`)
	if d := cmp.Diff([]string{"tester remove campaign a", "tester remove campaign c"}, audited); d != "" {
		t.Error(d)
	}
	if _, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "a", Actor: "tester"}); err != nil {
		t.Errorf("its version can still be run by hand: %v", err)
	}
	s.both(files, "add a v1 "+both[1], "none b v1 "+both[1], "add c v1")
	s.both(map[string]string{}, "remove a v1", "remove b v1", "remove c v1")
	s.both(scheduled("a", `{cron: "0 9 * * *"}`), "add a v2 tick 2026-11-24 09:00 planned 2026-11-24 02:00")
}

// A single tick that has passed is a mistake where it is new, and no matter where it is old.
func TestApplyPassed(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-12-24T08:00+07:00")
	files := scheduled("x-mas", `{at: 2026-12-24 08:00}`)
	maps.Copy(files, scheduled("x-eve", `{at: 2026-12-24 08:00, timezone: Asia/Makassar}`))
	maps.Copy(files, scheduled("fine", `{at: 2026-12-24 08:01}`))
	want := `campaigns/x-eve.yaml:4:16: 2026-12-24 08:00 has passed in Asia/Makassar
   4 | schedule: {at: 2026-12-24 08:00, timezone: Asia/Makassar}
     |                ^^^^^^^^^^^^^^^^
     write a time to come; or leave the schedule out, and start it with  sapa run x-eve
campaigns/x-mas.yaml:4:16: 2026-12-24 08:00 has passed in Asia/Jakarta
   4 | schedule: {at: 2026-12-24 08:00}
     |                ^^^^^^^^^^^^^^^^
     write a time to come; or leave the schedule out, and start it with  sapa run x-mas`
	_, err := s.store(files)
	if list := diag.List(nil); !errors.As(err, &list) {
		t.Fatalf("not a list of problems: %v", err)
	}
	if d := cmp.Diff(want, err.Error()); d != "" {
		t.Error(d)
	}
	if n := s.number(`select count(*) from campaigns`); n != 0 {
		t.Errorf("%d campaigns were stored all the same", n)
	}

	clock.set(t, "2026-12-24T07:59+07:00")
	once := scheduled("x-mas", `{at: 2026-12-24 08:00}`)
	s.both(once, "add x-mas v1 tick 2026-12-24 08:00 planned 2026-12-24 01:00")
	clock.set(t, "2026-12-24T08:00+07:00")
	s.ticks()
	once["campaigns/x-mas.yaml"] = strings.Replace(once["campaigns/x-mas.yaml"], "Halo", "Hai", 1)
	s.both(once, "change x-mas v2")
	s.both(map[string]string{}, "remove x-mas v2")
	s.both(once, "add x-mas v2")
	s.ticks()
	if d := cmp.Diff([]string{"2026-12-24 08:00 schedule true"}, s.strings(allRuns)); d != "" {
		t.Error(d)
	}
	s.both(scheduled("x-mas", `{at: 2027-12-24 08:00}`), "change x-mas v3 tick 2027-12-24 08:00 planned 2027-12-24 01:00")
	if _, err := s.store(scheduled("x-mas", `{at: 2025-12-24 08:00}`)); err == nil {
		t.Error("another time that has passed is taken")
	}
}

// A tick that is taken while a new text is applied stays taken.
func TestApplyLeavesATakenTick(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	daily := scheduled("daily", `{cron: "0 8 * * *"}`)
	_, err := s.store(daily)
	s.must(err)
	clock.set(t, "2026-11-23T08:00+07:00")
	s.exec(`update schedules set next_at = '2026-11-23 01:10Z'`) // it waits, as the version before could not be used
	taking, err := s.pool.Begin(t.Context())
	s.must(err)
	_, err = taking.Exec(t.Context(), `update schedules set next_tick = '2026-11-24 08:00', next_at = '2026-11-24 01:00Z'`)
	s.must(err)
	edited := s.load(map[string]string{"campaigns/daily.yaml": strings.Replace(daily["campaigns/daily.yaml"], "Halo", "Hai", 1)})
	ended := make(chan error, 1)
	p := s.process()
	go func() { _, err := campaign.Apply(t.Context(), p.Pool, edited, s.now(), "tester"); ended <- err }()
	s.awaitLocks(1)
	s.must(taking.Commit(t.Context()))
	s.must(<-ended)
	if d := cmp.Diff([]string{"2026-11-24 08:00 2026-11-24 01:00"}, s.strings(nextTicks)); d != "" {
		t.Error(d)
	}
}

// awaitLocks waits until so many wait for a lock.
func (s *shop) awaitLocks(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if s.number(`select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`) >= n {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("too few wait for a lock after a minute")
		}
	}
}

// Two processes apply the same new project at the same time: each campaign is stored once.
func TestApplyByTwo(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T07:00+07:00")
	files := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		maps.Copy(files, scheduled(name, `{cron: "0 8 * * *"}`))
	}
	project := s.load(files)
	ended := make(chan error, 4)
	for range 4 {
		p := s.process()
		go func() {
			_, err := campaign.Apply(t.Context(), p.Pool, project, s.now(), "tester")
			ended <- err
		}()
	}
	s.must(errors.Join(<-ended, <-ended, <-ended, <-ended))
	if n := s.number(`select count(*) from versions`); n != 4 {
		t.Errorf("%d versions, want 4", n)
	}
	if n := s.number(`select count(*) from audit_log`); n != 4 {
		t.Errorf("%d entries in the audit log, want 4", n)
	}
}

// Applying does not stand in the way of a tick that is being taken, nor the other way round.
func TestApplyWhileTicking(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-11-23T07:00+07:00")
	_, err := s.store(scheduled("daily", `{cron: "* * * * *"}`))
	s.must(err)
	const rounds = 30
	ended := make(chan error, 1)
	p := s.process()
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
				if _, err := p.Tick(t.Context()); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	for i := range rounds {
		clock.set(t, momentPlus("2026-11-23T07:01+07:00", i))
		other := scheduled("daily", `{cron: "* * * * *"}`)
		other["campaigns/daily.yaml"] = strings.Replace(other["campaigns/daily.yaml"], "Halo", "Halo "+strings.Repeat("!", i), 1)
		_, err := s.store(other)
		s.must(err)
		s.awaitRuns(i + 1)
	}
	close(stop)
	s.must(<-ended)
	if n := s.number(`select count(distinct tick) from runs`); n != rounds {
		t.Errorf("%d ticks, want %d", n, rounds)
	}
}

func momentPlus(text string, minutes int) string {
	at, _ := time.Parse("2006-01-02T15:04Z07:00", text)
	return at.Add(time.Duration(minutes) * time.Minute).Format("2006-01-02T15:04Z07:00")
}

func (s *shop) awaitRuns(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); s.number(`select count(*) from runs`) < n; {
		if time.Now().After(deadline) {
			s.t.Fatalf("no run %d within a minute: %v", n, s.strings(nextTicks))
		}
	}
}

// Changes are what sapa apply --json prints.
func TestChangeJSON(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T07:00+07:00")
	changes, err := s.store(scheduled("daily", `{cron: "0 8 * * *", timezone: customer}`))
	s.must(err)
	got, err := json.Marshal(changes)
	s.must(err)
	want := `[{"campaign":"daily","action":"add","version":1,"tick":"2026-11-23 08:00","next":"2026-11-23T07:00:00+07:00"}]`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}
