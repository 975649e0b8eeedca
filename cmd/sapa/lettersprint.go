package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	paper "github.com/sapa-crm/sapa/channels/letter"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

type lettersPrintOptions struct{ out, csv string }

func newLettersPrintCommand(a *app) *cobra.Command {
	var o lettersPrintOptions
	c := &cobra.Command{
		Use:   "print RUN|BATCH --out FILE",
		Short: "Make one PDF of a run's letters, ready to be printed",
		Long: `Makes a batch of the run's letters that were not printed yet, and writes it as one PDF. Where none
waits, the last batch that is not confirmed is written again, or the one that is named: the
same bytes, less what is not to be posted any more. Nothing of a paused run is printed. Letters
that have become too late, or whose customers do not want them any more, are skipped, and the
reasons are listed. --csv adds the addresses for a print house: a line for each piece, in the
order of the PDF.`,
		Example: `  sapa letters print 7 --out letters.pdf --csv addresses.csv
  sapa letters print 7-1 --out again.pdf`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runLettersPrint(c.Context(), a, args[0], o) },
	}
	c.Flags().StringVarP(&o.out, "out", "o", "", "the PDF that is written")
	c.Flags().StringVar(&o.csv, "csv", "", "also write the addresses here")
	return c
}

func runLettersPrint(ctx context.Context, a *app, arg string, o lettersPrintOptions) error {
	id, err := paper.ParseBatch(arg)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%w; see: sapa letters", err)}
	}
	if o.out == "" {
		return &exitError{exitUsage, errors.New("say where the PDF goes, such as --out letters.pdf")}
	}
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if id, err = paper.ToPrint(ctx, s.pool, id); err != nil {
		return err
	}
	files, err := createFiles(o.out, o.csv)
	if err != nil {
		return err
	}
	defer files.discard()
	if err := a.putLettersAside(ctx, s, id); err != nil {
		return err
	}
	printed, err := a.printLetters(ctx, s, id, files)
	if err != nil {
		return err
	}
	if err := files.keep(); err != nil {
		return fmt.Errorf("%w; batch %s is made, and can be written again: sapa letters print %s --out FILE", err, printed.Batch, printed.Batch)
	}
	again := ""
	if printed.Again {
		again = ", as before"
	}
	fmt.Fprintf(a.stdout, "batch %s%s: %d pieces on %d pages in %s\n", printed.Batch, again, printed.Pieces, printed.Pages, o.out)
	if printed.LeftOut > 0 {
		fmt.Fprintf(a.stdout, "%d of its letters are not in it any more; to take them out of what was printed before, see: sapa letters confirm %s\n", printed.LeftOut, printed.Batch)
	}
	fmt.Fprintf(a.stdout, "when they are posted: sapa letters confirm %s\n", printed.Batch)
	return nil
}

// putLettersAside skips letters of what is about to be printed that may not be sent any more, and says how many and why.
func (a *app) putLettersAside(ctx context.Context, s *session, id paper.BatchID) error {
	again := delivery.Recheck{Pool: s.pool, Schema: s.schema, Library: s.library, Now: s.businessTime}
	skipped, total := map[string]int{}, 0
	for after := int64(0); ; {
		ids, err := paper.Unposted(ctx, s.pool, id, after)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		after = ids[len(ids)-1]
		counts, err := again.PutAside(ctx, id.Run, paper.Name, ids)
		if err != nil {
			return err
		}
		for reason, n := range counts {
			skipped[reason] += n
			total += n
		}
	}
	if total == 0 {
		return nil
	}
	fmt.Fprintf(a.stdout, "%d letters of run %d are skipped and not printed any more:\n", total, id.Run)
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		fmt.Fprintf(a.stdout, "  %d %s\n", skipped[reason], reason)
	}
	return nil
}

// printLetters writes the files, and makes the batch when they are whole.
func (a *app) printLetters(ctx context.Context, s *session, id paper.BatchID, files *outFiles) (printed *paper.Printed, err error) {
	order := paper.Order{Batch: id, Actor: a.actor(), Now: a.now(), Settings: letterSettings(s.config), PDF: files.files[0]}
	if len(files.files) > 1 {
		order.CSV = files.files[1]
	}
	err = pg.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if printed, err = paper.Print(ctx, tx, order); err != nil {
			return err
		}
		if err := files.finish(); err != nil {
			return err
		}
		return access.Record(ctx, tx, access.Entry{
			Actor: a.actor(), Action: "letters printed", Subject: fmt.Sprintf("run %d", printed.Batch.Run),
			Detail: map[string]any{"batch": printed.Batch.String(), "pieces": printed.Pieces, "again": printed.Again},
		})
	})
	return printed, err
}

// outFiles are files in the making, beside their names until they are whole.
type outFiles struct {
	files []*os.File
	names []string
}

// createFiles begins files; "" is none.
func createFiles(names ...string) (*outFiles, error) {
	o := &outFiles{}
	for _, name := range names {
		if name == "" {
			continue
		}
		f, err := os.CreateTemp(filepath.Dir(name), ".sapa-letters-*")
		if err != nil {
			o.discard()
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		o.files, o.names = append(o.files, f), append(o.names, name)
	}
	return o, nil
}

// finish makes the files durable.
func (o *outFiles) finish() error {
	for i, f := range o.files {
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", o.names[i], err)
		}
	}
	return nil
}

// keep gives the files their names.
func (o *outFiles) keep() error {
	for i, f := range o.files {
		if err := os.Rename(f.Name(), o.names[i]); err != nil {
			return fmt.Errorf("write %s: %w", o.names[i], err)
		}
	}
	return nil
}

// discard removes what did not get its name.
func (o *outFiles) discard() {
	for _, f := range o.files {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
}

// sayProof says of a previewed letter where it was printed, or why it can't be.
func (s *session) sayProof(a *app, p *campaign.Preview, pdf string) {
	if pdf != "" {
		fmt.Fprintf(a.stdout, "\nprinted to %s\n", pdf)
		return
	}
	if p.Channel != paper.Name || p.Address == "" || p.Unusable != "" {
		return
	}
	if err := s.proof(io.Discard, a, p); err != nil {
		fmt.Fprintf(a.stdout, "\nit can't be printed: %v\n", err)
	}
}

// proof prints a previewed letter.
func (s *session) proof(w io.Writer, a *app, p *campaign.Preview) error {
	m := *p.Message
	m.To.Addr = p.Number
	return paper.Proof(w, letterSettings(s.config), os.DirFS(filepath.Join(s.projectDir, "templates")), &m, a.now())
}

// printProof prints a previewed letter to a file.
func (s *session) printProof(a *app, p *campaign.Preview, name string) error {
	switch {
	case p.Channel != paper.Name:
		return &exitError{exitUsage, errors.New("--pdf: the message is no letter; of a campaign with several channels, say --channel letter")}
	case p.Address == "":
		return errors.New("--pdf: no letter reaches them: no address")
	case p.Unusable != "":
		return fmt.Errorf("--pdf: no letter reaches them: %s", p.Unusable)
	}
	files, err := createFiles(name)
	if err != nil {
		return err
	}
	defer files.discard()
	if err := s.proof(files.files[0], a, p); err != nil {
		return fmt.Errorf("print customer %s's letter: %w", p.CustomerKey, err)
	}
	return errors.Join(files.finish(), files.keep())
}
