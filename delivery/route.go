package delivery

import "time"

// A channel may have two accounts. Messages go by the first one, and by the second while the first can't be used: its
// breaker has been open for patience, or it refuses our credentials or what the settings ask for. Whenever its breaker lets
// somebody try, it is the first account that is tried; when it answers, it has taken over again. A message belongs to the
// account that it was offered to: one whose hand-over to the first account is unknown is unknown, whatever the second
// could do.

// patience is how long the first account's breaker is open before the second account is used.
const patience = 10 * time.Second

// standing is how an account stands, by its breaker.
type standing struct {
	open    bool
	refused bool      // it was opened by credentials or settings, which waiting does not mend
	since   time.Time // when the breaker opened first since the account last answered
	until   time.Time // nothing is tried before
	probing bool      // somebody tries at this moment
}

// mayTry says whether a session may be asked for.
func (s standing) mayTry(now time.Time) bool {
	return !s.open || !s.probing && !now.Before(s.until)
}

// wait is how long until mayTry could say yes.
func (s standing) wait(now time.Time) time.Duration {
	switch {
	case !s.open:
		return 0
	case s.probing:
		return time.Second
	}
	return max(0, s.until.Sub(now))
}

// way is the account that a message goes by.
type way int

// The ways. With byNone the message waits.
const (
	byNone way = iota
	byFirst
	bySecond
)

// route chooses the account for the next message, or says how long to wait. second is nil where there is one account.
func route(first standing, second *standing, now time.Time) (by way, wait time.Duration) {
	switch {
	case first.mayTry(now):
		return byFirst, 0
	case second == nil:
		return byNone, first.wait(now)
	case !first.refused && now.Sub(first.since) < patience:
		return byNone, min(first.wait(now), first.since.Add(patience).Sub(now))
	case second.mayTry(now):
		return bySecond, 0
	}
	return byNone, min(first.wait(now), second.wait(now))
}
