package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels/calls"
	paper "github.com/sapa-crm/sapa/channels/letter"
	"github.com/sapa-crm/sapa/delivery/calldesk"
	"github.com/sapa-crm/sapa/internal/pg"

	"github.com/jackc/pgx/v5"
)

// climb waits until those who turned out to have no WhatsApp were texted instead: the next rung of the ladder.
func (d *demo) climb(ctx context.Context) error {
	if err := d.mail.WaitCallbacks(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	for {
		if err := d.planner.Climb(ctx); err != nil { // sapa serve does it every few seconds
			return err
		}
		var without, texted int
		err := d.pool.QueryRow(ctx, `
			select count(distinct m.id), count(distinct m.id) filter (where t.state = 'sent')
			from messages m join delivery_reports r on r.message_id = m.id and r.status = 'undelivered'
			join occasions o on o.message_id = m.id
			left join occasions n on (n.campaign_id, n.customer_key, n.occasion, n.step) = (o.campaign_id, o.customer_key, o.occasion, o.step + 1)
			left join messages t on t.id = n.message_id
			where m.channel = 'whatsapp'`).Scan(&without, &texted)
		if err != nil {
			return fmt.Errorf("wait for the next rung: %w", err)
		}
		if without > 0 && texted == without {
			fmt.Fprintf(d.stdout, "\n%s had no WhatsApp, and were texted instead.\n", thousands(without))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("of %d customers without WhatsApp %d were texted within a minute", without, texted)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// handiwork is what people of the workshop do: postcards are printed and posted, a customer is called, and a member who comes
// in on their birthday is announced at the front desk.
func (d *demo) handiwork(ctx context.Context) error {
	if err := d.climb(ctx); err != nil {
		return err
	}
	if err := d.postCards(ctx); err != nil {
		return err
	}
	if err := d.call(ctx); err != nil {
		return err
	}
	return d.checkIn(ctx)
}

// postCards prints the postcards of those whom nothing else reaches, and says that they were posted.
func (d *demo) postCards(ctx context.Context) error {
	waiting, err := paper.List(ctx, d.pool, false)
	if err != nil {
		return err
	}
	folder, err := d.mail.Letters()
	if err != nil {
		return err
	}
	for _, w := range waiting {
		file := filepath.Join(folder, fmt.Sprintf("postcards-%d.pdf", w.Run))
		files, err := createFiles(file)
		if err != nil {
			return err
		}
		defer files.discard()
		began := time.Now()
		printed, err := d.printLetters(ctx, d.session, paper.BatchID{Run: w.Run}, files)
		if err == nil {
			err = files.keep()
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(d.stdout, "\n%d postcards on %d pages in %.1f s, for those whom nothing else reaches: %s\n",
			printed.Pieces, printed.Pages, time.Since(began).Seconds(), file)
		err = pg.InTx(ctx, d.pool, func(tx pgx.Tx) error {
			_, _, err := d.confirmLetters(ctx, tx, printed.Batch)
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(d.stdout, "they were posted, says a person with: sapa letters confirm")
	}
	return nil
}

// call makes one of the calls on the list.
func (d *demo) call(ctx context.Context) error {
	n, err := d.count(ctx, `select count(*) from calls where done_at is null`)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "\nThe list of calls has %s customers.\n", thousands(n))
	desk, err := d.callDesk(ctx, d.app)
	if err != nil {
		return err
	}
	c, err := desk.Next(ctx, "dewi")
	if errors.Is(err, calldesk.ErrNone) {
		fmt.Fprintln(d.stdout, "  nobody is called at this hour")
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := desk.Done(ctx, "dewi", c.ID, calldesk.Result{Outcome: calls.Interested, Note: "wants roses"}); err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "  Dewi called customer %s (%s): interested\n", c.CustomerKey, c.Reason)
	return nil
}

// checkIn lets a member come in who has a birthday: the workshop's first customer, on any day.
func (d *demo) checkIn(ctx context.Context) error {
	began := time.Now()
	if _, err := d.planner.Receive(ctx, campaign.Event{Name: "check_in", Customer: "1", Data: json.RawMessage(`{"gate": "the main door"}`), Actor: "demo"}); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	for {
		var title, text string
		err := d.pool.QueryRow(ctx, `select title, text from alerts order by id desc limit 1`).Scan(&title, &text)
		switch {
		case err == nil:
			fmt.Fprintf(d.stdout, "\nCustomer 1 checks in; %.2f s later the front desk reads\n  %s\n  %s\n", time.Since(began).Seconds(), title, text)
			return nil
		case !errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("wait for the alert at the front desk: %w", err)
		}
		select {
		case <-ctx.Done():
			return errors.New("the front desk has no alert 20 s after the check-in")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// count asks the database for a number.
func (d *demo) count(ctx context.Context, sql string) (n int, err error) {
	if err := d.pool.QueryRow(ctx, sql).Scan(&n); err != nil {
		return 0, fmt.Errorf("count for the demo: %w", err)
	}
	return n, nil
}
