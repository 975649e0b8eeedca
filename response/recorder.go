package response

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/internal/pg"
)

// RecorderOptions are the settings of a Recorder; the zero value is right for most callers.
type RecorderOptions struct {
	Queue    int           // hits that may wait in memory, 0 = 32,768 (about 20 MB at the worst)
	Batch    int           // hits per commit at most, 0 = 2,000
	RetryFor time.Duration // how long a commit is tried again while PostgreSQL is away, 0 = 30 s
	// Burst: clicks on different links of one message that come closer together than this are a scanner's, 0 = 1 s,
	// negative = never.
	Burst time.Duration
	Log   *slog.Logger // nil: slog.Default()
}

func (o RecorderOptions) withDefaults() RecorderOptions {
	if o.Queue == 0 {
		o.Queue = 32_768
	}
	if o.Batch == 0 {
		o.Batch = 2_000
	}
	if o.RetryFor == 0 {
		o.RetryFor = 30 * time.Second
	}
	if o.Burst == 0 {
		o.Burst = time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Errors of Record.
var (
	// ErrDropped: the hit is lost, because the queue was full or PostgreSQL was away for too long.
	ErrDropped = errors.New("hit dropped")
	// ErrClosed: the recorder takes no more hits.
	ErrClosed = errors.New("recorder is closed")
)

// Stats counts what a Recorder did since it was made.
type Stats struct {
	Recorded int64 // hits that are durable
	Commits  int64 // transactions they took
	Late     int64 // hits whose answer went out before they were durable
	Dropped  int64 // hits lost
	Unknown  int64 // hits of messages that no run has: nothing to record
}

// Recorder writes hits to PostgreSQL, many per commit: while one transaction commits, the hits of the next gather. Its
// queue is bounded and nobody waits for room in it. A hit is written at least once: when a connection breaks after a
// commit was sent and before its answer came, the batch is written again, and its hits may count twice in totals; who
// responded, and so every unique count, stays right. It is safe for concurrent use.
type Recorder struct {
	pool *pgxpool.Pool
	runs *runCache
	opts RecorderOptions

	mu      sync.Mutex
	queue   []*batch // the last one still takes hits
	waiting int      // hits in queue and in the batch being written
	closed  bool

	wake  chan struct{} // capacity 1
	done  chan struct{} // closed when the writer has ended
	abort context.CancelFunc

	recorded, commits, late, dropped, unknown atomic.Int64
}

// batch is written in one transaction. err is set before done is closed.
type batch struct {
	hits []Hit
	done chan struct{}
	err  error
}

// NewRecorder starts a Recorder. Close ends it.
func NewRecorder(pool *pgxpool.Pool, opts RecorderOptions) *Recorder {
	ctx, abort := context.WithCancel(context.Background())
	r := &Recorder{
		pool: pool, runs: newRunCache(pool), opts: opts.withDefaults(),
		wake: make(chan struct{}, 1), done: make(chan struct{}), abort: abort,
	}
	go r.write(ctx)
	return r
}

// Record queues the hit and returns when it is durable. When ctx ends before, it returns the context's error and the hit
// is still written a little later. It never waits for room: ErrDropped says that there was none.
func (r *Recorder) Record(ctx context.Context, h Hit) error {
	h.UserAgent = clean(h.UserAgent)
	b, err := r.enqueue(h)
	if err != nil {
		return err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		r.late.Add(1)
		return ctx.Err()
	}
}

func (r *Recorder) enqueue(h Hit) (*batch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.dropped.Add(1)
		return nil, ErrClosed
	}
	if r.waiting >= r.opts.Queue {
		r.dropped.Add(1)
		return nil, ErrDropped
	}
	if n := len(r.queue); n == 0 || len(r.queue[n-1].hits) >= r.opts.Batch {
		r.queue = append(r.queue, &batch{done: make(chan struct{})})
	}
	b := r.queue[len(r.queue)-1]
	b.hits = append(b.hits, h)
	r.waiting++
	r.signal()
	return b, nil
}

func (r *Recorder) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counters.
func (r *Recorder) Stats() Stats {
	return Stats{
		Recorded: r.recorded.Load(), Commits: r.commits.Load(), Late: r.late.Load(),
		Dropped: r.dropped.Load(), Unknown: r.unknown.Load(),
	}
}

// Close takes no more hits, writes those that wait, and returns when that is done. When ctx ends before, what is left is
// dropped and counted, and the context's error returned. Where hits were late or lost, the counts are logged.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		defer r.logLosses()
	}
	r.closed = true
	r.signal()
	r.mu.Unlock()
	defer r.abort()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		r.abort()
		<-r.done
		return ctx.Err()
	}
}

func (r *Recorder) logLosses() {
	s := r.Stats()
	if s.Dropped == 0 && s.Late == 0 {
		return
	}
	r.opts.Log.Warn("hits were late or lost", slog.Int64("recorded", s.Recorded), slog.Int64("late", s.Late),
		slog.Int64("dropped", s.Dropped), slog.Int64("unknown", s.Unknown))
}

// write is the one writer. It ends when the recorder is closed and the queue is empty.
func (r *Recorder) write(ctx context.Context) {
	defer close(r.done)
	for {
		b, closed := r.next()
		switch {
		case b != nil:
			r.writeBatch(ctx, b)
		case closed:
			return
		default:
			<-r.wake
		}
	}
}

// next takes the oldest batch, nil when nothing waits.
func (r *Recorder) next() (b *batch, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return nil, r.closed
	}
	b = r.queue[0]
	r.queue = r.queue[1:]
	return b, r.closed
}

func (r *Recorder) writeBatch(ctx context.Context, b *batch) {
	b.err = r.persist(ctx, b.hits)
	r.mu.Lock()
	r.waiting -= len(b.hits)
	r.mu.Unlock()
	close(b.done)
}

// persist commits the hits, trying again for a while when PostgreSQL is away or busy. A hit whose data PostgreSQL refuses
// does not take the others with it. Where it refuses the statement, all are lost at once: waiting would not help.
func (r *Recorder) persist(ctx context.Context, hits []Hit) error {
	err := r.retry(ctx, hits)
	if err == nil {
		return nil
	}
	if misfit(err) && len(hits) > 1 {
		half := len(hits) / 2
		return errors.Join(r.persist(ctx, hits[:half]), r.persist(ctx, hits[half:]))
	}
	r.dropped.Add(int64(len(hits)))
	r.opts.Log.Error("hits dropped", slog.Int("hits", len(hits)), slog.Int64("first_message", hits[0].MessageID), slog.Any("error", err))
	return errors.Join(ErrDropped, err)
}

func (r *Recorder) retry(ctx context.Context, hits []Hit) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.RetryFor)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := r.commit(ctx, hits)
		if err == nil || pg.Refused(err) || ctx.Err() != nil {
			return err
		}
		r.opts.Log.Warn("hits wait for PostgreSQL", slog.Int("hits", len(hits)), slog.Any("error", err))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// misfit tells whether the data of a hit is the trouble (SQLSTATE classes 22 and 23), so that the others may pass.
func misfit(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code[:2] == "22" || pgErr.Code[:2] == "23")
}
