package delivery

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
)

// outcome is what became of a claimed message.
type outcome struct {
	message *message
	state   string // sent, failed, skipped, unknown; planned for another attempt or a release
	reason  string // of failed and skipped: a few words that reports group by
	verdict string // of an attempt: a channels.Verdict, or "content"; "" when nothing was attempted
	receipt channels.Receipt
	at      time.Time // business time
	retryAt *time.Time
	why     string // suppress the address, with this reason
}

// Reasons of failed and skipped messages, beside those of the claim.
const (
	reasonRefused   = "refused"            // by the provider, for good
	reasonBounced   = "hard bounce"        // refused for good because of the address, which the channel may say in other words
	reasonGaveUp    = "gave up"            // refused for now, too often or for too long
	reasonContent   = "content"            // the template could not be filled for this person
	reasonGone      = "gone"               // the customer, or the row of `each`, is not there any more
	reasonChanged   = "no longer eligible" // by the rule, asked again
	reasonNoConsent = "no consent"         // by the company's own column
)

// judge turns a channel's answer into an outcome.
func (e *Engine) judge(m *message, r channels.Receipt, err error) outcome {
	o := outcome{message: m, receipt: r, at: e.Now(), verdict: channels.VerdictOf(err).String()}
	if err != nil && o.receipt.Words == "" {
		o.receipt.Words = cut(err.Error(), channels.MaxWords)
	}
	switch channels.VerdictOf(err) {
	case channels.VerdictAccepted:
		o.state = "sent"
	case channels.VerdictPermanent:
		o.state, o.reason = "failed", reasonRefused
	case channels.VerdictSuppress:
		o.why = channels.SuppressReason(err)
		o.state, o.reason = "failed", cmp.Or(o.why, reasonBounced)
	case channels.VerdictRetry:
		if o = e.again(o, channels.RetryDelay(err)); o.state == "failed" && channels.Reached(err) {
			o.state, o.reason, o.verdict = "sent", "", channels.VerdictAccepted.String()
			e.Log.Warn("gave up a further way of a message that has reached its recipient", slog.Int64("message", m.ID))
		}
	case channels.VerdictUnavailable:
		o.state, o.verdict = "planned", ""
	case channels.VerdictPending:
		at := byHand()
		o.state, o.verdict, o.retryAt = "planned", "", &at
	default:
		if o.state = "unknown"; e.Fault == FaultSecondTry {
			o = e.again(o, 0)
		}
	}
	return o
}

func (e *Engine) again(o outcome, wish time.Duration) outcome {
	delays := e.Waits.Again
	if o.message.Attempts >= len(delays) {
		o.state, o.reason = "failed", reasonGaveUp
		return o
	}
	at := o.message.next(e.Now().Add(max(wish, delays[o.message.Attempts])))
	if o.message.tooLate(at, o.at) {
		o.state, o.reason = "failed", reasonGaveUp
		return o
	}
	o.state, o.retryAt = "planned", &at
	return o
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// record writes outcomes into the ledger in one transaction. It holds them and tries again while the database is away.
//
// A message takes its outcome when it is still claimed under this lease, or unknown because that lease was taken over:
// the process that claimed it knows best, and nobody else has touched it since. That it was accepted stands against a person
// who said otherwise meanwhile, too. Any other state is left alone.
func (e *Engine) record(ctx context.Context, l *lease, outcomes []outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	args := outcomeArgs(outcomes)
	args["batch"], args["worker"], args["epoch"], args["run"], args["channel"] = l.batch, l.life.worker, l.epoch, l.run, l.channel
	return e.persist(ctx, func(ctx context.Context) error {
		var b pgx.Batch // in one transaction
		b.Queue(recordSQL, args)
		if ids := untried(outcomes); len(ids) > 0 {
			b.Queue(untriedSQL, ids)
		}
		if err := e.books.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("record %d outcomes of batch %d: %w", len(outcomes), l.batch, err)
		}
		return nil
	})
}

// untried are the messages with outcomes that were no attempts.
func untried(outcomes []outcome) (ids []int64) {
	for _, o := range outcomes {
		if o.verdict == "" {
			ids = append(ids, o.message.ID)
		}
	}
	return ids
}

func outcomeArgs(outcomes []outcome) pgx.NamedArgs {
	n := len(outcomes)
	id, state, reason, verdict := make([]int64, n), make([]string, n), make([]*string, n), make([]string, n)
	code, enhanced, provider, words := make([]*int32, n), make([]*string, n), make([]*string, n), make([]*string, n)
	segments, encoding := make([]*int16, n), make([]*string, n)
	at, handed, retry, why := make([]time.Time, n), make([]*time.Time, n), make([]*time.Time, n), make([]*string, n)
	for i, o := range outcomes {
		id[i], state[i], verdict[i], at[i], retry[i] = o.message.ID, o.state, o.verdict, o.at, o.retryAt
		reason[i], why[i], enhanced[i], provider[i] = text(o.reason), text(o.why), text(o.receipt.Enhanced), text(o.receipt.ProviderID)
		words[i], encoding[i] = text(o.receipt.Words), text(o.receipt.Encoding)
		if c := int32(o.receipt.Code); c != 0 {
			code[i] = &c
		}
		if n := int16(o.receipt.Segments); n != 0 {
			segments[i] = &n
		}
		if !o.receipt.HandedOver.IsZero() {
			handed[i] = &outcomes[i].receipt.HandedOver
		}
	}
	return pgx.NamedArgs{
		"id": id, "lo": slices.Min(id), "hi": slices.Max(id), "state": state, "reason": reason, "verdict": verdict, "code": code, "enhanced": enhanced,
		"provider": provider, "words": words, "at": at, "handed": handed, "retry": retry, "why": why,
		"segments": segments, "encoding": encoding,
	}
}

// text is a string that PostgreSQL takes; nil when it is empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	return &s
}

// An attempt that was noted as unknown when the lease was taken over is overwritten, or, when the message was not handed
// over after all, taken back. A message that so returns to the plan may belong to a batch that is done. Whoever took
// over may have done so while this statement waited for the message: then it does not see the attempt, and only an
// insert finds it. Whether a failed message was sent after all is asked first, since occasions are joined by more than messages' ids. The customer may have been erased since: then the server's words are not kept.
const recordSQL = `
with o as (
	select * from unnest(@id::bigint[], @state::text[], @reason::text[], @verdict::text[], @code::int[], @enhanced::text[],
		@provider::text[], @words::text[], @at::timestamptz[], @handed::timestamptz[], @retry::timestamptz[], @why::text[],
		@segments::smallint[], @encoding::text[])
		as o(id, state, reason, verdict, code, enhanced, provider, words, at, handed, retry, why, segments, encoding)
), held as (
	select m.id, m.state as was, coalesce(m.reason, '') as because, m.attempts - (m.state <> 'claimed')::int as attempts
	from messages m join o on o.id = m.id
	where m.id between @lo and @hi and m.worker = @worker and m.epoch = @epoch
	  and (m.state in ('claimed', 'unknown') or o.state = 'sent' and (m.state = 'failed' and m.reason = 'not accepted'
	       or m.state = 'planned' and (select true from attempts a where a.message_id = m.id and a.number = m.attempts and a.verdict = 'unknown')))
	order by m.id for update of m
), moved as (
	update messages m
	set state = o.state::message_state, reason = o.reason,
	    not_before = coalesce(o.retry, m.not_before),
	    attempts = h.attempts + (o.verdict <> '')::int
	from o join held h on h.id = o.id
	where m.id = o.id and m.id between @lo and @hi
	returning m.id, m.state, m.reason, m.attempts, m.address_id, h.was, h.because, o.verdict, m.customer_key
), released as (
	update occasions c set spent = false
	from moved m
	where c.message_id = m.id and c.message_id between @lo and @hi and m.state in ('failed', 'skipped')
), spent as (
	update occasions c set spent = true -- those of the rungs before, too
	from moved m join occasions own on own.message_id = m.id and own.message_id between @lo and @hi
	where (select exists (select from moved where was = 'failed')) and m.was = 'failed' and (c.campaign_id, c.customer_key, c.occasion) = (own.campaign_id, own.customer_key, own.occasion) and c.step <= own.step
), tried as (
	insert into attempts (message_id, number, worker, epoch, at, handed_over, code, verdict, enhanced, provider_id, words, segments, encoding)
	select m.id, m.attempts, @worker, @epoch, o.at, o.handed, o.code, o.verdict, o.enhanced, o.provider, o.words, o.segments, o.encoding
	from moved m join o using (id)
	where o.verdict <> '' and m.was = 'claimed'
), amended as (
	insert into attempts (message_id, number, worker, epoch, at, handed_over, code, verdict, enhanced, provider_id, words, segments, encoding)
	select m.id, m.attempts, @worker, @epoch, o.at, o.handed, o.code, o.verdict, o.enhanced, o.provider,
	       case when (select true from erasures e where e.pseudonym = m.customer_key limit 1) is null then o.words end, o.segments, o.encoding
	from moved m join o using (id)
	where o.verdict <> '' and m.was <> 'claimed'
	on conflict (message_id, number) do update
	set at = excluded.at, handed_over = excluded.handed_over, code = excluded.code, verdict = excluded.verdict, enhanced = excluded.enhanced,
	    provider_id = excluded.provider_id, words = excluded.words, segments = excluded.segments, encoding = excluded.encoding
), charged as (
	insert into run_costs (run_id, segments)
	select @run::int, sum(o.segments) from moved m join o using (id) where m.state = 'sent' and o.segments > 0 having count(*) > 0
), reopened as (
	update batches set done = false
	where id = @batch and exists (select from moved where was = 'unknown' and state = 'planned')
), counted as (
	insert into run_totals (run_id, state, reason, delta)
	select @run::int, state::text, coalesce(reason, ''), count(*) from moved group by state, reason
	union all
	select @run::int, was::text, because, -count(*) from moved group by was, because
)
insert into suppressions (channel, hash, address, reason, source)
select distinct on (a.hash) @channel, a.hash, a.normalised, o.why, 'message ' || o.id
from moved m join o using (id)
cross join lateral (select a.hash, a.normalised from addresses a where a.id = m.address_id limit 1) a
where o.why is not null and a.hash is not null
on conflict do nothing`

// untriedSQL takes attempts back that were noted for messages which were not handed over after all. It is a statement of
// its own, which sees what was noted while recordSQL waited.
const untriedSQL = `
delete from attempts a using messages m
where m.id = any($1) and a.message_id = m.id and a.number > m.attempts`
