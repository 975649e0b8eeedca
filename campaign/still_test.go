package campaign_test

import "testing"

// The rule of a triggered run can't be asked without an event: it would mean nobody.
func TestStillOfATriggeredRun(t *testing.T) {
	t.Parallel()
	s := club(t)
	s.exec(`insert into runs (campaign_id, version_id, tick, as_of, state, actor, event)
		select campaign_id, id, '2026-11-23', '2026-11-23Z', 'sending', 'sapa', 'check_in' from versions`)
	_, err := s.library.Still(t.Context(), 1, []string{"1"})
	if want := "ask the rule of run 1 again: checkin goes when an event comes, and its rule is asked as of that: StillByEvent"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
