package importer

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// copyStream is the file as COPY's text format, row by row; what can't be loaded goes to the rejects instead.
type copyStream struct {
	plan     *Plan
	in       *csvReader
	rejected *rejects
	lines    bool // the first column is the line
	key      []*Column
	records  int64
	pending  []byte
	buf      []byte
	err      error
}

// Read makes rows until a block is full.
func (s *copyStream) Read(p []byte) (int, error) {
	if len(s.pending) == 0 && s.err == nil {
		err := s.fill()
		if errors.Is(err, io.EOF) && len(s.pending) == 0 {
			return 0, io.EOF
		}
		if err != nil && !errors.Is(err, io.EOF) {
			s.err = err
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

const copyBlock = 64 << 10

func (s *copyStream) fill() error {
	s.buf = s.buf[:0]
	defer func() { s.pending = s.buf }()
	for len(s.buf) < copyBlock {
		rec, err := s.in.next()
		if err != nil {
			return err
		}
		s.records++
		if err := s.add(rec); err != nil {
			return err
		}
	}
	return nil
}

// problem is why a row can't be loaded.
type problem struct {
	column, value, reason string
}

// add appends one record, or rejects it.
func (s *copyStream) add(rec *record) error {
	if flaw := s.plan.flaw(rec); flaw != "" {
		return s.rejected.add(rec, "", "", flaw)
	}
	start := len(s.buf)
	if s.lines {
		s.buf = append(strconv.AppendInt(s.buf, int64(rec.line), 10), '\t')
	}
	var problems []problem
	s.buf, problems = s.appendRow(s.buf, rec)
	if len(problems) == 0 {
		s.buf = append(s.buf, '\n')
		return nil
	}
	s.buf = s.buf[:start]
	first := problems[0]
	if more := len(problems) - 1; more > 0 {
		first.reason += fmt.Sprintf(" (and %s: %s)", problems[1].column, problems[1].reason)
		if more > 1 {
			first.reason += fmt.Sprintf(" (and %d more)", more-1)
		}
	}
	return s.rejected.add(rec, first.column, first.value, first.reason)
}

// appendRow appends all values of a record.
func (s *copyStream) appendRow(buf []byte, rec *record) ([]byte, []problem) {
	p := s.plan
	var problems []problem
	for i := range p.Columns {
		c := &p.Columns[i]
		if i > 0 {
			buf = append(buf, '\t')
		}
		v := rec.fields[c.field]
		if p.missing(v) {
			buf = append(buf, '\\', 'N')
			continue
		}
		var reason string
		if buf, reason = c.appendValue(buf, v); reason != "" {
			problems = append(problems, problem{c.Header, string(v), reason})
		}
	}
	if len(s.key) > 0 && len(problems) == 0 {
		if reason := s.keyFlaw(rec); reason != "" {
			problems = append(problems, problem{p.keyHeaders(), p.keyOf(rec), reason})
		}
	}
	return buf, problems
}

func (p *Plan) missing(v []byte) bool {
	t := trimSpace(v)
	return len(t) == 0 || (len(t) <= maxNullWord && p.nulls[string(t)])
}

// maxKey is what an index of PostgreSQL takes, cautiously, in bytes.
const maxKey = 2000

// keyFlaw is why a record's key can't identify it.
func (s *copyStream) keyFlaw(rec *record) string {
	length := 0
	for _, k := range s.key {
		v := rec.fields[k.field]
		if s.plan.missing(v) {
			return "the key is missing"
		}
		length += len(v)
	}
	if length > maxKey {
		return fmt.Sprintf("the key is longer than %d bytes", maxKey)
	}
	return ""
}

// keyColumns are the key's columns, in its order.
func (p *Plan) keyColumns() []*Column {
	columns := make([]*Column, 0, len(p.Key))
	for _, name := range p.Key {
		i := slices.IndexFunc(p.Columns, func(c Column) bool { return c.Name == name })
		columns = append(columns, &p.Columns[i])
	}
	return columns
}

func (p *Plan) keyHeaders() string {
	var names []string
	for _, c := range p.keyColumns() {
		names = append(names, c.Header)
	}
	return strings.Join(names, ",")
}

func (p *Plan) keyOf(rec *record) string {
	var values []string
	for _, c := range p.keyColumns() {
		values = append(values, string(rec.fields[c.field]))
	}
	return strings.Join(values, ",")
}
