package response

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// Writers knows who has written to us. It is safe for concurrent use.
type Writers struct {
	channel string
	db      func() pg.DBTX

	mu     sync.Mutex
	hasher *customer.Hasher
}

// NewWriters makes the Writers of a channel. db is asked for the database when it is needed.
func NewWriters(channel string, db func() pg.DBTX) *Writers {
	return &Writers{channel: channel, db: db}
}

// WroteSince says whether a message came from the normalised address since a time, whatever became of it.
func (w *Writers) WroteSince(ctx context.Context, address string, since time.Time) (wrote bool, err error) {
	hasher, err := w.load(ctx)
	if err != nil {
		return false, err
	}
	err = w.db().QueryRow(ctx, `select exists (select from inbound where channel = $1 and sender_hash = $2 and at >= $3)`,
		w.channel, hasher.Hash(w.channel, address), since).Scan(&wrote)
	if err != nil {
		return false, fmt.Errorf("look up the last message on %s: %w", w.channel, err)
	}
	return wrote, nil
}

func (w *Writers) load(ctx context.Context) (*customer.Hasher, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hasher == nil {
		hasher, err := customer.LoadHasher(ctx, w.db())
		if err != nil {
			return nil, err
		}
		w.hasher = hasher
	}
	return w.hasher, nil
}
