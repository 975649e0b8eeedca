package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
	paper "github.com/sapa-crm/sapa/channels/letter"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

func newLettersConfirmCommand(a *app) *cobra.Command {
	var posted bool
	c := &cobra.Command{
		Use:   "confirm RUN|BATCH | --posted CODE…",
		Short: "Say that printed letters were posted: they count as sent",
		Long: `Marks the letters of a batch, or of all printed batches of a run, as sent: those that still wait. Letters
that were cancelled, erased or skipped after printing are not: their codes and reasons are listed
(exit code 3), to be taken out of the pile. Best confirm first and post then. For those that were
posted all the same, --posted says so.`,
		Example: `  sapa letters confirm 7-1
  sapa letters confirm --posted K3F9-2XQ7`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case posted:
				return runLettersPosted(c.Context(), a, args)
			case len(args) > 1:
				return &exitError{exitUsage, errors.New("say one run or batch; see: sapa letters")}
			}
			return runLettersConfirm(c.Context(), a, args[0])
		},
	}
	c.Flags().BoolVar(&posted, "posted", false, "letters with these codes were posted, though they were withdrawn before")
	return c
}

func runLettersConfirm(ctx context.Context, a *app, arg string) error {
	id, err := paper.ParseBatch(arg)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%w; see: sapa letters", err)}
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	var posted int
	var out []paper.Withdrawn
	err = pg.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		posted, out, err = a.confirmLetters(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d letters of %s count as sent\n", posted, arg)
	if len(out) == 0 {
		return nil
	}
	fmt.Fprintf(a.stdout, "take these out of the pile, they were withdrawn after printing:\n")
	for _, l := range out {
		fmt.Fprintf(a.stdout, "  %s  %s\n", l.Shown(), l.Reason)
	}
	fmt.Fprintf(a.stdout, "if one was posted before: sapa letters confirm --posted CODE\n")
	return &exitError{exitPartial, fmt.Errorf("%d letters must not be posted", len(out))}
}

// confirmLetters says how many letters are sent now, and which of the batches must not be.
func (a *app) confirmLetters(ctx context.Context, tx pgx.Tx, id paper.BatchID) (posted int, out []paper.Withdrawn, err error) {
	batches, messages, err := paper.ToConfirm(ctx, tx, id)
	if err != nil {
		return 0, nil, err
	}
	now := a.now()
	moved, err := delivery.FinishByHand(ctx, tx, messages, delivery.ByHand{State: "sent", Words: "posted", At: now})
	if err != nil {
		return 0, nil, err
	}
	if err := paper.Confirm(ctx, tx, batches, moved, a.actor(), now); err != nil {
		return 0, nil, err
	}
	if out, err = paper.ListWithdrawn(ctx, tx, batches); err != nil {
		return 0, nil, err
	}
	return len(moved), out, access.Record(ctx, tx, access.Entry{
		Actor: a.actor(), Action: "letters confirmed", Subject: fmt.Sprintf("run %d", id.Run),
		Detail: map[string]any{"batches": batchNames(batches), "posted": len(moved), "withdrawn": len(out)},
	})
}

// runLettersPosted says of letters, each by its code, that they were posted though they had been withdrawn.
func runLettersPosted(ctx context.Context, a *app, codes []string) error {
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	wrong := 0
	for _, code := range codes {
		w, err := a.posted(ctx, s, code)
		if err != nil {
			fmt.Fprintf(a.stderr, "%s: %v\n", code, err)
			wrong++
			continue
		}
		fmt.Fprintf(a.stdout, "%s: message %d counts as sent, and not as skipped (%s)\n", w.Shown(), w.Message, w.Reason)
	}
	if wrong > 0 {
		return &exitError{exitPartial, fmt.Errorf("%d of %d codes were not recorded", wrong, len(codes))}
	}
	return nil
}

// posted records one letter in a transaction of its own.
func (a *app) posted(ctx context.Context, s *session, text string) (w paper.Withdrawn, err error) {
	code, err := paper.ReadCode(text)
	if err != nil {
		return w, err
	}
	err = pg.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if w, err = paper.FindWithdrawn(ctx, tx, code); err != nil {
			return err
		}
		now := a.now()
		moved, err := delivery.FinishByHand(ctx, tx, []int64{w.Message}, delivery.ByHand{State: "sent", Words: "posted", Skipped: true, At: now})
		if err != nil {
			return err
		}
		if len(moved) == 0 {
			return errors.New("its message is not skipped any more: it is being sent again, or is not kept any more")
		}
		if err := paper.Confirm(ctx, tx, nil, moved, a.actor(), now); err != nil {
			return err
		}
		return access.Record(ctx, tx, access.Entry{
			Actor: a.actor(), Action: "letter posted", Subject: fmt.Sprintf("message %d", w.Message), Detail: map[string]any{"was": w.Reason},
		})
	})
	return w, err
}

func batchNames(batches []paper.BatchID) []string {
	names := make([]string, len(batches))
	for i, b := range batches {
		names[i] = b.String()
	}
	return names
}
