package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// rejects writes the rows that can't be loaded: line, column, value, reason and the record as it was written. The file
// appears whole or not at all, and only when there is a row in it. It can hold personal data: only its owner may read it.
type rejects struct {
	path string
	file *os.File
	out  *csv.Writer
	n    int64
}

func (p *Plan) newRejects() (*rejects, error) {
	path := p.opts.Rejects
	if path == "" {
		path = p.Source.rejectsPath()
	}
	info, err := os.Stat(path)
	if err != nil {
		return &rejects{path: path}, nil // not there, or told when it is written
	}
	source, err := os.Stat(p.Source.path)
	if err == nil && os.SameFile(info, source) {
		return nil, fmt.Errorf("the file of rejects %s is the file to import: name another", path)
	}
	return &rejects{path: path}, nil
}

// add writes one row.
func (r *rejects) add(rec *record, column, value, reason string) error {
	if r.file == nil {
		if err := r.create(); err != nil {
			return err
		}
	}
	r.n++
	err := r.out.Write([]string{strconv.Itoa(rec.line), column, printable(value), reason, printable(string(rec.raw))})
	if err != nil {
		return fmt.Errorf("write the file of rejects %s: %w", r.path, err)
	}
	return nil
}

func (r *rejects) create() error {
	f, err := os.CreateTemp(filepath.Dir(r.path), "."+filepath.Base(r.path)+"-*")
	if err != nil {
		return fmt.Errorf("make a file for rejected rows (--rejects FILE names another place): %w", err)
	}
	r.file, r.out = f, csv.NewWriter(f)
	return r.out.Write([]string{"line", "column", "value", "reason", "record"})
}

// finish makes sure that everything is on the disk, still under a temporary name.
func (r *rejects) finish() error {
	if r.file == nil {
		return nil
	}
	r.out.Flush()
	if err := errors.Join(r.out.Error(), r.file.Sync()); err != nil {
		return fmt.Errorf("write the file of rejects %s: %w", r.path, err)
	}
	return nil
}

// publish gives the file its name.
func (r *rejects) publish() error {
	if r.file == nil {
		return nil
	}
	if err := os.Rename(r.file.Name(), r.path); err != nil {
		return fmt.Errorf("name the file of rejects, which is %s now: %w", r.file.Name(), err)
	}
	return nil
}

// close removes what was not published.
func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	if e := os.Remove(r.file.Name()); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// printable is the text without what no CSV reader likes.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
