package privacy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer"
)

// EraseOptions say whom to erase. Customer, Actor and Now are required.
type EraseOptions struct {
	Customer string           // text of the key
	Actor    string           // for the audit log
	Now      func() time.Time // business time
	DryRun   bool             // count, and take everything back
	Patience time.Duration    // how long to wait for messages that are being handed over; 0: a minute and a half
}

// Erasure is what erasing a customer did, or would do.
type Erasure struct {
	Customer   string    `json:"customer"`
	Number     int       `json:"erasure,omitempty"` // 0 when nothing was changed: a dry run, or nothing was left of the customer
	At         time.Time `json:"at"`
	RowPresent bool      `json:"row_present"` // the company's own row is still there; nothing is sent to it any more
	Before     []string  `json:"before"`      // when the same key was erased before, RFC 3339
	Counts
}

// Counts are rows that an erasure changes.
type Counts struct {
	Messages     int64 `json:"messages"`     // kept under a pseudonym, without address
	Planned      int64 `json:"planned"`      // of these: not sent yet, and now skipped as "erased"
	Claimed      int64 `json:"claimed"`      // of these, in a dry run: being handed over at this moment
	Occasions    int64 `json:"occasions"`    // kept under the pseudonym
	Addresses    int64 `json:"addresses"`    // deleted from the address book
	Shared       int64 `json:"shared"`       // addresses kept because messages of other customers use them
	Suppressions int64 `json:"suppressions"` // kept as a keyed hash, without the address
	Consents     int64 `json:"consents"`     // kept under the pseudonym, without evidence
	Hits         int64 `json:"hits"`         // kept without IP and user agent
	Links        int64 `json:"links"`        // short links whose personal part is gone
	Words        int64 `json:"words"`        // servers' and providers' words that are gone
	Inbound      int64 `json:"inbound"`      // messages of the customer, kept without sender and text
	Events       int64 `json:"events"`       // that the customer had, kept under the pseudonym, without data
}

// none says that there was nothing to erase.
func (c Counts) none() bool { return c == Counts{} }

// pause is how long to wait before looking again whether a message was handed over.
const pause = 200 * time.Millisecond

// errDryRun takes everything back.
var errDryRun = errors.New("nothing is changed")

// Erase blanks everything that Sapa holds about a customer, in one transaction: all of it or nothing. Messages and
// occasions stay for counting, under a pseudonym. It may run while others plan and send: it waits for plans, and until
// none of the customer's messages is in the hands of a worker. While the company's own row is there, planning skips the
// customer with reason "erased"; see Release. Doing it again is harmless. It is ErrUnknown for a key that nobody knows,
// and ErrBusy when Patience was not enough.
func Erase(ctx context.Context, pool *pgxpool.Pool, s *customer.Schema, o EraseOptions) (*Erasure, error) {
	if o.Patience == 0 {
		o.Patience = 90 * time.Second
	}
	known, err := readRow(ctx, pool, s, o.Customer)
	if err != nil {
		return nil, fmt.Errorf("erase customer %s: %w", o.Customer, err)
	}
	for deadline := time.Now().Add(o.Patience); ; {
		e, err := eraseOnce(ctx, pool, o, known)
		if !errors.Is(err, ErrBusy) || time.Now().After(deadline) {
			if errors.Is(err, ErrUnknown) {
				err = fmt.Errorf("%w; neither %s nor Sapa has the key", err, s.Customer.Table)
			}
			return e, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func eraseOnce(ctx context.Context, pool *pgxpool.Pool, o EraseOptions, known row) (*Erasure, error) {
	e := &eraser{o: o, row: known}
	e.Customer, e.RowPresent, e.At, e.Before = known.key, known.present, o.Now(), []string{}
	err := inTx(ctx, pool, func(tx pgx.Tx) error {
		e.tx, e.Counts = tx, Counts{}
		if err := e.run(ctx); err != nil {
			return err
		}
		if o.DryRun {
			return errDryRun
		}
		return nil
	})
	switch {
	case errors.Is(err, errDryRun):
		e.Number = 0
	case err != nil:
		return nil, fmt.Errorf("erase customer %s: %w", known.key, err)
	}
	return &e.Erasure, nil
}

// eraser is one attempt at an erasure.
type eraser struct {
	Erasure
	o         EraseOptions
	row       row
	tx        pgx.Tx
	pseudonym string
	open      bool     // an earlier erasure of the key still holds, because the row is there
	messages  []int64  // all of the customer's
	addresses []int64  // of the book, that go
	hashes    [][]byte // of addresses that nobody else uses
	hasher    *customer.Hasher
}

func (e *eraser) run(ctx context.Context) error {
	if err := lock(ctx, e.tx); err != nil {
		return err
	}
	if err := customer.LockConsent(ctx, e.tx, e.Customer); err != nil { // a decision is blanked, or finds them erased
		return err
	}
	for _, f := range []func(context.Context) error{e.mark, e.findMessages, e.findAddresses, e.blank, e.isKnown, e.audit} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mark writes the erasure, or finds the one that holds already.
func (e *eraser) mark(ctx context.Context) error {
	var err error
	if e.hasher, err = customer.LoadHasher(ctx, e.tx); err != nil {
		return err
	}
	hash := e.hasher.HashKey(e.Customer)
	rows, _ := e.tx.Query(ctx, `select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') from erasures where key_hash = $1 order by id`, hash)
	if e.Before, err = pgx.AppendRows(e.Before, rows, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("look for earlier erasures: %w", err)
	}
	err = e.tx.QueryRow(ctx, `
		update erasures
		set customer_key = case when $2 then customer_key end, released_at = case when not $2 then $3::timestamptz end, gone_since = null
		where customer_key = $1 returning id, pseudonym`, e.Customer, e.RowPresent, e.At).Scan(&e.Number, &e.pseudonym)
	if err == nil {
		e.open = true
		return nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look for an earlier erasure: %w", err)
	}
	if e.o.DryRun { // numbers are not used up for nothing
		e.pseudonym = "erased:0"
		return nil
	}
	err = e.tx.QueryRow(ctx, `
		insert into erasures (customer_key, key_hash, at, actor, row_present)
		values (case when $4 then $1::text end, $2, $3, $5, $4) returning id, pseudonym`,
		e.Customer, hash, e.At, e.RowPresent, e.o.Actor).Scan(&e.Number, &e.pseudonym)
	if err != nil {
		return fmt.Errorf("write the erasure: %w", err)
	}
	return nil
}

// isKnown takes the erasure of a key back that nobody knows. A key that was erased before is known, and needs no other
// erasure where nothing was left.
func (e *eraser) isKnown(context.Context) error {
	switch {
	case e.RowPresent || e.open || !e.none():
		return nil
	case len(e.Before) > 0:
		return errDryRun
	}
	return ErrUnknown
}

func (e *eraser) audit(ctx context.Context) error {
	return access.Record(ctx, e.tx, access.Entry{
		Actor: e.o.Actor, Action: "erase", Subject: fmt.Sprintf("erasure %d", e.Number),
		Detail: map[string]any{"row_present": e.RowPresent, "messages": e.Messages, "addresses": e.Addresses, "again": len(e.Before) > 0},
	})
}
