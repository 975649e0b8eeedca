package delivery

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"
)

// newLines makes the line to a channel's account, and that to its second one.
func newLines(channel string, account Account, zone *time.Location, cfg Config) *line {
	first := newLine(channel, account, cfg)
	if account.Fallback != nil {
		first.second = newLine(channel, *account.Fallback, cfg)
		first.second.places = channel + " fallback"
	}
	for l := range first.all() {
		slots := slotName(channel, account, l != first)
		l.pace = newPacer(slots, l.account.Rate, cfg.Pool)
		l.warm = newWarmUp(slots, &l.account, zone, cfg.Now, cfg.Pool)
		if len(account.Throttles) > 0 {
			interleaved(l.pace)
		}
	}
	return first
}

// all are the line and the second one.
func (l *line) all() iter.Seq[*line] {
	return func(yield func(*line) bool) {
		if yield(l) && l.second != nil {
			yield(l.second)
		}
	}
}

// way is the line that messages of a channel go by at this moment. Without one, it says for how long they should wait, and why.
func (e *Engine) way(channel string) (l *line, wait time.Duration, cause error) {
	first := e.lines[channel]
	if first == nil {
		return nil, 0, nil
	}
	first.wanted.Store(time.Now().UnixNano())
	by, wait := first.route(e.Patience)
	switch by {
	case byFirst:
		l = first
	case bySecond:
		l = first.second
	default:
		_, cause = first.pool.wait()
	}
	if l == nil || first.second == nil {
		return l, wait, cause
	}
	if before := first.used.Swap(l); before != l && (before != nil || l != first) {
		e.Log.Warn("messages go by another account", slog.String("channel", channel), slog.String("account", l.account.Channel.Account()))
	}
	return l, wait, cause
}

// route chooses between the line and the second one.
func (l *line) route(patience time.Duration) (by way, wait time.Duration) {
	var second *standing
	if l.second != nil {
		s := l.second.pool.standing()
		second = &s
	}
	return route(l.pool.standing(), second, patience, time.Now())
}

func (l *line) goBySecond(patience time.Duration) bool {
	by, _ := l.route(patience)
	return by == bySecond
}

// other is the other account's line; nil where there is none.
func (e *Engine) other(l *line) *line {
	if first := e.lines[l.channel]; first != l {
		return first
	}
	return l.second
}

// wantedFor is for how long after messages last asked for a way it is tried whether the first of two accounts is back.
const wantedFor = 2 * time.Minute

// probeLoop tries whether the first of two accounts is back, as long as there are messages.
func (l *line) probeLoop(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if now.Sub(time.Unix(0, l.wanted.Load())) < wantedFor {
				l.pool.probe(ctx)
			}
		}
	}
}

// errElsewhere says that messages go by another account now.
var errElsewhere = errors.New("messages go by another account now")

// moved says whether messages go by the first account again while this flow's go by the second. One that goes by the
// first does so until that can't be used.
func (f *flow) moved() bool {
	first := f.engine.lines[f.lease.channel]
	if f.line == first {
		return false
	}
	l, _, _ := f.engine.way(f.lease.channel)
	return l == first
}
