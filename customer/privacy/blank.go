package privacy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// findMessages locks the customer's messages in the order in which everybody does. Those that a worker holds are its
// own: the erasure is tried again when it has recorded what became of them.
func (e *eraser) findMessages(ctx context.Context) error {
	rows, _ := e.tx.Query(ctx, `select id, state::text from messages where customer_key = $1 order by id for update`, e.Customer)
	var id int64
	var state string
	e.messages = nil
	_, err := pgx.ForEachRow(rows, []any{&id, &state}, func() error {
		e.messages = append(e.messages, id)
		switch state {
		case "planned":
			e.Planned++
		case "claimed":
			e.Claimed++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("find the messages: %w", err)
	}
	e.Messages = int64(len(e.messages))
	if e.Claimed > 0 && !e.o.DryRun {
		return fmt.Errorf("%w: a message to them is being handed over at this moment; nothing was erased, do it again in a minute", ErrBusy)
	}
	return nil
}

// findAddresses looks for the customer's addresses in the book: those that their messages went to, those in the
// company's row, and the same ones written differently. What messages of other customers refer to is theirs, too, and
// stays.
func (e *eraser) findAddresses(ctx context.Context) error {
	_, written, _ := e.row.hashes(e.hasher)
	rows, _ := e.tx.Query(ctx, `
		with own as (
			select a.id, a.hash from addresses a join messages m on m.address_id = a.id where m.id = any($1)
			union
			select id, hash from addresses where raw = any($2) or hash = any($4)
		), same as (
			select id, hash from own
			union
			select a.id, a.hash from addresses a join own using (hash)
		)
		select s.id, s.hash, exists (select from messages m where m.address_id = s.id and m.customer_key <> $3) as shared
		from same s order by s.id`, e.messages, e.row.raws(), e.Customer, written)
	var id int64
	var hash []byte
	var shared bool
	own, others := map[string]bool{}, map[string]bool{}
	for _, hash := range written {
		own[string(hash)] = true
	}
	e.addresses, e.hashes = nil, nil
	_, err := pgx.ForEachRow(rows, []any{&id, &hash, &shared}, func() error {
		if shared {
			e.Shared++
			others[string(hash)] = true
			return nil
		}
		e.addresses = append(e.addresses, id)
		if hash != nil {
			own[string(hash)] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("find the addresses: %w", err)
	}
	for h := range own {
		if !others[h] {
			e.hashes = append(e.hashes, []byte(h))
		}
	}
	return nil
}

// erasing is one place of personal data and what becomes of it.
type erasing struct {
	what string
	rows *int64
	sql  string
}

// places are all places of personal data, in the order in which they are blanked; messages and occasions come first, as
// they do for whoever sends.
func (e *eraser) places() []erasing {
	return []erasing{
		{"what is planned", nil, `
			with moved as (
				update messages set state = 'skipped', reason = 'erased' where id = any(@messages) and state = 'planned' returning run_id, id
			), released as ( -- and those of a ladder's other rungs, when nothing was sent of it
				update occasions o set spent = false
				from moved m join occasions own on own.message_id = m.id
				where (o.campaign_id, o.customer_key, o.occasion) = (own.campaign_id, own.customer_key, own.occasion)
				  and (o.message_id = m.id or o.spent and not exists (
				      select from occasions x join messages l on l.id = x.message_id
				      where (x.campaign_id, x.customer_key, x.occasion) = (own.campaign_id, own.customer_key, own.occasion)
				        and l.id not in (select id from moved) and l.state in ('planned', 'claimed', 'sent', 'unknown', 'held_out')))
			)
			insert into run_totals (run_id, state, reason, delta)
			select run_id, 'skipped', 'erased', count(*) from moved group by run_id
			union all
			select run_id, 'planned', '', -count(*) from moved group by run_id`},
		{"contacts", nil, `
			with locks as (
				delete from contact_locks where customer = hashtextextended(@key, 0)
			)
			delete from contacts where customer = hashtextextended(@key, 0) and message_id = any(@messages)`},
		{"messages", nil, `update messages set customer_key = @pseudonym, address_id = null where id = any(@messages)`},
		{"occasions", &e.Occasions, `
			with numbered as (
				select o.campaign_id, o.customer_key, o.occasion, o.step, row_number() over (order by o.campaign_id, o.occasion, o.step) as n
				from campaigns c join occasions o on o.campaign_id = c.id and o.customer_key = @key
			)
			update occasions o
			set customer_key = @pseudonym, occasion = 'erased ' || o.message_id || ' ' || n.n, row_key = null
			from numbered n
			where (o.campaign_id, o.customer_key, o.occasion, o.step) = (n.campaign_id, n.customer_key, n.occasion, n.step)`},
		{"words of servers", &e.Words, `
			with words as (
				update attempts set words = null where message_id = any(@messages) and words is not null returning 1
			), reports as (
				update delivery_reports set words = null where message_id = any(@messages) and words is not null returning 1
			)
			select from words union all select from reports`},
		{"hits", &e.Hits, `
			update hits set ip = null, user_agent = null
			where message_id = any(@messages) and (ip is not null or user_agent is not null)`},
		{"short links", &e.Links, `update short_links set query = null where message_id = any(@messages) and query <> ''`},
		{"letters", nil, `update letters set content = null where message_id = any(@messages) and content is not null`},
		{"calls", nil, `
			with notes as (
				update call_tries set note = null where message_id = any(@messages) and note is not null
			)
			update calls
			set customer_key = @pseudonym, name = null, reason = null, offer = null, script = null, keeper = null -- who has it is shown that
			where message_id = any(@messages)`},
		{"consents", &e.Consents, `update consents set customer_key = @pseudonym, evidence = '{}' where customer_key = @key`},
		{"inbound messages", &e.Inbound, `
			update inbound set sender = null, body = null, sender_hash = '', customer_key = @pseudonym
			where customer_key = @key or customer_key is null and sender_hash = any(@hashes)`},
		{"lists of suppressed addresses", nil, `
			with moved as (
				delete from suppressed_digests s using unnest(@channels::text[], @written::bytea[], @digests::bytea[]) w(channel, hash, digest)
				where s.channel = w.channel and s.digest = w.digest
				returning s.channel, w.hash, s.reason, s.source, s.at
			)
			insert into suppressions (channel, hash, reason, source, at) select * from moved on conflict do nothing`},
		{"alerts", nil, `delete from alerts where customer_key = @key or message_id = any(@messages)`},
		{"events", &e.Events, `
			with settled as (
				update triggers t set handled_at = clock_timestamp(), outcome = 'erased', trouble = null
				from events e where e.customer_key = @key and t.event_id = e.id and t.handled_at is null
			)
			update events set customer_key = @pseudonym, data = '{}', key = null, digest = null, warnings = '{}' where customer_key = @key`},
		{"suppressions", &e.Suppressions, `update suppressions set address = null where hash = any(@hashes) and address is not null`},
		{"addresses", &e.Addresses, `delete from addresses where id = any(@addresses)`},
	}
}

func (e *eraser) blank(ctx context.Context) error { return e.blankPlaces(ctx, e.places()) }

func (e *eraser) blankPlaces(ctx context.Context, places []erasing) error {
	channels, written, digests := e.row.hashes(e.hasher)
	args := pgx.NamedArgs{
		"key": e.Customer, "pseudonym": e.pseudonym, "messages": e.messages, "addresses": e.addresses, "hashes": e.hashes,
		"channels": channels, "written": written, "digests": digests,
	}
	for _, p := range places {
		tag, err := e.tx.Exec(ctx, p.sql, args)
		if err != nil {
			return fmt.Errorf("blank %s: %w", p.what, err)
		}
		if p.rows != nil {
			*p.rows = tag.RowsAffected()
		}
	}
	return nil
}
