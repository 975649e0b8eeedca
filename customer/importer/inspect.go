package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Inspect reads the whole file and decides how to load it. The error is *Questions when that takes an answer from the
// file's author. Nothing is written anywhere.
func Inspect(ctx context.Context, src *Source, opts Options) (*Plan, error) {
	p, err := newPlan(src, opts)
	if err != nil {
		return nil, err
	}
	if err := p.chooseEncoding(ctx); err != nil {
		return nil, err
	}
	if err := p.gather(ctx); err != nil {
		return nil, err
	}
	if err := p.decide(); err != nil {
		return nil, err
	}
	return p, p.resolveKey()
}

func newPlan(src *Source, opts Options) (*Plan, error) {
	if opts.Schema == "" {
		opts.Schema = DefaultSchema
	}
	if opts.Null == nil {
		opts.Null = DefaultNull()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := checkTable(opts); err != nil {
		return nil, err
	}
	p := &Plan{Source: src, Table: opts.Table, Schema: opts.Schema, opts: opts, nulls: map[string]bool{}}
	for _, word := range opts.Null {
		if len(word) > maxNullWord {
			return nil, fmt.Errorf("null word %q is longer than %d bytes", word, maxNullWord)
		}
		p.nulls[strings.TrimSpace(word)] = true
	}
	return p, nil
}

// maxNullWord is the longest word that can mean "missing", in bytes.
const maxNullWord = 64

func checkTable(opts Options) error {
	name, hasSchema := strings.CutPrefix(opts.Table, opts.Schema+".")
	switch {
	case name == "":
		return errors.New("no table named: say --table NAME")
	case hasSchema || strings.Contains(name, "."):
		return fmt.Errorf("table %q: name it without a schema; imported tables live in schema %s", opts.Table, opts.Schema)
	case name != columnName(name):
		return fmt.Errorf("table %q: use small letters, digits and _, such as %s", opts.Table, nameLike(name))
	}
	return nil
}

func nameLike(name string) string {
	if n := columnName(name); n != "" {
		return n
	}
	return "customers"
}

// chooseEncoding takes what the author says, or what the bytes say.
func (p *Plan) chooseEncoding(ctx context.Context) (err error) {
	if p.opts.Encoding != "" {
		p.encoding, err = namedEncoding(p.opts.Encoding)
		p.Encoding = p.encoding.name
		return err
	}
	in, err := p.Source.read(ctx, "reading", nil)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if p.encoding, err = detectEncoding(in); err != nil {
		return err
	}
	p.Encoding = p.encoding.name
	if p.encoding.sample != "" {
		p.Notes = append(p.Notes, fmt.Sprintf("the bytes are not UTF-8: read as %s, so that one value is %q; say --encoding if that is wrong",
			p.Encoding, p.encoding.sample))
	}
	return nil
}

// records opens the file behind its header.
func (p *Plan) records(ctx context.Context, phase string) (r *csvReader, header []string, done func() error, err error) {
	in, err := p.Source.read(ctx, phase, p.opts.Progress)
	if err != nil {
		return nil, nil, nil, err
	}
	r, header, err = p.openRecords(in)
	if err != nil {
		return nil, nil, nil, errors.Join(err, in.Close())
	}
	return r, header, in.Close, nil
}

func (p *Plan) openRecords(in io.Reader) (*csvReader, []string, error) {
	text, err := p.encoding.decode(in)
	if err != nil {
		return nil, nil, err
	}
	head, whole, text, err := splitHead(text)
	if err != nil {
		return nil, nil, err
	}
	excel, hasSeparator := separatorLine(head)
	if p.Delimiter == 0 {
		if p.Delimiter, err = p.delimiter(head, whole, excel); err != nil {
			return nil, nil, err
		}
	}
	r := newCSVReader(text, p.Delimiter)
	if hasSeparator {
		if _, err := r.next(); err != nil {
			return nil, nil, err
		}
	}
	header, err := p.header(r)
	return r, header, err
}

func (p *Plan) delimiter(head []byte, whole bool, excel byte) (byte, error) {
	switch {
	case p.opts.Delimiter != "":
		return namedDelimiter(p.opts.Delimiter)
	case excel != 0:
		return excel, nil
	}
	return detectDelimiter(head, whole), nil
}

// header reads the column names.
func (p *Plan) header(r *csvReader) ([]string, error) {
	rec, err := r.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty", p.Source.Name)
	}
	if err != nil {
		return nil, err
	}
	if rec.flaw != "" {
		return nil, fmt.Errorf("%s:%d: the line of column names: %s", p.Source.Name, rec.line, rec.flaw)
	}
	names := make([]string, len(rec.fields))
	data := 0
	for i, f := range rec.fields {
		f = trimSpace(f)
		names[i] = string(f)
		if looksLikeData(f) {
			data++
		}
	}
	if data*2 > len(names) {
		return nil, fmt.Errorf("%s:%d: %q is no line of column names: put one above it", p.Source.Name, rec.line, shorten(string(rec.raw), 60))
	}
	return names, nil
}

// looksLikeData tells values from column names, among which years are common.
func looksLikeData(v []byte) bool {
	_, number := scanNumber(v, false)
	_, date := scanDate(v)
	year := len(v) == 4 && (v[0] == '1' || v[0] == '2')
	return (number && !year) || date || bytes.IndexByte(v, '@') > 0
}

// gather reads every record and counts what its values say.
func (p *Plan) gather(ctx context.Context) (err error) {
	r, header, done, err := p.records(ctx, "reading")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	p.name(header)
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			return p.dropEmpty()
		}
		if err != nil {
			return err
		}
		p.Rows++
		if p.flaw(rec) != "" {
			continue
		}
		for i := range p.Columns {
			p.Columns[i].stats.add(rec.line, rec.fields[i], p.nulls)
		}
	}
}

// name makes a column of each name of the header.
func (p *Plan) name(header []string) {
	names, notes := columnNames(header)
	p.Notes = append(p.Notes, notes...)
	p.fields = len(header)
	p.Columns = make([]Column, len(header))
	for i := range header {
		p.Columns[i] = Column{Name: names[i], Header: header[i], field: i, stats: &stats{}}
		if header[i] == "" {
			p.Columns[i].Header, p.Columns[i].unnamed = names[i], true
		}
	}
}

// flaw is why a record can't be loaded whatever its values, empty when it can. Empty values too many are forgiven.
func (p *Plan) flaw(rec *record) string {
	n := len(rec.fields)
	switch {
	case rec.flaw != "":
		return rec.flaw
	case n < p.fields:
		return fmt.Sprintf("%d values where the header names %d", n, p.fields)
	}
	for _, extra := range rec.fields[p.fields:] {
		if len(extra) > 0 {
			return fmt.Sprintf("%d values where the header names %d", n, p.fields)
		}
	}
	return ""
}

// dropEmpty leaves out columns that have neither a name nor a value, as a delimiter at each line's end makes them.
func (p *Plan) dropEmpty() error {
	if p.Rows == 0 {
		return fmt.Errorf("%s has column names, but no rows", p.Source.Name)
	}
	kept := p.Columns[:0]
	for _, c := range p.Columns {
		if c.unnamed && c.stats.values() == 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("column %d has neither a name nor a value: left out", c.field+1))
			continue
		}
		kept = append(kept, c)
	}
	p.Columns = kept
	return nil
}

// decide gives each column its type.
func (p *Plan) decide() error {
	chosen, questions, err := applyOverrides(p.Columns, p.opts.Types)
	if err != nil {
		return err
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		c.Missing, c.Examples = c.stats.missing, c.stats.examples
		v, overridden := chosen[c.Name]
		if !overridden {
			v = infer(c)
			if v.question != nil {
				questions = append(questions, *v.question)
			}
		}
		c.Overridden = overridden
		p.settle(c, v)
		p.Notes = append(p.Notes, missingWords(c)...)
	}
	if len(questions) > 0 {
		return &Questions{Source: p.Source.Name, List: questions}
	}
	return nil
}

// settle makes a verdict the column's.
func (p *Plan) settle(c *Column, v verdict) {
	c.Type, c.Format, c.parser = v.kind, v.format, v.parser
	c.parser.latestYear = latestYear(p.opts.Now(), holdsBirths(c.Name))
	p.Notes = append(p.Notes, v.notes...)
}

// missingWords says which words were taken as missing: an author may know better.
func missingWords(c *Column) []string {
	var notes []string
	for _, word := range slices.Sorted(maps.Keys(c.stats.words)) {
		notes = append(notes, fmt.Sprintf("%s: %q means missing (%s)", c.Header, word, values(c.stats.words[word])))
	}
	return notes
}

func values(n int64) string {
	if n == 1 {
		return "1 value"
	}
	return fmt.Sprintf("%d values", n)
}

// resolveKey finds the key's columns.
func (p *Plan) resolveKey() error {
	for _, name := range p.opts.Key {
		col, err := findColumn(p.Columns, name)
		if err != nil {
			return fmt.Errorf("key %q: %w", name, err)
		}
		for _, k := range p.Key {
			if k == col.Name {
				return fmt.Errorf("key %q: column %s is named twice", name, col.Header)
			}
		}
		p.Key = append(p.Key, col.Name)
	}
	return nil
}
