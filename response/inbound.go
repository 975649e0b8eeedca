package response

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// stopped is the reason of a suppression that the customer asked for by a text.
const stopped = "stop"

// liftedByStart are the reasons of suppressions that START lifts: the customer's own. A dead number stays.
var liftedByStart = []string{stopped, "opted out"} // the latter is what a provider says that heard it itself

// inbound is a message of a customer on its way into the ledger.
type inbound struct {
	channels.Inbound
	channel string
	at      time.Time
	id      int64
	kind    keyword
	hash    []byte

	message *int64 // the last message to this address; nil: there was none
	key     *string
	run     int32

	suppressed string // why the address is suppressed, "" when it is not
}

// Inbound keeps a message of a customer with all that follows from it, in one transaction, and returns what the customer
// is answered; "" is nothing. STOP suppresses the address on this channel, START lifts a suppression that the
// customer's own STOP made, HELP says who writes and how to stop, and any other text is a reply for people to read. A
// repeated request changes nothing and has the same answer.
func (h *Hooks) Inbound(ctx context.Context, channel string, in channels.Inbound, at time.Time) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	in.ProviderID, in.From, in.To = clean(in.ProviderID), clean(in.From), clean(in.To)
	in.Text = cleanText(in.Text)
	err = pg.InTx(ctx, h.pool, func(tx pgx.Tx) error {
		m := &inbound{Inbound: in, channel: channel, at: at}
		fresh, err := insertInbound(ctx, tx, m)
		if err != nil {
			return err
		}
		if !fresh {
			return tx.QueryRow(ctx, `select coalesce(answer, '') from inbound where channel = $1 and provider_id = $2`,
				channel, in.ProviderID).Scan(&answer)
		}
		answer, err = h.act(ctx, tx, m)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("record a message of a customer on %s: %w", channel, err)
	}
	return answer, nil
}

// insertInbound stores the message with what it means and answers, and says whether it is new. One that comes twice at the same time waits here.
func insertInbound(ctx context.Context, tx pgx.Tx, m *inbound) (fresh bool, err error) {
	hasher, err := customer.LoadHasher(ctx, tx)
	if err != nil {
		return false, err
	}
	m.hash = hasher.Hash(m.channel, m.From)
	if err := lookUpSender(ctx, tx, m); err != nil {
		return false, err
	}
	m.kind = keywordOf(m.Text, m.From, m.To)
	if m.kind == keywordAgain {
		m.kind = keywordNone
		if slices.Contains(liftedByStart, m.suppressed) {
			m.kind = keywordStart
		}
	}
	return m.insert(ctx, tx)
}

// insert stores the message and says whether it is new.
func (m *inbound) insert(ctx context.Context, tx pgx.Tx) (fresh bool, err error) {
	err = tx.QueryRow(ctx, `
		insert into inbound (at, channel, provider_id, sender, sender_hash, recipient, body, media, kind, message_id, customer_key)
		values (@at, @channel, @provider, @sender, @hash, @recipient, @body, @media, @kind, @message, @key)
		on conflict (channel, provider_id) do nothing
		returning id`, pgx.NamedArgs{
		"at": m.at, "channel": m.channel, "provider": m.ProviderID, "sender": m.From, "hash": m.hash, "recipient": m.To,
		"body": m.Text, "media": min(m.Media, 1000), "kind": string(m.kind), "message": m.message, "key": m.key,
	}).Scan(&m.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// lookUpSender finds the last message to the address, which the customer answers, and whether it is suppressed. Whoever is
// erasing the customer waits for us, or we find nobody.
func lookUpSender(ctx context.Context, tx pgx.Tx, m *inbound) error {
	err := tx.QueryRow(ctx, `
		select m.id, m.run_id, m.customer_key
		from addresses a cross join lateral (
			select id, run_id, customer_key from messages
			where address_id = a.id and channel <> 'email' and channel = a.channel and state in ('sent', 'unknown', 'claimed')
			order by id desc limit 1 for key share) m
		where a.hash = $1 and a.channel = $2
		order by m.id desc limit 1`, m.hash, m.channel).Scan(&m.message, &m.run, &m.key)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("find the last message to the sender: %w", err)
	}
	err = tx.QueryRow(ctx, `select reason from suppressions where channel = $1 and hash = $2`, m.channel, m.hash).Scan(&m.suppressed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look up the sender's suppression: %w", err)
	}
	return nil
}

// act does what the message asks for, and returns and keeps its answer.
func (h *Hooks) act(ctx context.Context, tx pgx.Tx, m *inbound) (answer string, err error) {
	answer = h.answerTo(m.channel, m.kind, m.From)
	switch m.kind {
	case keywordStop:
		err = stop(ctx, tx, m)
	case keywordStart:
		if m.suppressed != "" && !slices.Contains(liftedByStart, m.suppressed) {
			answer = "" // it would not be true
			break
		}
		err = start(ctx, tx, m)
	case keywordNone:
		err = respond(ctx, tx, m, "reply")
	}
	if err != nil || answer == "" || m.Answered {
		return "", err
	}
	_, err = tx.Exec(ctx, `update inbound set answer = $2 where id = $1`, m.id, answer)
	return answer, err
}

func stop(ctx context.Context, tx pgx.Tx, m *inbound) error {
	source := fmt.Sprintf("inbound %d", m.id)
	err := customer.Suppress(ctx, tx, m.channel, m.From, customer.Suppression{Reason: stopped, Source: source, At: m.at})
	if err != nil {
		return err
	}
	if err := access.Record(ctx, tx, access.Entry{Actor: "customer", Action: "suppress", Subject: source, Detail: map[string]any{"reason": stopped}}); err != nil {
		return err
	}
	return respond(ctx, tx, m, "unsubscribe")
}

func start(ctx context.Context, tx pgx.Tx, m *inbound) error {
	tag, err := tx.Exec(ctx, `delete from suppressions where channel = $1 and hash = $2 and reason = any($3)`, m.channel, m.hash, liftedByStart)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	return access.Record(ctx, tx, access.Entry{Actor: "customer", Action: "unsuppress", Subject: fmt.Sprintf("inbound %d", m.id)})
}

// respond makes the message a response to the last message that the customer got.
func respond(ctx context.Context, tx pgx.Tx, m *inbound, kind string) error {
	if m.message == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `
		with first as (
			insert into responses (message_id, kind, first_at) values ($1, $3, $4)
			on conflict (message_id, kind, part, link) do update set first_at = least(responses.first_at, excluded.first_at)
			returning (xmax = 0)::int as new
		)
		insert into response_totals (run_id, kind, total, uniq) select $2, $3, 1, new from first`, *m.message, m.run, kind, m.at)
	if err != nil {
		return fmt.Errorf("count a response to message %d: %w", *m.message, err)
	}
	return nil
}

// MarkSeen notes that somebody of the company has read messages of customers, and returns how many had not been read.
func MarkSeen(ctx context.Context, db pg.DBTX, ids []int64, actor string, at time.Time) (int, error) {
	var n int
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `update inbound set seen_at = $2 where id = any($1) and seen_at is null returning id`, ids, at)
		seen, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if n = len(seen); err != nil || n == 0 {
			return err
		}
		slices.Sort(seen)
		return access.Record(ctx, tx, access.Entry{Actor: actor, Action: "read replies", Subject: "inbound", Detail: map[string]any{"ids": seen}})
	})
	if err != nil {
		return 0, fmt.Errorf("mark messages as read: %w", err)
	}
	return n, nil
}
