package response

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
)

// report is a verified report on one of our messages.
type report struct {
	channels.Report
	message int64
	run     int32
	channel string
	at      time.Time
}

// reportGroup is written in one transaction. err is set before done is closed.
type reportGroup struct {
	reports []report
	done    chan struct{}
	err     error
}

// maxReports is how many reports are written in one transaction at most.
const maxReports = 10_000

// reportPatience bounds how long a provider waits for its answer; they repeat after about 15 s.
const reportPatience = 10 * time.Second

// Report keeps a report on the message that the token names, and what follows from it: a response, a suppression. It
// returns when that is durable. Doing it again changes nothing, and reports may come in any order. The error is an
// ErrToken when the token is not one of a message; otherwise the database's, and the provider should repeat. A message
// that no run has (a preview's) is nothing to keep.
func (h *Hooks) Report(ctx context.Context, channel, token string, r channels.Report, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	tok, err := h.tracker.verify(ctx, token, Message, at)
	if err != nil {
		return err
	}
	run, err := h.tracker.runs.of(ctx, tok.MessageID)
	if errors.Is(err, errNoMessage) {
		h.Log.Debug("report on a message that no run has", slog.Int64("message", tok.MessageID))
		return nil
	}
	if err != nil {
		return err
	}
	r.Words, r.ProviderID = clean(r.Words), clean(r.ProviderID)
	g, err := h.join(ctx, report{Report: r, message: tok.MessageID, run: run.ID, channel: channel, at: at})
	if err != nil {
		return err
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join adds a report to the group that is written next: while one transaction commits, the reports of the next gather.
func (h *Hooks) join(ctx context.Context, r report) (*reportGroup, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.next = &reportGroup{done: make(chan struct{})}
	}
	if len(h.next.reports) >= maxReports {
		return nil, errors.New("too many reports are waiting for the database")
	}
	g := h.next
	g.reports = append(g.reports, r)
	if !h.writes {
		h.writes = true
		go h.writeGroups(context.WithoutCancel(ctx))
	}
	return g, nil
}

// writeGroups writes groups until none has gathered.
func (h *Hooks) writeGroups(ctx context.Context) {
	for {
		h.mu.Lock()
		g := h.next
		h.next, h.writes = nil, g != nil
		h.mu.Unlock()
		if g == nil {
			return
		}
		g.err = h.writeGroup(ctx, g.reports)
		close(g.done)
	}
}

// writeGroup makes reports durable, and then has the messages settled whose state does not show them.
func (h *Hooks) writeGroup(ctx context.Context, reports []report) error {
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	open, err := h.insertReports(ctx, reports)
	if err != nil {
		h.Log.Warn("reports are not durable", slog.Int("reports", len(reports)), slog.Any("error", err))
		return fmt.Errorf("record %d reports: %w", len(reports), err)
	}
	if len(open) == 0 || h.Settle == nil {
		return nil
	}
	if err := h.Settle(ctx, open); err != nil {
		h.Log.Warn("settle messages", slog.Int("messages", len(open)), slog.Any("error", err))
	}
	return nil
}

// insertReports is one statement: the reports that are new, the first response of each message and kind, the deltas of
// the totals, and the suppressions. It returns the messages that are not in state sent: only these are left open, since
// nothing leads out of that state. Rows are written in the order of their keys, so that two processes wait for each
// other and never in a circle. A message whose address is suppressed is held, so that an erasure comes before or after.
func (h *Hooks) insertReports(ctx context.Context, reports []report) ([]int64, error) {
	rows, _ := h.pool.Query(ctx, insertReportsSQL, h.reportArgs(reports))
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func (h *Hooks) reportArgs(reports []report) pgx.NamedArgs {
	n := len(reports)
	message, run, at, channel := make([]int64, n), make([]int32, n), make([]time.Time, n), make([]string, n)
	provider, status, code := make([]string, n), make([]string, n), make([]*int32, n)
	words, why, priced := make([]*string, n), make([]*string, n), make([]bool, n)
	for i, r := range reports {
		message[i], run[i], at[i], channel[i] = r.message, r.run, r.at, r.channel
		provider[i], status[i], code[i] = r.ProviderID, string(r.Status), optional(int32(r.Code))
		words[i], why[i], priced[i] = optional(r.Words), optional(r.Suppress), h.Priced[r.channel]
	}
	return pgx.NamedArgs{
		"message": message, "run": run, "at": at, "channel": channel, "provider": provider, "status": status,
		"code": code, "words": words, "why": why, "priced": priced,
	}
}

// An undelivered message counts as a whole (link -1) and, as its link 0, by the provider's code.
const insertReportsSQL = `
with given as materialized (
	select distinct on (message_id, provider_id, status) *
	from unnest(@message::bigint[], @run::int[], @at::timestamptz[], @channel::text[], @provider::text[], @status::text[],
		@code::int[], @words::text[], @why::text[], @priced::boolean[])
		as g(message_id, run_id, at, channel, provider_id, status, code, words, why, priced)
	where message_id >> 44 not in (select month from pruned_months)
	order by message_id, provider_id, status, at
), kept as (
	insert into delivery_reports (message_id, provider_id, status, code, words, at, open, ask_at)
	select message_id, provider_id, status, code, words, at,
	       coalesce((select m.state <> 'sent' from messages m where m.id = g.message_id), false),
	       case when priced and status in ('delivered', 'undelivered') then clock_timestamp() + interval '1 minute' end
	from given g
	order by message_id, provider_id collate "C", status
	on conflict do nothing
	returning message_id, provider_id, status, at, code, open
), news as (
	select k.*, g.run_id, g.channel, g.why from kept k join given g using (message_id, provider_id, status)
), counted as (
	select run_id, message_id, status as kind, '' as part, -1 as link, min(at) as at, count(*) as n
	from news where status in ('delivered', 'undelivered', 'read') group by 1, 2, 3
	union all
	select run_id, message_id, status, coalesce(code::text, ''), 0, min(at), count(*)
	from news where status = 'undelivered' group by 1, 2, 3, 4
), first as (
	insert into responses (message_id, kind, part, link, first_at)
	select message_id, kind, part, link, at from counted order by message_id, kind collate "C", part collate "C", link
	on conflict (message_id, kind, part, link) do update set first_at = least(responses.first_at, excluded.first_at)
	returning message_id, kind, part, link, xmax = 0 as new
), totals as (
	insert into response_totals (run_id, kind, part, link, total, uniq)
	select c.run_id, c.kind, c.part, c.link, sum(c.n), count(*) filter (where f.new)
	from counted c join first f using (message_id, kind, part, link)
	group by c.run_id, c.kind, c.part, c.link
), held as (
	select m.id, m.address_id from messages m where m.id in (select message_id from news where why is not null) order by m.id for key share
), suppressed as (
	insert into suppressions (channel, hash, address, reason, source, at)
	select distinct on (n.channel, a.hash) n.channel, a.hash, a.normalised, n.why, 'message ' || n.message_id, n.at
	from news n join held m on m.id = n.message_id join addresses a on a.id = m.address_id
	where n.why is not null and a.hash is not null
	order by n.channel, a.hash, n.at
	on conflict do nothing
)
select distinct message_id from kept where open order by message_id`
