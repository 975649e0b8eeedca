package privacy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer"
)

// Keeper carries out the retention of sapa.yaml. All fields are required.
type Keeper struct {
	Pool      *pgxpool.Pool
	Schema    *customer.Schema
	Retention customer.Retention
	Now       func() time.Time // business time
	Actor     string           // for the audit log; "sapa" for the daily job
	Log       *slog.Logger
}

// Kept is what of one kind has exceeded its age.
type Kept struct {
	Kind   string    `json:"kind"` // as in sapa.yaml
	Age    string    `json:"age"`
	Before time.Time `json:"before,omitzero"` // zero: it is kept for ever
	Rows   int64     `json:"rows"`            // blanked or deleted; of kind messages: messages
}

// Retained is what a retention did, or would do.
type Retained struct {
	Kinds    []Kept   `json:"kinds"`
	Months   []Pruned `json:"months"`   // dropped
	Stay     []string `json:"stay"`     // months that are old enough and can't be dropped, with why
	Released int      `json:"released"` // erased customers whose row has been gone for long enough
}

// Run blanks, deletes and drops what is too old, in chunks, in constant memory. It may run at any time, also in two
// processes, and be interrupted; what is left is found the next time.
func (k *Keeper) Run(ctx context.Context) (*Retained, error) { return k.run(ctx, false) }

// Look says what Run would do.
func (k *Keeper) Look(ctx context.Context) (*Retained, error) { return k.run(ctx, true) }

func (k *Keeper) run(ctx context.Context, look bool) (*Retained, error) {
	now := k.Now()
	done := &Retained{Kinds: []Kept{}, Months: []Pruned{}, Stay: []string{}}
	for _, s := range k.steps() {
		kept := Kept{Kind: s.kind, Age: s.age.String()}
		if s.age.Ends() {
			kept.Before = s.age.Before(now)
			n, err := s.do(ctx, k.Pool, kept.Before, look)
			if err != nil {
				return nil, fmt.Errorf("retention of %s: %w", s.kind, err)
			}
			kept.Rows = n
		}
		done.Kinds = append(done.Kinds, kept)
	}
	if err := k.dropMonths(ctx, done, now, look); err != nil {
		return nil, fmt.Errorf("retention of messages: %w", err)
	}
	if look {
		return done, nil
	}
	var err error
	if done.Released, err = Release(ctx, k.Pool, k.Schema, now); err != nil {
		return nil, err
	}
	return done, k.note(ctx, done)
}

// note says in the log and in the audit log how many of each kind went.
func (k *Keeper) note(ctx context.Context, done *Retained) error {
	detail := map[string]any{}
	attrs := []slog.Attr{}
	for _, kept := range done.Kinds {
		if kept.Rows > 0 {
			detail[kept.Kind] = kept.Rows
			attrs = append(attrs, slog.Int64(kept.Kind, kept.Rows))
		}
	}
	if done.Released > 0 {
		detail["released"] = done.Released
		attrs = append(attrs, slog.Int("released", done.Released))
	}
	for _, why := range done.Stay {
		k.Log.LogAttrs(ctx, slog.LevelWarn, "a month of messages can't be dropped", slog.String("why", why))
	}
	k.Log.LogAttrs(ctx, slog.LevelInfo, "retention", attrs...)
	if len(detail) == 0 {
		return nil
	}
	return access.Record(ctx, k.Pool, access.Entry{Actor: k.Actor, Action: "retention", Subject: "personal data", Detail: detail})
}

// dropMonths drops the months whose last day is too old.
func (k *Keeper) dropMonths(ctx context.Context, done *Retained, now time.Time, look bool) error {
	age := k.Retention.Messages
	kept := Kept{Kind: "messages", Age: age.String()}
	defer func() { done.Kinds = append(done.Kinds, kept) }()
	if !look {
		if err := Sweep(ctx, k.Pool); err != nil {
			return err
		}
	}
	if !age.Ends() {
		return nil
	}
	kept.Before = MonthOf(age.Before(now)).start()
	months, err := Months(ctx, k.Pool, MonthOf(kept.Before))
	if err != nil {
		return err
	}
	for _, m := range months {
		if look {
			err = m.Month.Open(ctx, k.Pool)
		} else {
			m, err = Prune(ctx, k.Pool, m.Month, k.Actor)
		}
		switch open, refused := errors.AsType[*OpenError](err); {
		case refused:
			done.Stay = append(done.Stay, open.Error())
		case err != nil:
			return err
		default:
			done.Months = append(done.Months, m)
			kept.Rows += m.Messages
		}
	}
	return nil
}
