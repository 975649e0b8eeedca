package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
	paper "github.com/sapa-crm/sapa/channels/letter"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

func newLettersConfirmCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "confirm RUN|BATCH",
		Short: "Say that printed letters were posted: they count as sent",
		Long: `Marks the letters of a batch, or of all printed batches of a run, as sent. Letters that were
cancelled or erased after printing are not: their codes are listed (exit code 3), to be taken out of
the pile. Best confirm first and post then.`,
		Example: "  sapa letters confirm 7-1",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return runLettersConfirm(c.Context(), a, args[0]) },
	}
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
	var out []paper.Posted
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
	fmt.Fprintf(a.stdout, "take these out of the pile, they were cancelled or erased after printing:\n")
	for _, l := range out {
		fmt.Fprintf(a.stdout, "  %s\n", l.Shown())
	}
	return &exitError{exitPartial, fmt.Errorf("%d letters must not be posted", len(out))}
}

// confirmLetters says how many letters are sent now, and which of the batches must not be.
func (a *app) confirmLetters(ctx context.Context, tx pgx.Tx, id paper.BatchID) (posted int, out []paper.Posted, err error) {
	batches, letters, err := paper.ToConfirm(ctx, tx, id)
	if err != nil {
		return 0, nil, err
	}
	ids := make([]int64, len(letters))
	for i, l := range letters {
		ids[i] = l.Message
	}
	now := a.now()
	moved, err := delivery.FinishByHand(ctx, tx, ids, delivery.ByHand{State: "sent", Words: "posted", At: now})
	if err != nil {
		return 0, nil, err
	}
	if err := paper.Confirm(ctx, tx, batches, moved, a.actor(), now); err != nil {
		return 0, nil, err
	}
	for _, l := range letters {
		if _, sent := slices.BinarySearch(moved, l.Message); !sent {
			out = append(out, l)
		}
	}
	return len(moved), out, access.Record(ctx, tx, access.Entry{
		Actor: a.actor(), Action: "letters confirmed", Subject: fmt.Sprintf("run %d", id.Run),
		Detail: map[string]any{"batches": batchNames(batches), "posted": len(moved), "withdrawn": len(out)},
	})
}

func batchNames(batches []paper.BatchID) []string {
	names := make([]string, len(batches))
	for i, b := range batches {
		names[i] = b.String()
	}
	return names
}
