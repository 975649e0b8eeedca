package delivery_test

import (
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/campaign"
)

// Messages that somebody waits for don't wait for a big run which has all of the account's rate: they have jobs of their
// own, need no turn, and the next slot is theirs.
func TestTriggeredGoFirst(t *testing.T) {
	t.Parallel()
	const audience = 2000 // 40 seconds
	s := setup(t)
	s.birthday(audience)
	big := s.start()
	s.run(sending{Connections: 2, Rate: 50})
	s.until("the big run is under way", func() bool { return s.progress(big).Counts["sent"] > 20 })

	s.apply("confirm", strings.NewReplacer("campaign: birthday", "campaign: confirm", "birthday(customer.birth_date)", "customer.id <= 3").Replace(birthdayYAML))
	s.exec(`create function hurry() returns trigger language plpgsql as $$ begin new.triggered = true; return new; end $$`)
	s.exec(`create trigger hurry before insert on batches for each row execute function hurry()`)
	before := s.progress(big).Counts["sent"]
	r, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "confirm", Actor: "tester"})
	s.must(err)
	if p := s.await(r.ID, "done"); p.Counts["sent"] != 3 {
		t.Errorf("the triggered run: %v", p.Counts)
	}
	if after := s.progress(big).Counts["sent"]; after-before > 300 {
		t.Errorf("%d messages of the big run went before three that somebody waits for", after-before)
	}
	if n := s.number(`select count(*) from river_job where queue = 'email-triggered'`); n == 0 {
		t.Error("no job in the queue of triggered messages")
	}
}
