package response

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Press keeps what a customer answered on the spot to the message that the token names, such as by a key of the phone: it is
// a reply to that message, which people read like a text, and counts by its words, too. One that means STOP suppresses
// the number on this channel instead. A repeated request changes nothing. The error is an ErrToken when the token is not
// one of a message; otherwise the database's. A message that no run has (a preview's) is nothing to keep.
func (h *Hooks) Press(ctx context.Context, channel, token string, in channels.Inbound, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	tok, err := h.tracker.verify(ctx, token, Message, at)
	if err != nil {
		return err
	}
	in.ProviderID, in.From, in.To, in.Text = clean(in.ProviderID), clean(in.From), clean(in.To), cleanText(in.Text)
	err = pg.InTx(ctx, h.pool, func(tx pgx.Tx) error {
		m := &inbound{Inbound: in, channel: channel, at: at, message: &tok.MessageID}
		return h.press(ctx, tx, m)
	})
	if errors.Is(err, errNoMessage) {
		h.Log.Debug("answer to a message that no run has", slog.Int64("message", tok.MessageID))
		return nil
	}
	if err != nil {
		return fmt.Errorf("record an answer on %s: %w", channel, err)
	}
	return nil
}

func (h *Hooks) press(ctx context.Context, tx pgx.Tx, m *inbound) error {
	hasher, err := customer.LoadHasher(ctx, tx)
	if err != nil {
		return err
	}
	m.hash = hasher.Hash(m.channel, m.From)
	// Whoever is erasing the customer waits for us, or we find nobody.
	err = tx.QueryRow(ctx, `select run_id, customer_key from messages where id = $1 and channel = $2 for key share`,
		*m.message, m.channel).Scan(&m.run, &m.key)
	if errors.Is(err, pgx.ErrNoRows) {
		return errNoMessage
	}
	if err != nil {
		return fmt.Errorf("find message %d: %w", *m.message, err)
	}
	if m.kind = keywordNone; keywordOf(m.Text, m.From, m.To) == keywordStop {
		m.kind = keywordStop
	}
	if fresh, err := m.insert(ctx, tx); err != nil || !fresh {
		return err
	}
	if m.kind == keywordStop {
		return stop(ctx, tx, m)
	}
	if err := respond(ctx, tx, m, "reply"); err != nil {
		return err
	}
	return countWords(ctx, tx, m)
}

// countWords counts an answer by its words, as link 0 of part the words: which answers were given, and how often.
func countWords(ctx context.Context, tx pgx.Tx, m *inbound) error {
	_, err := tx.Exec(ctx, `
		with first as (
			insert into responses (message_id, kind, part, link, first_at) values ($1, 'reply', $3, 0, $4)
			on conflict (message_id, kind, part, link) do update set first_at = least(responses.first_at, excluded.first_at)
			returning (xmax = 0)::int as new
		)
		insert into response_totals (run_id, kind, part, link, total, uniq) select $2, 'reply', $3, 0, 1, new from first`,
		*m.message, m.run, cutRunes(m.Text, maxAnswerWords), m.at)
	if err != nil {
		return fmt.Errorf("count an answer to message %d: %w", *m.message, err)
	}
	return nil
}

// maxAnswerWords bounds the words by which answers are counted, in runes.
const maxAnswerWords = 60

func cutRunes(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most])
	}
	return s
}
