// Package calls is the channel of calls that people of the company make. To hand a call over is to write it, composed, on
// the list (table calls), where it waits for an agent: its verdict is channels.ErrPending. Package delivery/calldesk gives calls
// to agents and takes what came of them; docs/calls.md has the whole.
package calls

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Channel writes calls on the list.
type Channel struct{ db pg.DBTX }

// New is the channel of the list in a database. Commits of its pool must be durable.
func New(db pg.DBTX) *Channel { return &Channel{db} }

// Name implements channels.Channel.
func (*Channel) Name() string { return Name }

// Account implements channels.Channel: there is one list.
func (*Channel) Account() string { return "calls" }

// Open implements channels.Channel: it asks whether the list is there.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) {
	if _, err := c.db.Exec(ctx, `select from calls limit 0`); err != nil {
		return nil, channels.Unavailable(fmt.Errorf("open the list of calls: %w", err))
	}
	return &session{c.db}, nil
}

type session struct{ db pg.DBTX }

// Close implements channels.Session.
func (*session) Close() error { return nil }

// patience bounds how long one call may take to be written.
const patience = 10 * time.Second

// Deliver implements channels.Session. A call whose content can't be kept is Permanent; where the database can't be reached
// nothing happened, and the session has broken.
func (s *session) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	return channels.Singly(ctx, in, permit, done, s.deliver)
}

func (s *session) deliver(ctx context.Context, m *channels.Message, permit func(*channels.Message) error) (none channels.Receipt, err error) {
	if err := unfit(m); err != nil {
		return none, channels.Permanent(err)
	}
	if err := permit(m); err != nil {
		return none, channels.Unavailable(err)
	}
	return none, s.write(ctx, m)
}

// unfit says why nobody could make a call.
func unfit(m *channels.Message) error {
	switch {
	case m.To.Addr == "":
		return errors.New("there is no number to call")
	case strings.TrimSpace(m.Parts[Script]) == "":
		return errors.New("nothing is left of the script for this customer")
	}
	return nil
}

// errUnknown is the verdict on a message that the ledger does not have.
var errUnknown = errors.New("the ledger has no such message")

// write puts a call on the list. It may come again, after a crash or with sapa retry: then its words are those of the last
// time, and one that somebody has finished begins anew. One that an agent has at this moment stays theirs.
func (s *session) write(ctx context.Context, m *channels.Message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	tag, err := s.db.Exec(ctx, `
		insert into calls as c (message_id, run_id, customer_key, name, locale, reason, offer, script, due_at)
		select m.id, m.run_id, m.customer_key, $2, $3, $4, $5, $6, $7 from messages m where m.id = $1
		on conflict (message_id) do update
		set name = excluded.name, locale = excluded.locale, reason = excluded.reason, offer = excluded.offer, script = excluded.script,
		    due_at = case when c.done_at is null then c.due_at else excluded.due_at end,
		    tries = case when c.done_at is null then c.tries else 0 end,
		    keeper = case when c.done_at is null then c.keeper end,
		    outcome = null, done_at = null`,
		m.ID, m.To.Name, m.Locale, m.Parts[Reason], m.Parts[Offer], m.Parts[Script], m.Date)
	switch {
	case err == nil && tag.RowsAffected() == 0:
		return channels.Permanent(errUnknown)
	case err == nil:
		return channels.ErrPending
	}
	if e, refused := errors.AsType[*pgconn.PgError](err); refused && e.Code[:2] == "22" {
		return channels.Permanent(fmt.Errorf("write the call: %w", pg.WithoutValues(e)))
	}
	return channels.Unavailable(fmt.Errorf("write the call: %w", err))
}
