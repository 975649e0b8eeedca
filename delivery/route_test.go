package delivery

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// Which account messages go by, by the two breakers.
func TestRoute(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return time.Date(2026, 11, 23, 2, 0, seconds, 0, time.UTC) }
	fine := standing{}
	open := func(since, until int) standing { return standing{open: true, since: at(since), until: at(until)} }
	probing := func(since int) standing {
		return standing{open: true, since: at(since), until: at(since), probing: true}
	}
	refused := standing{open: true, refused: true, since: at(0), until: at(2)}
	ready := standing{open: true, since: at(0), until: at(14), ready: true}
	for name, c := range map[string]struct {
		first  standing
		second *standing
		now    int
		by     way
		wait   time.Duration
	}{
		"both work":                              {fine, &fine, 0, byFirst, 0},
		"one account":                            {fine, nil, 0, byFirst, 0},
		"one account, its breaker open":          {open(0, 16), nil, 3, byNone, 13 * time.Second},
		"one account, somebody tries":            {probing(0), nil, 3, byNone, time.Second},
		"one account, to be tried":               {open(0, 16), nil, 16, byFirst, 0},
		"the first just broke":                   {open(0, 2), &fine, 1, byNone, time.Second},
		"the first is to be tried":               {open(0, 2), &fine, 2, byNone, probeEvery},
		"the first is tried":                     {probing(0), &fine, 3, byNone, time.Second},
		"the first has a session":                {ready, &fine, 3, byFirst, 0},
		"the first is tried after patience":      {open(0, 14), &fine, 7, byNone, 3 * time.Second},
		"the first has been away for 10 s":       {open(0, 14), &fine, 10, bySecond, 0},
		"the first is to be tried, others go on": {open(0, 60), &fine, 60, bySecond, 0},
		"the first is being tried, others go on": {probing(0), &fine, 14, bySecond, 0},
		"the first has a session after long":     {ready, &fine, 600, byFirst, 0},
		"the first refuses us":                   {refused, &fine, 0, bySecond, 0},
		"both are away":                          {open(0, 60), new(open(30, 34)), 31, byNone, 3 * time.Second},
		"both are away, the first is back first": {open(0, 33), new(open(30, 60)), 31, byNone, 2 * time.Second},
		"both are away, the second to be tried":  {open(0, 60), new(open(30, 34)), 34, bySecond, 0},
	} {
		by, wait := route(c.first, c.second, 10*time.Second, at(c.now))
		if by != c.by || wait != c.wait {
			t.Errorf("%s: %d after %s, want %d after %s", name, by, wait, c.by, c.wait)
		}
	}
}

// Whether an account is back is tried after each wait of its breaker, and not again while there is a session; a message that is
// answered on it closes the breaker.
func TestProbeWithoutMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &door{fail: errAway}
		p := newSessionPool(d)
		p.probe(t.Context())
		if d.opened != 0 {
			t.Error("an account that works is tried")
		}
		_, _ = p.get(t.Context())
		begun := time.Now()
		for range 4 * 20 {
			p.probe(t.Context())
			time.Sleep(probeEvery)
		}
		if s := p.standing(); d.opened != 4 || !s.open || s.refused || s.ready || !s.since.Equal(begun) { // after 2, 4 and 8 s
			t.Errorf("%d tries, %+v", d.opened, s)
		}
		d.fail = nil
		time.Sleep(time.Minute)
		for range 4 {
			p.probe(t.Context())
		}
		if s := p.standing(); d.opened != 5 || !s.open || !s.ready || s.probing {
			t.Errorf("%d tries, %+v", d.opened, s)
		}
		c, err := p.get(t.Context())
		if err != nil || d.opened != 5 || c.kept {
			t.Fatal(err, d.opened, c.kept)
		}
		if s := p.standing(); !s.probing || s.ready {
			t.Errorf("others are let through beside the first message: %+v", s)
		}
		p.answered(c)
		if s := p.standing(); s != (standing{}) {
			t.Errorf("it was answered: %+v", s)
		}
		d.fail = channels.Permanent(errors.New("wrong password"))
		_, _ = p.get(t.Context())
		if s := p.standing(); !s.open || !s.refused {
			t.Errorf("it refuses us: %+v", s)
		}
	})
}
