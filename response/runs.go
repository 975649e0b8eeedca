package response

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// runInfo is what a message's run says about it.
type runInfo struct {
	ID      int32
	Version int32
	Topic   string
	base    int64
	count   int64
}

// errNoMessage: no run has a message of this id, though its token is ours: a test message, or another database's.
var errNoMessage = errors.New("no such message")

// runCache finds the run of a message by the range of ids that its run owns. Runs
// never change in what it keeps but that some grow, so entries stay; their number is bounded by runs that anybody still clicks on.
type runCache struct {
	db    pg.DBTX
	mu    sync.RWMutex
	byKey map[int64]runInfo
}

const (
	runShift    = 28 // message ids: month << 44 | run & 65535 << 28 | position, see 0001_ledger.sql
	maxRunsKept = 10_000
)

func newRunCache(db pg.DBTX) *runCache {
	return &runCache{db: db, byKey: map[int64]runInfo{}}
}

// of returns the run of a message, or errNoMessage.
func (c *runCache) of(ctx context.Context, messageID int64) (runInfo, error) {
	key := messageID >> runShift
	c.mu.RLock()
	run, ok := c.byKey[key]
	c.mu.RUnlock()
	if !ok || messageID > run.base+run.count { // a run to which events or rungs have added messages
		var err error
		if run, err = c.load(ctx, messageID); err != nil {
			return runInfo{}, err
		}
	}
	if messageID <= run.base || messageID > run.base+run.count {
		return runInfo{}, errNoMessage
	}
	return run, nil
}

func (c *runCache) load(ctx context.Context, messageID int64) (runInfo, error) {
	var r runInfo
	err := c.db.QueryRow(ctx, `
		select r.id, r.version_id, v.topic, r.message_base, r.message_count
		from runs r join versions v on v.id = r.version_id
		where r.message_base < $1 and $1 <= r.message_base + r.message_count`, messageID).
		Scan(&r.ID, &r.Version, &r.Topic, &r.base, &r.count)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, errNoMessage
	}
	if err != nil {
		return r, fmt.Errorf("find the run of message %d: %w", messageID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byKey) >= maxRunsKept {
		clear(c.byKey)
	}
	c.byKey[messageID>>runShift] = r
	return r, nil
}
