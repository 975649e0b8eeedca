package importer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Source is a file that can be read several times.
type Source struct {
	Name string // as its author knows it: the path, or "standard input"

	path  string
	spool bool // path is our temporary copy
	size  int64
	mod   time.Time
	gzip  bool
}

// Open makes a Source of a path, or of stdin where the path is "-". What can be read only once (standard input, a pipe) is
// copied to a temporary file first. Close removes that copy. What is no CSV file at all (a workbook, an empty file) is an
// error that says how to mend it.
func Open(path string, stdin io.Reader) (*Source, error) {
	src, err := openSource(path, stdin)
	if err != nil {
		return nil, err
	}
	if err := src.sniff(); err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return src, nil
}

func openSource(path string, stdin io.Reader) (*Source, error) {
	if path == "-" {
		return spool("standard input", stdin)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s; name a CSV file, or - for standard input", path)
	case err != nil:
		return nil, fmt.Errorf("open the file to import: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name one CSV file", path)
	case info.Mode().IsRegular():
		return &Source{Name: path, path: path, size: info.Size(), mod: info.ModTime()}, nil
	}
	pipe, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the file to import: %w", err)
	}
	defer func() { _ = pipe.Close() }()
	return spool(path, pipe)
}

// spool copies what can be read only once.
func spool(name string, in io.Reader) (src *Source, err error) {
	f, err := os.CreateTemp("", "sapa-import-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary copy of %s: %w", name, err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = e
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	size, err := io.Copy(f, in)
	if err != nil {
		return nil, fmt.Errorf("make a temporary copy of %s (%d bytes so far): %w", name, size, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &Source{Name: name, path: f.Name(), spool: true, size: size, mod: info.ModTime()}, nil
}

// Close removes the temporary copy, if there is one.
func (s *Source) Close() error {
	if !s.spool {
		return nil
	}
	return os.Remove(s.path)
}

// Size is the number of bytes of the file, compressed if it is.
func (s *Source) Size() int64 { return s.size }

// sniff tells by the first bytes whether the file is compressed or no text at all.
func (s *Source) sniff() error {
	f, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("open the file to import: %w", err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 8)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", s.Name, err)
	}
	head = head[:n]
	switch {
	case n == 0:
		return fmt.Errorf("%s is empty", s.Name)
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		s.gzip = true
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return fmt.Errorf("%s is a workbook or a zip archive, not a CSV file: save the sheet as CSV, or unpack the archive", s.Name)
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return fmt.Errorf("%s is an old Excel workbook, not a CSV file: save the sheet as CSV", s.Name)
	}
	return nil
}

// unchanged makes sure that a second reading sees what the first one saw.
func (s *Source) unchanged() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("open the file to import: %w", err)
	}
	if info.Size() != s.size || !info.ModTime().Equal(s.mod) {
		return fmt.Errorf("%s has changed since it was read: import it again", s.Name)
	}
	return nil
}

// rejectsPath is where rejects go when nobody says otherwise: beside the file, or for standard input in the current folder.
func (s *Source) rejectsPath() string {
	if s.spool {
		return "stdin.rejects.csv"
	}
	return filepath.Clean(s.path) + ".rejects.csv"
}

const blockSize = 256 << 10

// read opens the content, unpacked, and reports progress at each block.
func (s *Source) read(ctx context.Context, phase string, report func(Progress)) (io.ReadCloser, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("open the file to import: %w", err)
	}
	counted := &countingReader{ctx: ctx, in: f, report: report, progress: Progress{Phase: phase, Total: s.size}}
	content := &content{Reader: counted, file: f, name: s.Name}
	if !s.gzip {
		return content, nil
	}
	unpacked, err := gzip.NewReader(bufio.NewReaderSize(counted, blockSize))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unpack %s: %w", s.Name, err), f.Close())
	}
	content.Reader = unpacked
	return content, nil
}

// content names the file in errors of reading and closes it.
type content struct {
	io.Reader
	file *os.File
	name string
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read %s: %w", c.name, err)
	}
	return n, err
}

func (c *content) Close() error { return c.file.Close() }

// countingReader reports progress and ends when ctx does.
type countingReader struct {
	ctx      context.Context //nolint:containedctx // io.Reader has no place for it
	in       io.Reader
	report   func(Progress)
	progress Progress
}

func (r *countingReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(p)
	r.progress.Done += int64(n)
	if r.report != nil {
		r.report(r.progress)
	}
	return n, err
}
