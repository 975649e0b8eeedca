package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxRecord bounds one record in bytes. A longer one, usually behind a quote that never ends, is rejected.
const maxRecord = 1 << 20

// record is one row of a file. Its slices are valid until the next call of next.
type record struct {
	line   int    // on which it begins, from 1
	raw    []byte // without its line end
	fields [][]byte
	flaw   string // why it can't be read, empty when it can
}

// csvReader reads records as RFC 4180 describes them, and forgives what is common: any line end, spaces around quotes,
// a quote inside a value that does not begin with one. encoding/csv is not used because a stray quote makes it swallow
// the rest of the file, and because rejects need the record as it was written.
type csvReader struct {
	in         io.Reader
	delimiter  byte
	buf        []byte
	start, end int
	eof        bool
	line       int
	scratch    []byte // unquoted values
	rec        record
	stop       [256]bool
}

func newCSVReader(in io.Reader, delimiter byte) *csvReader {
	r := &csvReader{in: in, delimiter: delimiter, buf: make([]byte, blockSize), line: 1}
	for _, c := range []byte{delimiter, '\r', '\n'} {
		r.stop[c] = true
	}
	return r
}

// next is the next record that is not a blank line, or io.EOF.
func (r *csvReader) next() (*record, error) {
	for {
		rec, err := r.any()
		if err != nil || len(rec.raw) > 0 {
			return rec, err
		}
	}
}

// any is the next record, blank lines included.
func (r *csvReader) any() (*record, error) {
	for {
		if r.start == r.end && r.eof {
			return nil, io.EOF
		}
		size, err := r.parse(r.buf[r.start:r.end])
		if err == nil {
			return r.accept(size), nil
		}
		if r.needsMore(err) {
			if err := r.fill(); err != nil {
				return nil, err
			}
			continue
		}
		if errors.Is(err, errMore) {
			err = fmt.Errorf("the record is longer than %d bytes: is a quote missing?", maxRecord)
		}
		return r.skipLine(err)
	}
}

// needsMore tells whether the buffer may still end too early: for the record, or for the line on which it fails.
func (r *csvReader) needsMore(err error) bool {
	if r.eof || r.end-r.start >= maxRecord {
		return false
	}
	_, whole := firstLine(r.buf[r.start:r.end])
	return errors.Is(err, errMore) || !whole
}

// firstLine is the line with its end; whole is false when more may belong to it.
func firstLine(b []byte) (line []byte, whole bool) {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0 || (b[i] == '\r' && i+1 == len(b)):
		return b, false
	case b[i] == '\r' && b[i+1] == '\n':
		i++
	}
	return b[:i+1], true
}

// accept takes the parsed record off the buffer.
func (r *csvReader) accept(size int) *record {
	whole := r.buf[r.start : r.start+size]
	r.start += size
	r.rec.line = r.line
	r.line += countLines(whole)
	r.rec.raw = trimLineEnd(whole)
	r.rec.flaw = ""
	if !utf8.Valid(r.rec.raw) {
		r.rec.flaw = "some bytes are not valid UTF-8"
	} else if bytes.IndexByte(r.rec.raw, 0) >= 0 {
		r.rec.flaw = "contains a NUL byte, which PostgreSQL can't store"
	}
	return &r.rec
}

// skipLine gives up on a record and goes on behind its first line.
func (r *csvReader) skipLine(flaw error) (*record, error) {
	raw, whole := firstLine(r.buf[r.start:r.end])
	r.rec = record{line: r.line, raw: bytes.Clone(trimLineEnd(raw)), flaw: flaw.Error(), fields: r.rec.fields[:0]}
	r.start += len(raw)
	r.line += countLines(raw)
	if whole || r.eof {
		return &r.rec, nil
	}
	return &r.rec, r.skipRest()
}

// skipRest goes behind the next line end.
func (r *csvReader) skipRest() error {
	for {
		if i := bytes.IndexByte(r.buf[r.start:r.end], '\n'); i >= 0 {
			r.start += i + 1
			r.line++
			return nil
		}
		r.start = r.end
		if r.eof {
			return nil
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// fill reads more behind what is there.
func (r *csvReader) fill() error {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := io.ReadAtLeast(r.in, r.buf[r.end:], 1)
	r.end += n
	if err == io.EOF {
		r.eof = true
		return nil
	}
	return err
}

// Why no record can be parsed.
var (
	errMore  = errors.New("more") // it does not end in what was read so far
	errQuote = errors.New("a quote inside a quoted value must be written twice")
	errOpen  = errors.New("a quoted value does not end")
)

// parse finds the first record of b and its length with the line end.
func (r *csvReader) parse(b []byte) (size int, err error) {
	r.rec.fields, r.scratch = r.rec.fields[:0], r.scratch[:0]
	at := 0
	for {
		value, end, err := r.value(b, at)
		if err != nil {
			return 0, err
		}
		r.rec.fields = append(r.rec.fields, value)
		switch {
		case end == len(b):
			if !r.eof {
				return 0, errMore
			}
			return end, nil
		case b[end] == r.delimiter:
			at = end + 1
		case b[end] == '\n':
			return end + 1, nil
		default: // '\r'
			if end+1 == len(b) && !r.eof {
				return 0, errMore
			}
			if end+1 < len(b) && b[end+1] == '\n' {
				return end + 2, nil
			}
			return end + 1, nil
		}
	}
}

// value reads the value that begins at b[at]; end is the place of the delimiter or line end behind it.
func (r *csvReader) value(b []byte, at int) (value []byte, end int, err error) {
	open := r.skipSpaces(b, at)
	if open < len(b) && b[open] == '"' {
		return r.quoted(b, open+1)
	}
	end = at
	for end < len(b) && !r.stop[b[end]] {
		end++
	}
	return b[at:end], end, nil
}

// quoted reads a value whose opening quote is behind us.
func (r *csvReader) quoted(b []byte, from int) (value []byte, end int, err error) {
	at, twice := from, false
	for {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 || (at+i+1 == len(b) && !r.eof) {
			return nil, 0, r.unfinished()
		}
		at += i + 1
		if at == len(b) || b[at] != '"' {
			break
		}
		at, twice = at+1, true
	}
	value = b[from : at-1]
	if twice {
		value = r.unescape(value)
	}
	end = r.skipSpaces(b, at)
	if end < len(b) && !r.stop[b[end]] {
		return nil, 0, errQuote
	}
	return value, end, nil
}

func (r *csvReader) unfinished() error {
	if r.eof {
		return errOpen
	}
	return errMore
}

// unescape makes one quote of two.
func (r *csvReader) unescape(value []byte) []byte {
	from := len(r.scratch)
	for {
		i := bytes.IndexByte(value, '"')
		if i < 0 {
			r.scratch = append(r.scratch, value...)
			return r.scratch[from:]
		}
		r.scratch = append(r.scratch, value[:i+1]...)
		value = value[i+2:]
	}
}

func (r *csvReader) skipSpaces(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t') && b[at] != r.delimiter {
		at++
	}
	return at
}

// countLines counts line ends, of any kind.
func countLines(b []byte) int {
	n := bytes.Count(b, []byte{'\n'})
	for {
		i := bytes.IndexByte(b, '\r')
		if i < 0 {
			return n
		}
		b = b[i+1:]
		if len(b) == 0 || b[0] != '\n' {
			n++
		}
	}
}

func trimLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}
