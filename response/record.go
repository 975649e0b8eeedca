package response

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// commit writes the hits with what they count in one transaction.
func (r *Recorder) commit(ctx context.Context, hits []Hit) error {
	rows, unknown, err := r.resolve(ctx, hits)
	if err != nil {
		return err
	}
	if len(rows.message) > 0 {
		if err := r.insert(ctx, rows); err != nil {
			return fmt.Errorf("record %d hits: %w", len(rows.message), err)
		}
		r.commits.Add(1)
	}
	r.recorded.Add(int64(len(rows.message)))
	r.unknown.Add(int64(unknown))
	return nil
}

func (r *Recorder) insert(ctx context.Context, rows *hitRows) error {
	suspects := rows.suspects()
	if r.opts.Burst < 0 || len(suspects) == 0 {
		return rows.insert(ctx, r.pool)
	}
	return pg.InTx(ctx, r.pool, func(tx pgx.Tx) error {
		if err := rows.insert(ctx, tx); err != nil {
			return err
		}
		return rejudgeBursts(ctx, tx, suspects, r.opts.Burst, r.runs)
	})
}

// resolve turns hits into columns, leaving out those of messages that no run has.
func (r *Recorder) resolve(ctx context.Context, hits []Hit) (*hitRows, int, error) {
	rows := &hitRows{counts: map[countKey]*countSum{}}
	unknown := 0
	for i := range hits {
		run, err := r.runs.of(ctx, hits[i].MessageID)
		if errors.Is(err, errNoMessage) {
			unknown++
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		rows.add(run.ID, &hits[i])
	}
	return rows, unknown, nil
}

// hitRows are the columns of hits, and what they count summed per message.
type hitRows struct {
	at            []time.Time
	message       []int64
	kind          []HitKind
	part          []*string
	link          []*int16
	ip            []*netip.Addr
	agent, reason []*string
	verdict       []Verdict
	counts        map[countKey]*countSum
}

type countKey struct {
	run     int32
	message int64
	count
}

type countSum struct {
	first time.Time
	hits  int64
}

func (rows *hitRows) add(run int32, h *Hit) {
	rows.at = append(rows.at, h.At)
	rows.message = append(rows.message, h.MessageID)
	rows.kind = append(rows.kind, h.Kind)
	rows.part, rows.link = append(rows.part, nil), append(rows.link, nil)
	if h.Kind == HitClick {
		part, link := h.Part.String(), int16(h.Link)
		rows.part[len(rows.part)-1], rows.link[len(rows.link)-1] = &part, &link
	}
	rows.ip = append(rows.ip, optional(h.IP))
	rows.agent = append(rows.agent, optional(h.UserAgent))
	rows.reason = append(rows.reason, optional(h.Reason))
	rows.verdict = append(rows.verdict, h.Verdict)
	for _, c := range h.counts() {
		key := countKey{run, h.MessageID, c}
		sum := rows.counts[key]
		if sum == nil {
			sum = &countSum{first: h.At}
			rows.counts[key] = sum
		}
		sum.hits++
		if h.At.Before(sum.first) {
			sum.first = h.At
		}
	}
}

// optional is nil for a zero value, which a column stores as null.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// insert is one statement: the hits, the first response of each message and kind, and the deltas of the totals. Responses
// go in by the order of their key, so that two processes that record the same message wait for each other and never in
// a circle. One that is there already is locked all the same: rejudge must not delete it while this hit is not committed.
// Of a month that was pruned nothing is recorded: nobody could tell any more whether it is the message's first.
func (rows *hitRows) insert(ctx context.Context, db pg.DBTX) error {
	keys, first, n := rows.sorted()
	_, err := db.Exec(ctx, `
		with kept as (
			insert into hits (at, message_id, kind, part, link, ip, user_agent, verdict, reason)
			select * from unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::smallint[], $6::inet[], $7::text[], $8::text[], $9::text[])
				as h(at, message_id, kind, part, link, ip, user_agent, verdict, reason)
			where message_id >> 44 not in (select month from pruned_months)
		), counted as (
			select * from unnest($10::int[], $11::bigint[], $12::text[], $13::text[], $14::smallint[], $15::timestamptz[], $16::bigint[])
				with ordinality as c(run_id, message_id, kind, part, link, at, hits, place)
			where message_id >> 44 not in (select month from pruned_months)
		), first as (
			insert into responses (message_id, kind, part, link, first_at)
			select message_id, kind, part, link, at from counted order by place
			on conflict (message_id, kind, part, link) do update set first_at = least(responses.first_at, excluded.first_at)
			returning message_id, kind, part, link, xmax = 0 as new
		)
		insert into response_totals (run_id, kind, part, link, total, uniq)
		select c.run_id, c.kind, c.part, c.link, sum(c.hits), count(*) filter (where f.new)
		from counted c left join first f using (message_id, kind, part, link)
		group by c.run_id, c.kind, c.part, c.link`,
		rows.at, rows.message, rows.kind, rows.part, rows.link, rows.ip, rows.agent, rows.verdict, rows.reason,
		keys.run, keys.message, keys.kind, keys.part, keys.link, first, n)
	return err
}

// compareCounts is the order in which responses of a message are written and locked.
func compareCounts(a, b count) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.part, b.part), cmp.Compare(a.link, b.link))
}

type keyColumns struct {
	run        []int32
	message    []int64
	kind, part []string
	link       []int16
}

func (rows *hitRows) sorted() (cols keyColumns, first []time.Time, hits []int64) {
	keys := make([]countKey, 0, len(rows.counts))
	for k := range rows.counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b countKey) int {
		return cmp.Or(cmp.Compare(a.message, b.message), compareCounts(a.count, b.count))
	})
	for _, k := range keys {
		cols.run = append(cols.run, k.run)
		cols.message = append(cols.message, k.message)
		cols.kind = append(cols.kind, k.kind)
		cols.part = append(cols.part, k.part)
		cols.link = append(cols.link, int16(k.link))
		first = append(first, rows.counts[k].first)
		hits = append(hits, rows.counts[k].hits)
	}
	return cols, first, hits
}

// suspects are the messages with a click that passed for a person's: another of their hits may show that it was not.
func (rows *hitRows) suspects() []int64 {
	var list []int64
	for i, kind := range rows.kind {
		if (kind == HitClick || kind == HitPage) && rows.verdict[i] == Human {
			list = append(list, rows.message[i])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
