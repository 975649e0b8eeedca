package main

import (
	"fmt"
	"strconv"
)

// marking is how a verb that lists things marks some of them, by their numbers: sapa alerts --done 17 18.
type marking struct {
	verb, flag string // alerts, done
	thing      string // an alert
	as         string // seen to
	none       string // an alert that nobody has seen to
}

// ids are the numbers that were given.
func (m marking) ids(args []string) ([]int64, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("--%s: which ones? write their numbers, such as: sapa %s --%s 17 18", m.flag, m.verb, m.flag)
	}
	ids := make([]int64, len(args))
	for i, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id < 1 {
			return nil, fmt.Errorf("--%s: %q is not the number of %s; see: sapa %s", m.flag, arg, m.thing, m.verb)
		}
		ids[i] = id
	}
	return ids, nil
}

// said says how many of those that were given are marked now; it is an error where none is.
func (m marking) said(a *app, marked, given int) error {
	fmt.Fprintf(a.stdout, "%d of %d marked as %s\n", marked, given, m.as)
	if marked == 0 {
		return fmt.Errorf("none of these is %s; see: sapa %s --all", m.none, m.verb)
	}
	return nil
}

// checkLimit refuses what --limit can't be.
func checkLimit(limit int) error {
	if limit < 0 {
		return &exitError{exitUsage, fmt.Errorf("--limit %d: write a number from 1, or 0 for all", limit)}
	}
	return nil
}

// sayLimit says that a list may go on.
func (a *app) sayLimit(limit, shown int) {
	if limit > 0 && shown == limit {
		fmt.Fprintf(a.stdout, "the latest %d; more with --limit\n", limit)
	}
}
