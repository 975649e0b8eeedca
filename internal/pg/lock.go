package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// fileLock is an flock(2) on a file. It is gone with the process that holds it, however that ends.
type fileLock struct{ f *os.File }

func openLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w\n  the folder %s belongs to another user: name one of your own with SAPA_PG_DIR", err, filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	return &fileLock{f: f}, nil
}

// try takes the lock shared (LOCK_SH) or alone (LOCK_EX) and says whether it got it.
func (l *fileLock) try(how int) (bool, error) {
	for {
		err := syscall.Flock(int(l.f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, fmt.Errorf("lock %s: %w", l.f.Name(), err)
		}
	}
}

// wait takes the lock as soon as it is free, or gives up when ctx ends. The kernel can't wait for both, so it asks.
func (l *fileLock) wait(ctx context.Context, how int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := l.try(how); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another Sapa that starts or stops PostgreSQL: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func (l *fileLock) close() error { return l.f.Close() }
