package customer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer/importer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// listReader reads a list and keeps apart what can't be used.
type listReader struct {
	records *importer.Records
	rejects *importer.Rejects
	n       int // records so far
}

// importList imports a list in one transaction; the rejects appear with its commit, or when all records are rejects.
func importList(
	ctx context.Context, db pg.DBTX, src *importer.Source, rejects string, named func([]string) bool,
	do func(pgx.Tx, *listReader) (ListResult, error),
) (res ListResult, err error) {
	in := &listReader{}
	if in.records, err = importer.OpenRecords(ctx, src, named); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, in.records.Close()) }()
	if in.rejects, err = importer.NewRejects(src, rejects); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, in.rejects.Discard()) }()
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if res, err = do(tx, in); err != nil {
			return err
		}
		if in.n > 0 && in.rejects.Count() == in.n {
			return ErrNoRecord
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrNoRecord):
		records := "records"
		if in.n == 1 {
			records = "record"
		}
		err = fmt.Errorf("%s has %d %s, and %w (see %s)", src.Name, in.n, records, err, in.rejects.Path())
		return ListResult{}, errors.Join(err, in.rejects.Publish())
	case err != nil:
		return ListResult{}, fmt.Errorf("import %s: %w", src.Name, err)
	}
	res.Records, res.Rejected = in.n, in.rejects.Count()
	if res.Rejected > 0 {
		res.Rejects = in.rejects.Path()
	}
	return res, in.rejects.Publish()
}

// copy streams what rows makes of each record into a table, and returns how many rows that were. A reason rejects the
// record.
func (in *listReader) copy(
	ctx context.Context, tx pgx.Tx, table string, columns []string,
	rows func(importer.Record) (values [][]any, column, value, reason string),
) (int, error) {
	var ready [][]any
	var failed error
	source := pgx.CopyFromFunc(func() ([]any, error) {
		for len(ready) == 0 {
			rec, err := in.records.Next()
			if errors.Is(err, io.EOF) {
				return nil, nil
			}
			if err != nil {
				failed = err
				return nil, err
			}
			in.n++
			values, column, value, reason := [][]any(nil), "", "", rec.Flaw
			if reason == "" {
				values, column, value, reason = rows(rec)
			}
			if reason == "" {
				ready = values
				continue
			}
			if failed = in.rejects.Add(rec, column, value, reason); failed != nil {
				return nil, failed
			}
		}
		row := ready[0]
		ready = ready[1:]
		return row, nil
	})
	n, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, source)
	if failed != nil {
		err = failed
	}
	return int(n), err
}
