package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// fileSystem is what the journal needs of a disk: small enough that tests can make each call fail.
type fileSystem interface {
	// open opens a file of the folder for reading and writing and creates it when it is absent.
	open(name string) (file, error)
	// names lists the folder's files, sorted.
	names() ([]string, error)
	// sync makes the folder's own entries durable.
	sync() error
	// lock keeps other processes from the folder until unlock is called.
	lock() (unlock func() error, err error)
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

type folder struct{ path string }

func (f folder) open(name string) (file, error) {
	return os.OpenFile(filepath.Join(f.path, name), os.O_RDWR|os.O_CREATE, 0o600)
}

func (f folder) names() ([]string, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

func (f folder) sync() error {
	d, err := os.Open(f.path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f folder) lock() (func() error, error) {
	l, err := os.OpenFile(filepath.Join(f.path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(l.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("%s is in use by another sandbox: stop it, or choose another folder (%w)", f.path, err)
	}
	return l.Close, nil
}

const segmentSuffix = ".mail"

func segmentName(number int) string { return fmt.Sprintf("%08d%s", number, segmentSuffix) }

// segmentNumbers are the segments among the names, which are sorted.
func segmentNumbers(names []string) ([]int, error) {
	var numbers []int
	for _, name := range names {
		if !strings.HasSuffix(name, segmentSuffix) {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(name, "%08d"+segmentSuffix, &n); err != nil || segmentName(n) != name {
			return nil, fmt.Errorf("%s: not a file of the sandbox: move it away", name)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
