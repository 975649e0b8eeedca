package privacy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// step is one kind of personal data, its age, and what happens to what is older.
type step struct {
	kind string
	age  customer.Age
	do   func(ctx context.Context, db pg.DBTX, before time.Time, look bool) (int64, error)
}

// steps are all kinds but messages.
func (k *Keeper) steps() []step {
	r := k.Retention
	return []step{
		{"hits", r.Hits, aged{"hits", `ip = null, user_agent = null`, `(ip is not null or user_agent is not null)`, true}.do},
		{"links", r.Links, monthly{{"short_links", `query = null`, `query <> ''`}}.do},
		{"letters", r.Letters, monthly{{"letters", `content = null`, `content is not null`}}.do},
		{"calls", r.Calls, monthly{
			{"calls", `name = null, reason = null, offer = null, script = null`, `(name is not null or reason is not null or offer is not null or script is not null)`},
			{"call_tries", `note = null`, `note is not null`},
		}.do},
		{"words", r.Words, monthly{
			{"attempts", `words = null`, `words is not null`}, {"delivery_reports", `words = null`, `words is not null`},
		}.do},
		{"inbound", r.Inbound, aged{
			"inbound", `sender = null, body = null, sender_hash = ''`, `(sender is not null or body is not null or sender_hash <> '')`, true,
		}.do},
		{"alerts", r.Alerts, oldAlerts},
		{"events", r.Events, aged{"events", `data = '{}', key = null, digest = null, warnings = '{}'`, `(data <> '{}' or key is not null or warnings <> '{}')`, true}.do},
		{"evidence", r.Evidence, aged{"consents", `evidence = '{}'`, `evidence <> '{}' and (not granted or exists (
			select from consents later
			where later.customer_key = t.customer_key and later.id > t.id and later.channel = t.channel and later.topic = t.topic))`, false}.do},
		{"addresses", r.Addresses, k.addresses},
	}
}

// aged is a table whose rows have the time at which they were made, in the order of their ids.
type aged struct {
	table, set, where string
	once              bool // what was looked at need not be looked at again
}

func (a aged) do(ctx context.Context, db pg.DBTX, before time.Time, look bool) (int64, error) {
	from, err := doneUpTo(ctx, db, a.table)
	if err != nil {
		return 0, err
	}
	if !a.once {
		from = time.Time{}
	}
	if look {
		return number(ctx, db, `select count(*) from `+a.table+` t where at >= $1 and at < $2 and `+a.where, from, before)
	}
	var ids span
	// The limit that limits nothing keeps the planner from walking through all ids from the beginning.
	err = db.QueryRow(ctx, `select coalesce(min(id), 1), coalesce(max(id), 0) from (
		select id from `+a.table+` where at >= $1 and at < $2 offset 0) t`, from, before).Scan(&ids.lo, &ids.hi)
	if err != nil {
		return 0, err
	}
	var n int64
	err = ids.each(func(lo, hi int64) error {
		tag, err := db.Exec(ctx, `update `+a.table+` t set `+a.set+` where id between $1 and $2 and at < $3 and `+a.where, lo, hi, before)
		n += tag.RowsAffected()
		return err
	})
	if err != nil {
		return n, err
	}
	return n, noteDone(ctx, db, a.table, before)
}

// monthly are tables that refer to messages by id; whole months of messages are old enough or not.
type monthly []struct{ table, set, where string }

func (m monthly) do(ctx context.Context, db pg.DBTX, before time.Time, look bool) (int64, error) {
	from, err := doneUpTo(ctx, db, m[0].table)
	if err != nil {
		return 0, err
	}
	runs, err := runRanges(ctx, db, max(MonthOf(from), 0), MonthOf(before))
	if err != nil {
		return 0, err
	}
	var n int64
	for _, t := range m {
		for _, r := range runs {
			err := r.each(func(lo, hi int64) error {
				if look {
					some, err := number(ctx, db, `select count(*) from `+t.table+` where message_id between $1 and $2 and `+t.where, lo, hi)
					n += some
					return err
				}
				tag, err := db.Exec(ctx, `update `+t.table+` set `+t.set+` where message_id between $1 and $2 and `+t.where, lo, hi)
				n += tag.RowsAffected()
				return err
			})
			if err != nil {
				return n, err
			}
		}
	}
	if look {
		return n, nil
	}
	return n, noteDone(ctx, db, m[0].table, MonthOf(before).start())
}

// oldAlerts deletes alerts: nobody needs one that nobody has seen to for so long.
func oldAlerts(ctx context.Context, db pg.DBTX, before time.Time, look bool) (n int64, err error) {
	if look {
		return number(ctx, db, `select count(*) from alerts where at < $1`, before)
	}
	var ids span
	err = db.QueryRow(ctx, `select coalesce(min(id), 1), coalesce(max(id), 0) from alerts where at < $1`, before).Scan(&ids.lo, &ids.hi)
	if err != nil {
		return 0, err
	}
	err = ids.each(func(lo, hi int64) error {
		tag, err := db.Exec(ctx, `delete from alerts where id between $1 and $2 and at < $3`, lo, hi, before)
		n += tag.RowsAffected()
		return err
	})
	return n, err
}

// addressChunk is how many addresses are compared at a time with the messages that use them.
const addressChunk = 50_000

// addresses deletes addresses that no message went to for so long, and blanks them in the list of suppressions, where their
// hash is enough. Those in use are marked as seen, so that they are not looked at again for as long.
func (k *Keeper) addresses(ctx context.Context, db pg.DBTX, before time.Time, look bool) (int64, error) {
	last, err := number(ctx, db, `select coalesce(max(id), 0) from addresses`)
	if err != nil {
		return 0, err
	}
	forget := forgetAddresses
	if look {
		forget = oldAddresses
	}
	var n int64
	for lo := int64(1); lo <= last; lo += addressChunk {
		some, err := forget(ctx, db, lo, before, k.Now())
		n += some
		if err != nil {
			return n, err
		}
	}
	if look {
		return n, nil
	}
	_, err = db.Exec(ctx, `
		update suppressions s set address = null
		where at < $1 and address is not null and not exists (select from addresses a where a.hash = s.hash)`, before)
	return n, err
}

// usedAddresses are a chunk's old addresses, and which of them messages use. Nothing finds the e-mails to an address but
// going through them all.
const usedAddresses = `
	with old as materialized (
		select id from addresses where id between $1 and $2 and seen_at < $3
	), used as materialized (
		select distinct m.address_id as id from messages m
		where m.address_id in (select id from old) and (m.id >= $4 or m.state in ('planned', 'claimed'))
	)`

// oldAddresses counts what forgetAddresses would delete.
func oldAddresses(ctx context.Context, db pg.DBTX, lo int64, before, _ time.Time) (int64, error) {
	return number(ctx, db, usedAddresses+` select count(*) from old o where not exists (select from used u where u.id = o.id)`,
		lo, lo+addressChunk-1, before, MonthOf(before).first())
}

// forgetAddresses marks those of a chunk's old addresses that are in use, which may take long, and then, while nobody
// plans, deletes the others, but for those that a plan has taken up meanwhile.
func forgetAddresses(ctx context.Context, db pg.DBTX, lo int64, before, now time.Time) (n int64, err error) {
	old, err := number(ctx, db, `select count(*) from addresses where id between $1 and $2 and seen_at < $3`, lo, lo+addressChunk-1, before)
	if err != nil || old == 0 {
		return 0, err
	}
	_, err = db.Exec(ctx, usedAddresses+` update addresses a set seen_at = $5 from used u where a.id = u.id`,
		lo, lo+addressChunk-1, before, MonthOf(before).first(), now)
	if err != nil {
		return 0, err
	}
	err = inTx(ctx, db, func(tx pgx.Tx) error {
		if err := lock(ctx, tx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			with taken as materialized (
				select m.address_id as id from runs r join messages m on m.id between r.message_base + 1 and r.message_base + r.message_count
				where r.planned_at > clock_timestamp() - interval '1 day' and m.address_id between $1 and $2
				  and (m.id >= $4 or m.state in ('planned', 'claimed'))
			)
			delete from addresses a
			where id between $1 and $2 and seen_at < $3 and not exists (select from taken t where t.id = a.id)`,
			lo, lo+addressChunk-1, before, MonthOf(before).first())
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// doneUpTo is the moment up to which a table was gone through before.
func doneUpTo(ctx context.Context, db pg.DBTX, table string) (at time.Time, err error) {
	err = db.QueryRow(ctx, `select at from upkeep where name = $1`, "retention of "+table).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, nil
	}
	return at, err
}

func noteDone(ctx context.Context, db pg.DBTX, table string, at time.Time) error {
	_, err := db.Exec(ctx, `
		insert into upkeep (name, at) values ($1, $2)
		on conflict (name) do update set at = greatest(upkeep.at, excluded.at)`, "retention of "+table, at)
	return err
}

func number(ctx context.Context, db pg.DBTX, sql string, args ...any) (n int64, err error) {
	if err := db.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	return n, nil
}
