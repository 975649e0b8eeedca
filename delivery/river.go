package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

type pgxTx = pgx.Tx

// SendArgs wakes a worker for one batch. The job is no guard against anything: the lease on the batch is.
type SendArgs struct {
	Batch     int64  `json:"batch"`
	Channel   string `json:"channel"`
	Lane      string `json:"lane,omitempty"`
	Triggered bool   `json:"triggered,omitempty"`
}

// queue is where the job waits: triggered messages never behind others, and nobody behind those of a lane.
func (a SendArgs) queue() string {
	switch {
	case a.Triggered:
		return a.Channel + "-triggered"
	case a.Lane != "":
		return a.Channel + "-lanes"
	}
	return a.Channel
}

// Kind names the job.
func (SendArgs) Kind() string { return "send_batch" }

// Queue inserts jobs without working them.
type Queue struct {
	client *river.Client[pgxTx]
	now    func() time.Time
}

// NewQueue prepares inserting into the River tables of a schema. now is business time.
func NewQueue(pool *pgxpool.Pool, schema string, now func() time.Time) (*Queue, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("open job queue: %w", err)
	}
	return &Queue{client, now}, nil
}

// InsertTx adds one job of any kind with its transaction.
func (q *Queue) InsertTx(ctx context.Context, tx pgx.Tx, args river.JobArgs, opts *river.InsertOpts) error {
	if _, err := q.client.InsertTx(ctx, tx, args, opts); err != nil {
		return fmt.Errorf("insert %s job: %w", args.Kind(), err)
	}
	return nil
}

// Wakeup is a batch and when a worker should look at it.
type Wakeup struct {
	Batch     int64
	Channel   string
	Lane      string
	DueAt     time.Time
	Triggered bool
	Priority  int16 // of the job: 1 goes first, 4 last
}

// WakeTx inserts jobs for batches with their transaction.
func (q *Queue) WakeTx(ctx context.Context, tx pgx.Tx, batches []Wakeup) error {
	if len(batches) == 0 {
		return nil
	}
	if _, err := q.client.InsertManyFastTx(ctx, tx, wakeParams(batches, q.now())); err != nil {
		return fmt.Errorf("insert send jobs: %w", err)
	}
	return nil
}

func wake(ctx context.Context, client *river.Client[pgxTx], batches []Wakeup, now time.Time) error {
	if len(batches) == 0 {
		return nil
	}
	if _, err := client.InsertManyFast(ctx, wakeParams(batches, now)); err != nil {
		return fmt.Errorf("insert send jobs: %w", err)
	}
	return nil
}

// wakeParams turns due times, which are business time, into waits: River knows only its own clock. Jobs are not unique:
// one too many does nothing.
func wakeParams(batches []Wakeup, now time.Time) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(batches))
	for i, b := range batches {
		args := SendArgs{Batch: b.Batch, Channel: b.Channel, Lane: b.Lane, Triggered: b.Triggered}
		opts := &river.InsertOpts{Queue: args.queue(), MaxAttempts: 3, Priority: int(b.Priority)}
		if wait := b.DueAt.Sub(now); wait > 0 {
			opts.ScheduledAt = time.Now().Add(wait)
		}
		params[i] = river.InsertManyParams{Args: args, InsertOpts: opts}
	}
	return params
}

// jobTimeout ends jobs that River still counts as running long after their process died. A batch that really takes so
// long is given back and taken again.
const jobTimeout = 24 * time.Hour

// batchesAtOnce is how many batches of an account a process sends at the same time: while one is claimed and filled,
// others have its sessions.
const batchesAtOnce = 4

// newRiver makes the client that works jobs: one queue per channel.
func (e *Engine) newRiver(more func(*river.Workers)) (*river.Client[pgxTx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &sendWorker{engine: e})
	queues := map[string]river.QueueConfig{}
	for name, a := range e.Accounts {
		if name == laned { // also of throttles that sapa.yaml does not have any more
			queues[SendArgs{Channel: name, Lane: "*"}.queue()] = river.QueueConfig{MaxWorkers: laneWorkers * (1 + len(a.Throttles))}
		}
		queues[SendArgs{Channel: name}.queue()] = river.QueueConfig{MaxWorkers: batchesAtOnce}
		queues[SendArgs{Channel: name, Triggered: true}.queue()] = river.QueueConfig{MaxWorkers: batchesAtOnce}
	}
	if more != nil {
		more(workers)
		queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: 4}
		queues[EventQueue] = river.QueueConfig{MaxWorkers: batchesAtOnce}
	}
	client, err := river.NewClient(riverpgxv5.New(e.Pool), &river.Config{
		Schema:            e.DBSchema,
		Queues:            queues,
		Workers:           workers,
		FetchCooldown:     5 * time.Millisecond,
		FetchPollInterval: time.Second,
		JobTimeout:        jobTimeout,
		Logger:            e.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("open job queue: %w", err)
	}
	return client, nil
}

func (a Account) connections() int {
	if a.Connections > 0 {
		return a.Connections
	}
	return DefaultConnections
}

// EventQueue is where the jobs of events wait: never behind the plans of runs.
const EventQueue = "events"

type sendWorker struct {
	river.WorkerDefaults[SendArgs]
	engine *Engine
}

// Work sends one batch. Its errors are only those of the database; everything else is recorded in the ledger. River
// tries twice again after an error; what it then leaves, the sweep finds.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[SendArgs]) error {
	if wait := w.engine.rest(ctx, job.Args); wait > 0 {
		return river.JobSnooze(wait)
	}
	if job.Args.Lane != "" && !job.Args.Triggered {
		return w.engine.workLane(ctx, job.Args)
	}
	return w.engine.sendBatch(ctx, job.Args)
}

// rest is how long a job should wait before its batch is even taken: this process may hand over nothing, the database is not ours, or the
// provider is left alone. Nothing is written for it but the reason.
func (e *Engine) rest(ctx context.Context, job SendArgs) time.Duration {
	if e.node.life.Load().permit() != nil || e.foreign.Load() {
		return e.Lease.Heartbeat
	}
	l, wait, cause := e.way(job.Channel)
	if l != nil {
		return e.restWarm(ctx, job, l)
	}
	if wait > 0 {
		e.noteRest(ctx, job, cause.Error())
	}
	return wait
}

func (e *Engine) noteRest(ctx context.Context, job SendArgs, why string) {
	if err := e.noteBatch(ctx, job.Batch, why); err != nil {
		e.Log.Warn("note", slog.Int64("batch", job.Batch), slog.Any("error", err))
	}
}
