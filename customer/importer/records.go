package importer

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
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
type Rejects struct {
	rejects
	last int     // line of the latest
	runs []int64 // where rows begin that are in the order of their lines
}

// NewRejects prepares the file of rejects of a source; "" for path is the source's name with .rejects.csv.
func NewRejects(src *Source, path string) (*Rejects, error) {
	p := &Plan{Source: src, opts: Options{Rejects: path}}
	r, err := p.newRejects()
	if err != nil {
		return nil, err
	}
	return &Rejects{rejects: *r}, nil
}

// Add keeps a record with the reason why it can't be used. Records may come in a few passes over a list, each in the order
// of its lines.
func (r *Rejects) Add(rec Record, column, value, reason string) error {
	if r.file == nil || rec.Line < r.last {
		if err := r.beginRun(); err != nil {
			return err
		}
	}
	r.last = rec.Line
	return r.add(&record{line: rec.Line, raw: []byte(rec.raw)}, column, value, reason)
}

func (r *Rejects) beginRun() error {
	if r.file == nil {
		if err := r.create(); err != nil {
			return err
		}
	}
	r.out.Flush()
	at, err := r.file.Seek(0, io.SeekCurrent)
	if err = errors.Join(r.out.Error(), err); err != nil {
		return fmt.Errorf("write the file of rejects %s: %w", r.path, err)
	}
	r.runs = append(r.runs, at)
	return nil
}

// Count is how many records were rejected.
func (r *Rejects) Count() int { return int(r.n) }

// Path is where the file appears.
func (r *Rejects) Path() string { return r.path }

// Publish gives the file its name, with the records in the order of their lines, once what the list says is committed, or
// when nothing of it could be used.
func (r *Rejects) Publish() error {
	if len(r.runs) > 1 {
		if err := r.merge(); err != nil {
			return fmt.Errorf("sort the file of rejects %s: %w", r.path, err)
		}
	}
	return errors.Join(r.finish(), r.publish())
}

// merge makes one run of several, in constant memory.
func (r *Rejects) merge() (err error) {
	r.out.Flush()
	end, err := r.file.Seek(0, io.SeekCurrent)
	if err = errors.Join(r.out.Error(), err); err != nil {
		return err
	}
	old := r.file
	defer func() { err = errors.Join(err, old.Close(), os.Remove(old.Name())) }()
	runs := make([]rejectRun, len(r.runs))
	for i, from := range r.runs {
		to := end
		if i+1 < len(r.runs) {
			to = r.runs[i+1]
		}
		runs[i].in = csv.NewReader(bufio.NewReader(io.NewSectionReader(old, from, to-from)))
		if err := runs[i].next(); err != nil {
			return err
		}
	}
	if err := r.create(); err != nil {
		return err
	}
	for {
		first := slices.MinFunc(runs, func(a, b rejectRun) int { return cmp.Compare(a.line, b.line) })
		if first.row == nil {
			return nil
		}
		i := slices.IndexFunc(runs, func(one rejectRun) bool { return one.in == first.in })
		if err := errors.Join(r.out.Write(first.row), runs[i].next()); err != nil {
			return err
		}
	}
}

// rejectRun reads rows that are in the order of their lines.
type rejectRun struct {
	in   *csv.Reader
	row  []string // the next; nil at the end
	line int      // its line; past all others at the end
}

func (r *rejectRun) next() (err error) {
	if r.row, err = r.in.Read(); errors.Is(err, io.EOF) {
		r.row, r.line = nil, math.MaxInt
		return nil
	}
	if err == nil {
		r.line, err = strconv.Atoi(r.row[0])
	}
	return err
}

// Discard removes a file that was not published.
func (r *Rejects) Discard() error { return r.close() }
