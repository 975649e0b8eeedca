package main

import (
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	arrivals := func(milliseconds ...int) (at []time.Time) {
		for _, ms := range milliseconds {
			at = append(at, start.Add(time.Duration(ms)*time.Millisecond))
		}
		return at
	}
	for name, c := range map[string]struct {
		at          []time.Time
		most, least int
	}{
		"nothing":           {nil, 0, 0},
		"too short":         {arrivals(0, 10, 20), 3, 0},
		"evenly":            {arrivals(0, 250, 500, 750, 1000, 1250, 1500, 1750, 2000), 4, 3},
		"a gap":             {arrivals(0, 100, 1500, 1600, 1700, 2700), 3, 0},
		"a burst at an end": {arrivals(0, 500, 1000, 1500, 2000, 2001, 2002, 2003, 2004), 6, 1},
	} {
		if n := most(c.at, time.Second); n != c.most {
			t.Errorf("%s: at most %d, want %d", name, n, c.most)
		}
		if n := least(c.at, time.Second); n != c.least {
			t.Errorf("%s: at least %d, want %d", name, n, c.least)
		}
	}
}
