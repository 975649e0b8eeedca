package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
)

// Reports do not tell what a message cost, so its provider is asked, a minute after the report that ended it and, while
// it does not know, again after the waits of askSQL; then no more. It is asked about askMost messages in a second.
const (
	askMost  = 10
	askAgain = time.Second
	askIdle  = 5 * time.Second // where nothing was to be asked
)

// priceLoop asks until the context ends.
func (e *Engine) priceLoop(ctx context.Context) {
	askers := e.inquirers()
	if len(askers) == 0 {
		return
	}
	for ctx.Err() == nil {
		wait := askIdle
		asked, err := e.askPrices(ctx, askers)
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("ask for prices", slog.Any("error", err))
		}
		if asked == askMost {
			wait = askAgain
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (e *Engine) inquirers() map[string]channels.Inquirer {
	return Capable(e.Accounts, channels.EitherInquirer)
}

// question is a message whose price is not known.
type question struct {
	Message    int64
	ProviderID string
	Channel    string
}

// askPrices asks about the messages whose turn it is, and returns how many these were.
func (e *Engine) askPrices(ctx context.Context, askers map[string]channels.Inquirer) (int, error) {
	names := make([]string, 0, len(askers))
	for name := range askers {
		names = append(names, name)
	}
	rows, _ := e.Pool.Query(ctx, askSQL, names, askMost)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[question])
	if err != nil {
		return 0, fmt.Errorf("list messages without a price: %w", err)
	}
	for _, q := range list {
		if err := e.ask(ctx, askers[q.Channel], q); err != nil {
			return len(list), err
		}
	}
	return len(list), nil
}

// Whoever asks puts the next question off first, so that two processes do not ask the same.
const askSQL = `
update delivery_reports d
set asked = d.asked + 1,
    ask_at = clock_timestamp() + (array['5 minutes', '30 minutes', '3 hours', '1 day', '3 days']::interval[])[d.asked + 1]
from (
	select r.message_id, r.provider_id, r.status, m.channel
	from delivery_reports r join messages m on m.id = r.message_id
	where r.ask_at <= clock_timestamp() and m.channel = any($1)
	order by r.ask_at limit $2
	for update of r skip locked
) due
where (d.message_id, d.provider_id, d.status) = (due.message_id, due.provider_id, due.status)
returning d.message_id, d.provider_id, due.channel`

// ask asks one question. The error is the database's; a provider that does not answer is asked again.
func (e *Engine) ask(ctx context.Context, provider channels.Inquirer, q question) error {
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answer, err := provider.Inquire(asking, q.ProviderID)
	switch {
	case errors.Is(err, channels.ErrNoMessage):
		return e.stopAsking(ctx, q)
	case err != nil:
		e.Log.Warn("the provider does not say what a message cost", slog.Int64("message", q.Message), slog.Any("error", err))
		return nil
	case answer.Price == "" || answer.Currency == "":
		return nil
	}
	_, err = e.Pool.Exec(ctx, priceSQL, q.Message, q.ProviderID, answer.Price, answer.Currency, answer.Segments)
	if err != nil {
		return fmt.Errorf("keep the price of message %d: %w", q.Message, err)
	}
	return e.stopAsking(ctx, q)
}

const priceSQL = `
with old as (
	select a.message_id, a.number, coalesce(a.segments, 0) as segments
	from attempts a
	where a.message_id = $1 and a.provider_id = $2 and a.verdict = 'accepted' and a.price is null
	for update
), priced as (
	update attempts a
	set price = $3::text::numeric, currency = $4, segments = case when $5::int > 0 then $5::int else a.segments end
	from old o
	where a.message_id = o.message_id and a.number = o.number
	returning a.message_id, coalesce(a.segments, 0) - o.segments as more, a.price
)
insert into run_costs (run_id, segments, messages, price, currency)
select m.run_id, p.more, 1, p.price, $4 from priced p join messages m on m.id = p.message_id`

func (e *Engine) stopAsking(ctx context.Context, q question) error {
	_, err := e.Pool.Exec(ctx, `update delivery_reports set ask_at = null where message_id = $1 and provider_id = $2`, q.Message, q.ProviderID)
	if err != nil {
		return fmt.Errorf("ask no more about message %d: %w", q.Message, err)
	}
	return nil
}
