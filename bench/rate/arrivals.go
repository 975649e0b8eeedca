package main

import (
	"slices"
	"time"

	"github.com/sapa-crm/sapa/sandbox"
)

// found reads what the mail server has recorded.
func (b *bench) found() found {
	var at []time.Time
	tokens := map[string]bool{}
	f := found{}
	for m := range b.mail.Each(sandbox.Filter{}) {
		at = append(at, m.ReceivedAt)
		if tokens[m.Token] {
			f.Duplicates++
		}
		tokens[m.Token] = true
	}
	slices.SortFunc(at, time.Time.Compare)
	f.Messages, f.Most = len(at), most(at, 10*time.Second)
	f.Least = float64(least(at, time.Minute)) / 60
	return f
}

// most is how many arrivals there are at most in a window, wherever it begins.
func most(at []time.Time, window time.Duration) (n int) {
	for i, first := range at {
		n = max(n, until(at, first.Add(window))-i)
	}
	return n
}

// least is how few arrivals there are in a window that lies between the first one and the last, wherever it begins.
func least(at []time.Time, window time.Duration) int {
	if len(at) == 0 {
		return 0
	}
	n := len(at)
	for i, begin := range at { // just behind an arrival, so that it is not counted
		end := begin.Add(window)
		if end.After(at[len(at)-1]) {
			if i == 0 {
				return 0 // no window is long enough
			}
			break
		}
		n = min(n, until(at, end)-i-1)
	}
	return n
}

// until counts arrivals before a moment.
func until(at []time.Time, end time.Time) int {
	n, _ := slices.BinarySearchFunc(at, end, time.Time.Compare)
	return n
}
