package delivery

import (
	"testing"
	"time"
)

// What a line is claimed for and has in hand follows how fast it is: little while nothing is known, never more than 64 in
// hand, and not more than a rate lets go in a second.
func TestSpeedOfLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate        float64
		connections int
		seen        int // messages a second
		claim, hand int
		fast        bool
	}{
		"nothing known":         {0, 8, 0, 64, 16, false},
		"slow":                  {0, 8, 20, 20, 16, false},
		"slower than its count": {0, 8, 2, 8, 16, false},
		"middling":              {0, 4, 200, 200, 10, false},
		"brisk":                 {0, 4, 450, 450, 22, false},
		"fast":                  {0, 8, 4000, 500, 64, true},
		"many sessions":         {0, 100, 0, 64, 64, false},
		"rate of one a minute":  {1. / 60, 8, 0, 1, 1, false},
		"rate below sessions":   {5, 8, 0, 5, 5, false},
		"rate":                  {40, 8, 0, 40, 16, false},
		"high rate":             {200, 8, 0, 200, 50, false},
		"very high rate":        {1000, 8, 0, 500, 64, true},
	} {
		l := &line{account: Account{Rate: c.rate, Connections: c.connections}}
		if c.seen > 0 {
			now := time.Unix(0, 0)
			l.speed.saw(1, now)
			l.speed.saw(c.seen, now.Add(time.Second))
		}
		if claim, hand, fast := l.claimSize(), l.atOnce(), l.fast(); claim != c.claim || hand != c.hand || fast != c.fast {
			t.Errorf("%s: claims %d, has %d in hand, fast %v; want %d, %d, %v", name, claim, hand, fast, c.claim, c.hand, c.fast)
		}
	}
}

// A line that has become slow is not taken for a fast one for ever, however seldom it is heard of.
func TestSpeedIsForgotten(t *testing.T) {
	t.Parallel()
	var s speed
	now := time.Unix(0, 0)
	for range 100 {
		s.saw(50, now)
		now = now.Add(10 * time.Millisecond)
	}
	if n := s.in(time.Second); n < 4000 {
		t.Fatalf("at 5000 a second it has seen %d", n)
	}
	for range 3 { // eight sessions answer at the same time, every two seconds
		now = now.Add(2 * time.Second)
		s.saw(8, now)
	}
	if n := s.in(time.Second); n > 8 {
		t.Errorf("of a line that gets four messages a second through it believes %d", n)
	}
}
