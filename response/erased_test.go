package response

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
)

// erasing begins to erase customer c3, as package privacy does, and returns what commits it.
func (b *bundle) erasing(t *testing.T) (commit func()) {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := customer.LockConsent(t.Context(), tx, "c3"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`insert into erasures (key_hash, at, actor, row_present) values ('x', now(), 'ani', false)`,
		`select from messages where customer_key = 'c3' order by id for update`,
		`update messages set customer_key = 'erased:1', address_id = null where customer_key = 'c3'`,
		`update occasions set customer_key = 'erased:1' where customer_key = 'c3'`,
		`update suppressions set address = null`,
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitWaiting waits until a session of the database waits for a lock.
func awaitWaiting(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for waiting := false; !waiting; {
		err := pool.QueryRow(ctx, `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A decision that meets an erasure leaves nothing under the customer's key; one that comes later counts, and shows nothing
// of who made it.
func TestDecisionsOfErasedCustomers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	commit := b.erasing(t)
	done := make(chan error, 1)
	unsubscribe := func() error {
		_, err := b.tracker.Unsubscribe(context.WithoutCancel(t.Context()), b.unsubscribe(3), ThisTopic, ByPage, someone)
		return err
	}
	go func() { done <- unsubscribe() }()
	awaitWaiting(t, b.pool)
	commit()
	if err := <-done; !errors.Is(err, errErasedMeanwhile) {
		t.Errorf("meanwhile: %v", err)
	}
	if got := consents(t, b); len(got) > 0 {
		t.Errorf("consents of somebody who was just erased: %q", got)
	}
	if err := unsubscribe(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if diff := cmp.Diff([]string{"erased:1 email service-reminders f unsubscribe page 3"}, consents(t, b)); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	hits := lines(t, b.pool, `select concat_ws(' ', kind, ip, user_agent) from hits order by id`)
	if diff := cmp.Diff([]string{"unsubscribe"}, hits); diff != "" {
		t.Errorf("hits (-want +got):\n%s", diff)
	}
}

// What is told of a customer's address while they are erased is not kept beside who they were.
func TestWordsThatMeetAnErasure(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		say  func(*Hooks, *bundle) error
		left string
		want []string
	}{
		"a text": {
			func(h *Hooks, _ *bundle) error {
				_, err := h.Inbound(context.Background(), "sms", channels.Inbound{ProviderID: "SM1", From: "+628110000003", To: "+62811", Text: "hello"}, noon)
				return err
			},
			`select kind || ' ' || coalesce(customer_key, 'nobody') from inbound`,
			[]string{"reply nobody"},
		},
		"a report": {
			func(h *Hooks, b *bundle) error {
				_, err := h.insertReports(context.Background(), []report{{
					Report:  channels.Report{ProviderID: "SM1", Status: channels.ReportUndelivered, Suppress: "no such number"},
					message: b.run.Base + 3, run: int32(b.run.ID), channel: "sms", at: noon,
				}})
				return err
			},
			`select coalesce(address, '-') from suppressions`,
			[]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.texted(t, "+628110000003")
			h := NewHooks(b.tracker, HookOptions{})
			commit := b.erasing(t)
			done := make(chan error, 1)
			go func() { done <- test.say(h, b) }()
			awaitWaiting(t, b.pool)
			commit()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, append([]string{}, lines(t, b.pool, test.left)...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// texted makes message 3 a text that went to a number.
func (b *bundle) texted(t *testing.T, number string) {
	t.Helper()
	if _, err := customer.FillAddressBook(t.Context(), b.pool, "sms", `select $1::text, 'ID'`, number); err != nil {
		t.Fatal(err)
	}
	ledgertest.Exec(t, b.pool, `
		update messages set channel = 'sms', state = 'sent', address_id = (select id from addresses where raw = @number) where id = @id`,
		pgx.NamedArgs{"number": number, "id": b.run.Base + 3})
}
