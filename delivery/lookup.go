package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/pg"
)

// A message whose hand-over had no answer is settled by its provider's first report. Where none comes, the provider is
// asked which messages it took: after each of the waits (Waits.LookUp). Which of them have passed follows from the attempt's
// time alone, so that nothing is kept about it; two processes that ask the same do no harm.
const (
	lookupMost = 200 // messages at a time
	// lookupSpan is how long after the hand-over a provider may have taken the message: the time limits of a channel, and
	// some for a request that was held up on the way.
	lookupSpan = 90 * time.Second
	// rivalSpan is how near each other two hand-overs must be for a message of one to be taken for the other's: the span, and
	// how much clocks may differ at either end of it.
	rivalSpan = lookupSpan + 10*time.Second
)

// lookupLoop looks lost messages up until the context ends.
func (e *Engine) lookupLoop(ctx context.Context) {
	finders := e.finders()
	if len(finders) == 0 {
		return
	}
	for ctx.Err() == nil {
		found, err := e.lookUp(ctx, finders)
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("look up messages without an answer", slog.Any("error", err))
		}
		if found > 0 {
			e.Log.Info("settled by the provider's list", slog.Int("messages", found))
		}
		select {
		case <-ctx.Done():
		case <-time.After(e.Waits.LookUpEvery):
		}
	}
}

// finders are the channels whose provider can be asked which messages it took.
func (e *Engine) finders() map[string]channels.Finder {
	return Capable(e.Accounts, channels.EitherFinder)
}

// lostMessage is an unknown message with what is known of it.
type lostMessage struct {
	ID      int64
	Run     int
	Channel string
	Address string
	At      time.Time // of the hand-over
	Marks   []string
	Known   []string
}

// The window of each wait is longer than the time between two rounds. A message of which another, to the same number and at
// the same time, is unknown as well can't be told from it unless it has marks.
const lostSQL = `
with lost as (
	select m.id, m.run_id, m.channel, a.hash, a.normalised, coalesce(t.handed_over, t.at) as at
	from attempts t
	join messages m on m.id = t.message_id and m.attempts = t.number and m.state = 'unknown'
	join addresses a on a.id = m.address_id
	where t.verdict = 'unknown' and m.channel = any($1) and a.normalised is not null
	  and exists (
		select from unnest($4::interval[]) wait
		where clock_timestamp() - coalesce(t.handed_over, t.at) between wait and wait + $5::interval)
	order by m.id limit $2
)
select l.id, l.run_id, l.channel, l.normalised, l.at, marks.list, known.list
from lost l
cross join lateral (select coalesce(array_agg('/s/' || s.code), '{}') as list from short_links s where s.message_id = l.id) marks
cross join lateral (
	select coalesce(array_agg(distinct t.provider_id) filter (where t.provider_id is not null), '{}') as list,
	       coalesce(bool_or(m.state = 'unknown' and abs(extract(epoch from coalesce(t.handed_over, t.at) - l.at)) < $3), false) as rivals
	from addresses a
	join messages m on m.address_id = a.id and m.channel <> 'email' and m.channel = l.channel and m.id <> l.id
	join attempts t on t.message_id = m.id
	where a.channel = l.channel and a.hash = l.hash and t.at > l.at - interval '1 hour'
) known
where not known.rivals or marks.list <> '{}'`

// lookUp asks about the messages whose turn it is, and returns how many became sent.
func (e *Engine) lookUp(ctx context.Context, finders map[string]channels.Finder) (int, error) {
	names := make([]string, 0, len(finders))
	for name := range finders {
		names = append(names, name)
	}
	rows, _ := e.Pool.Query(ctx, lostSQL, names, lookupMost, rivalSpan.Seconds(), e.Waits.LookUp, e.Waits.LookUpEvery*3/2)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[lostMessage])
	if err != nil {
		return 0, fmt.Errorf("list messages without an answer: %w", err)
	}
	found := 0
	for i := range list {
		if i > 0 {
			select {
			case <-ctx.Done():
				return found, nil
			case <-time.After(e.Waits.LookUpPause):
			}
		}
		n, err := e.lookUpOne(ctx, finders[list[i].Channel], &list[i])
		if found += n; err != nil {
			return found, err
		}
	}
	return found, nil
}

// lookUpOne settles one message as sent where exactly one of the provider's fits. The error is the database's; a provider
// that does not answer is asked again at the next turn.
func (e *Engine) lookUpOne(ctx context.Context, finder channels.Finder, m *lostMessage) (int, error) {
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answer, err := finder.Find(asking, channels.Lost{
		To: m.Address, Since: m.At, Until: m.At.Add(lookupSpan), Marks: m.Marks, Known: m.Known,
	})
	switch {
	case errors.Is(err, channels.ErrNoMessage):
		return 0, nil
	case err != nil:
		e.Log.Warn("the provider does not say whether it took a message", slog.Int64("message", m.ID), slog.Any("error", err))
		return 0, nil
	}
	settled := 0
	err = pg.InTx(ctx, e.Pool, func(tx pgx.Tx) error {
		done, err := Resolve(ctx, tx, m.Run, []Finding{{
			Message: m.ID, Is: WasAccepted, ProviderID: answer.ProviderID, Words: "found in the provider's list",
		}}, e.Now())
		settled = done[WasAccepted]
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("settle message %d by the provider's list: %w", m.ID, err)
	}
	return settled, nil
}
