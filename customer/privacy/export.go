package privacy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ExportOptions say whom to export. Customer and Now are required.
type ExportOptions struct {
	Customer string // text of the key
	Now      time.Time
	WithRow  bool // also the columns that sapa.yaml maps, as the company's own row has them
}

// Export writes everything that Sapa holds about a customer as one JSON object, whose shape docs/privacy.md describes. It
// reads one snapshot of the database and holds one row in memory at a time. It is ErrUnknown for a key that nobody knows;
// then nothing was written.
func Export(ctx context.Context, pool *pgxpool.Pool, s *customer.Schema, w io.Writer, o ExportOptions) error {
	known, err := readRow(ctx, pool, s, o.Customer)
	if err != nil {
		return fmt.Errorf("export customer %s: %w", o.Customer, err)
	}
	var mapped map[string]any
	if o.WithRow && known.present {
		if mapped, err = readMapped(ctx, pool, s, known.key); err != nil {
			return fmt.Errorf("export customer %s: %w", known.key, err)
		}
	}
	err = pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		x := &exporter{tx: tx, w: w, o: o, row: known, mapped: mapped}
		return x.run(ctx)
	})
	if errors.Is(err, ErrUnknown) {
		err = fmt.Errorf("%w; neither %s nor Sapa has the key", err, s.Customer.Table)
	}
	if err != nil {
		return fmt.Errorf("export customer %s: %w", known.key, err)
	}
	return nil
}

// readMapped reads what sapa.yaml says about the customer's row.
func readMapped(ctx context.Context, db customer.Querier, s *customer.Schema, key string) (map[string]any, error) {
	var paths [][]string
	for _, f := range []customer.Field{s.Email, s.Phone, s.Name, s.Locale, s.Timezone, s.Region} {
		if f.Column != "" {
			paths = append(paths, []string{f.Column})
		}
	}
	for _, column := range s.PostColumns() {
		if column != "" {
			paths = append(paths, []string{column})
		}
	}
	for _, column := range s.Consent.Columns {
		paths = append(paths, []string{column})
	}
	fetch, err := customer.NewFetch(s.Customer, paths)
	if err != nil {
		return nil, err
	}
	found, err := fetch.Rows(ctx, db, []string{key})
	return found[key], err
}

// exporter writes one customer.
type exporter struct {
	tx      pgx.Tx
	w       io.Writer
	o       ExportOptions
	row     row
	mapped  map[string]any
	hash    []byte   // of the key
	written [][]byte // hashes of the row's addresses
}

func (x *exporter) run(ctx context.Context) error {
	if _, err := x.tx.Exec(ctx, `set transaction isolation level repeatable read, read only; set local timezone = 'UTC'`); err != nil {
		return err
	}
	hasher, err := customer.LoadHasher(ctx, x.tx)
	if err != nil {
		return err
	}
	x.hash = hasher.HashKey(x.row.key)
	_, x.written, _ = x.row.hashes(hasher)
	if err := x.isKnown(ctx); err != nil {
		return err
	}
	if err := x.head(); err != nil {
		return err
	}
	for _, s := range exported() {
		if err := x.section(ctx, s.name, s.sql); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	_, err = io.WriteString(x.w, "\n}\n")
	return err
}

func (x *exporter) isKnown(ctx context.Context) error {
	if x.row.present {
		return nil
	}
	var known bool
	err := x.tx.QueryRow(ctx, `select exists (select from messages where customer_key = $1)
		or exists (select from campaigns c join occasions o on o.campaign_id = c.id and o.customer_key = $1)
		or exists (select from consents where customer_key = $1) or exists (select from inbound where customer_key = $1)
		or exists (select from erasures where key_hash = $2)`, x.row.key, x.hash).Scan(&known)
	if err == nil && !known {
		err = ErrUnknown
	}
	return err
}

func (x *exporter) head() error {
	head := struct {
		Customer   string         `json:"customer"`
		At         time.Time      `json:"at"`
		RowPresent bool           `json:"row_present"`
		Row        map[string]any `json:"row,omitempty"`
	}{x.row.key, x.o.Now.UTC().Truncate(time.Second), x.row.present, x.mapped}
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	_, err = x.w.Write(bytes.TrimSuffix(text, []byte("\n}"))) // the sections follow
	return err
}

// section writes a list, row by row as the database sends them.
func (x *exporter) section(ctx context.Context, name, sql string) error {
	if _, err := fmt.Fprintf(x.w, ",\n  %q: [", name); err != nil {
		return err
	}
	rows, _ := x.tx.Query(ctx, sql, pgx.NamedArgs{"key": x.row.key, "hash": x.hash, "raws": x.row.raws(), "written": x.written})
	var text []byte
	separator := "\n    "
	_, err := pgx.ForEachRow(rows, []any{&text}, func() error {
		var b bytes.Buffer
		b.WriteString(separator)
		separator = ",\n    "
		if err := json.Indent(&b, text, "    ", "  "); err != nil {
			return err
		}
		_, err := x.w.Write(b.Bytes())
		return err
	})
	if err != nil {
		return err
	}
	end := "\n  ]"
	if separator == "\n    " {
		end = "]"
	}
	_, err = io.WriteString(x.w, end)
	return err
}
