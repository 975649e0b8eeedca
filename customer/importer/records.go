package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Records reads a list, such as one of suppressed addresses, record by record: CSV or TSV in any encoding that an import
// knows, or one value on each line. Memory does not grow with the file.
type Records struct {
	Columns []string // names of the first line; nil where that is data already

	in    io.Closer
	csv   *csvReader
	first *record
	width int
}

// Record is one row of a list.
type Record struct {
	Line   int // on which it begins, from 1
	Values []string
	Flaw   string // why it can't be read; "" when it can

	raw string
}

// NewRecord is a record that was read before, for the file of rejects.
func NewRecord(line int, raw string) Record { return Record{Line: line, raw: raw} }

// Raw is the record as it was written, without bytes that no database takes.
func (r Record) Raw() string { return printable(r.raw) }

// OpenRecords opens a list. named decides by the first record whether it names the columns.
func OpenRecords(ctx context.Context, src *Source, named func(first []string) bool) (*Records, error) {
	in, err := src.read(ctx, "reading", nil)
	if err != nil {
		return nil, err
	}
	enc, err := detectEncoding(in)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	if in, err = src.read(ctx, "reading", nil); err != nil {
		return nil, err
	}
	r := &Records{in: in}
	if err := r.begin(in, enc, named); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", src.Name, err), in.Close())
	}
	return r, nil
}

func (r *Records) begin(in io.Reader, enc encoding, named func([]string) bool) error {
	text, err := enc.decode(in)
	if err != nil {
		return err
	}
	head, whole, text, err := splitHead(text)
	if err != nil {
		return err
	}
	delimiter, declared := separatorLine(head)
	if !declared {
		delimiter = detectDelimiter(head, whole)
	}
	r.csv = newCSVReader(text, delimiter)
	if declared {
		if _, err := r.csv.next(); err != nil {
			return err
		}
	}
	rec, err := r.csv.next()
	if errors.Is(err, io.EOF) {
		return errors.New("nothing is in it")
	}
	if err != nil {
		return err
	}
	first := texts(rec)
	if r.width = len(first); rec.flaw == "" && named(first) {
		r.Columns = first
		return nil
	}
	r.first = rec
	return nil
}

func texts(rec *record) []string {
	values := make([]string, len(rec.fields))
	for i, f := range rec.fields {
		values[i] = strings.TrimSpace(string(f))
	}
	return values
}

// Next is the next record, or io.EOF. Values of a record with a flaw are missing.
func (r *Records) Next() (Record, error) {
	rec := r.first
	r.first = nil
	if rec == nil {
		var err error
		if rec, err = r.csv.next(); err != nil {
			return Record{}, err
		}
	}
	one := Record{Line: rec.line, Flaw: rec.flaw, raw: string(rec.raw)}
	if one.Flaw != "" {
		return one, nil
	}
	one.Values = texts(rec)
	if len(one.Values) < r.width {
		one.Flaw = fmt.Sprintf("%d values where the first line has %d", len(one.Values), r.width)
	}
	return one, nil
}

// Close closes the file.
func (r *Records) Close() error { return r.in.Close() }

// Rejects are the records of a list that can't be used, in a file of their own: line, column, value, reason and the
// record as it was written. The file appears when it is published, and only where there is something in it. It can hold
// personal data: only its owner may read it.
type Rejects struct{ rejects }

// NewRejects prepares the file of rejects of a source; "" for path is the source's name with .rejects.csv.
func NewRejects(src *Source, path string) (*Rejects, error) {
	p := &Plan{Source: src, opts: Options{Rejects: path}}
	r, err := p.newRejects()
	if err != nil {
		return nil, err
	}
	return &Rejects{*r}, nil
}

// Add keeps a record with the reason why it can't be used.
func (r *Rejects) Add(rec Record, column, value, reason string) error {
	return r.add(&record{line: rec.Line, raw: []byte(rec.raw)}, column, value, reason)
}

// Count is how many records were rejected.
func (r *Rejects) Count() int { return int(r.n) }

// Path is where the file appears.
func (r *Rejects) Path() string { return r.path }

// Publish gives the file its name, once what the list says is committed, or when nothing of it could be used.
func (r *Rejects) Publish() error { return errors.Join(r.finish(), r.publish()) }

// Discard removes a file that was not published.
func (r *Rejects) Discard() error { return r.close() }
