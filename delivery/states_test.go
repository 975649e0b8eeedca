package delivery_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

// transitions are those that the code's statements make, with the steps that make them.
var transitions = map[string]string{
	"[*] → planned":     "plan",
	"[*] → skipped":     "plan",
	"planned → claimed": "claim",
	"planned → skipped": "claim, cancel, by hand",
	"claimed → skipped": "fill",
	"claimed → failed":  "fill, record",
	"claimed → planned": "release, record, give back, take over",
	"claimed → sent":    "record",
	"claimed → unknown": "record, give back, take over",
	"unknown → sent":    "record, report, resolve",
	"planned → failed":  "by hand",
	"planned → sent":    "by hand, report, record",
	"failed → sent":     "report, record",
	"skipped → sent":    "report, by hand",
	"unknown → failed":  "record, resolve",
	"unknown → planned": "record, resolve",
	"failed → planned":  "retry",
	"skipped → planned": "retry",
}

// observeStates makes a test's database remember which transitions happened.
const observeStates = `
create table observed_states (transition text);
create function observe_states() returns trigger language plpgsql as $$
begin
	if tg_op = 'INSERT' then
		insert into observed_states values ('[*] → ' || new.state);
	elsif old.state <> new.state then
		insert into observed_states values (old.state || ' → ' || new.state);
	end if;
	return null;
end $$;
create trigger observe_states after insert or update on messages for each row execute function observe_states()`

// checkStates holds that only known transitions happened in a test.
func (s *shop) checkStates() {
	for _, transition := range s.observed() {
		if _, ok := transitions[transition]; !ok {
			s.t.Errorf("a message went %s, which docs/delivery.md does not know", transition)
		}
	}
}

// observed are the transitions that happened in a test so far.
func (s *shop) observed() []string {
	rows, _ := s.pool.Query(context.WithoutCancel(s.t.Context()), `select distinct transition from observed_states order by 1`)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Errorf("read the observed transitions: %v", err)
	}
	return list
}

// The diagram in docs/delivery.md is the table above.
func TestDiagramOfStates(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	edge := regexp.MustCompile(`^\s*(\S+) --> (\w+): (.*)$`)
	reasons := regexp.MustCompile(` \([^)]*\)`)
	drawn := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() && (len(drawn) == 0 || !strings.HasPrefix(lines.Text(), "```")) { // other diagrams follow
		if m := edge.FindStringSubmatch(lines.Text()); m != nil {
			drawn[fmt.Sprintf("%s → %s", m[1], m[2])] = reasons.ReplaceAllString(m[3], "")
		}
	}
	if d := cmp.Diff(transitions, drawn); d != "" {
		t.Errorf("code and diagram differ:\n%s", d)
	}
}

// Every state of the schema is in the diagram, or reserved.
func TestStatesOfSchema(t *testing.T) {
	t.Parallel()
	s := setup(t)
	known := map[string]bool{"held_out": true} // for holdouts, which campaigns cannot ask for yet
	for transition := range transitions {
		_, to, _ := strings.Cut(transition, " → ")
		known[to] = true
	}
	want := strings.Join(slices.Sorted(maps.Keys(known)), " ")
	if got := s.text(`select string_agg(l, ' ' order by l) from unnest(enum_range(null::message_state)::text[]) l`); got != want {
		t.Errorf("the schema has %q, the diagram %q", got, want)
	}
}

// A message can go every way that the diagram shows.
func TestEveryTransition(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.birthday(11)
	s.exec(`update shop.customers set email = case id
		when 1 then null when 2 then 'suppressed@mail.example' when 4 then 'budi+bounce@mail.example' when 5 then 'budi+later@mail.example'
		when 6 then 'budi+silent@mail.example' else email end`)
	s.must(customer.Suppress(t.Context(), s.pool, "email", "budi7@mail.example", customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
	run := s.start()
	s.must(customer.Suppress(t.Context(), s.pool, "email", "suppressed@mail.example", customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
	s.exec(`delete from shop.customers where id = 3`)
	stop := s.run(sending{Connections: 1})
	s.until("all but one are through", func() bool { p := s.progress(run); return p.Waiting() == 1 && p.Counts["unknown"] == 1 })
	n, err := s.planner.Retry(t.Context(), run, "tester")
	s.must(err)
	if n != 3 { // 2, 4 and 7
		t.Errorf("%d messages are retried, want 3", n)
	}
	s.until("they have failed again", func() bool { p := s.progress(run); return p.Waiting() == 1 })
	stop()
	for label, answer := range map[string]error{"accepted": nil, "refused": channels.Permanent(errors.New("554"))} {
		again, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Label: label, Actor: "tester"})
		s.must(err)
		s.takenOver(again.ID, answer)
		// Late evidence gives a run that was done something to send, which the next sweep sees.
		if err := s.planner.Cancel(t.Context(), again.ID, "tester"); !errors.Is(err, campaign.ErrState) {
			s.must(err)
		}
	}
	posted, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "birthday", Label: "posted", Actor: "tester"})
	s.must(err)
	s.exec(`update messages set not_before = '9999-01-01' where run_id = $1 and state = 'planned'`, posted.ID)
	s.finish(delivery.ByHand{State: "failed", Reason: "torn"}, int64(s.number(`select id from messages where run_id = $1 and state = 'planned' limit 1`, posted.ID)))
	s.must(s.planner.Cancel(t.Context(), posted.ID, "tester"))
	h := s.hooks(s.settle)
	for _, state := range []string{"planned", "failed", "skipped"} {
		s.reported(h, int64(s.number(`select id from messages where state = $1::message_state limit 1`, state)), channels.ReportSent)
	}
	s.checkBooks()
	if d := cmp.Diff(slices.Sorted(maps.Keys(transitions)), s.observed()); d != "" {
		t.Errorf("the diagram's transitions and those that happened differ:\n%s", d)
	}
}
