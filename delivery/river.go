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
	"github.com/riverqueue/river/rivertype"
)

type pgxTx = pgx.Tx

// SendArgs wakes a worker for one batch. The job is no guard against anything: the lease on the batch is.
type SendArgs struct {
	Batch   int64  `json:"batch" river:"unique"`
	Channel string `json:"channel"`
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
	Batch   int64
	Channel string
	DueAt   time.Time
}

// WakeTx inserts jobs for batches that have none yet: batches that were just made.
func (q *Queue) WakeTx(ctx context.Context, tx pgx.Tx, batches []Wakeup) error {
	if len(batches) == 0 {
		return nil
	}
	if _, err := q.client.InsertManyFastTx(ctx, tx, wakeParams(batches, false, q.now())); err != nil {
		return fmt.Errorf("insert send jobs: %w", err)
	}
	return nil
}

// wakeAgain inserts jobs for batches that may have one already; those are left alone.
func wakeAgain(ctx context.Context, client *river.Client[pgxTx], batches []Wakeup, now time.Time) error {
	if len(batches) == 0 {
		return nil
	}
	if _, err := client.InsertMany(ctx, wakeParams(batches, true, now)); err != nil {
		return fmt.Errorf("insert send jobs: %w", err)
	}
	return nil
}

// wakeParams turns due times, which are business time, into waits: River knows only its own clock.
func wakeParams(batches []Wakeup, unique bool, now time.Time) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(batches))
	for i, b := range batches {
		opts := &river.InsertOpts{Queue: b.Channel, MaxAttempts: 3}
		if wait := b.DueAt.Sub(now); wait > 0 {
			opts.ScheduledAt = time.Now().Add(wait)
		}
		if unique {
			opts.UniqueOpts = river.UniqueOpts{ByArgs: true, ByQueue: true, ByState: []rivertype.JobState{
				rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
				rivertype.JobStateRunning, rivertype.JobStateScheduled}}
		}
		params[i] = river.InsertManyParams{Args: SendArgs{Batch: b.Batch, Channel: b.Channel}, InsertOpts: opts}
	}
	return params
}

// startRiver starts the client that works jobs: one queue per channel, as wide as its connections.
func (e *Engine) startRiver(ctx context.Context, more func(*river.Workers)) (*river.Client[pgxTx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &sendWorker{engine: e})
	queues := map[string]river.QueueConfig{}
	for name, a := range e.Accounts {
		queues[name] = river.QueueConfig{MaxWorkers: a.connections()}
	}
	if more != nil {
		more(workers)
		queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: 4}
	}
	client, err := river.NewClient(riverpgxv5.New(e.Pool), &river.Config{
		Schema:            e.DBSchema,
		Queues:            queues,
		Workers:           workers,
		FetchCooldown:     5 * time.Millisecond,
		FetchPollInterval: time.Second,
		JobTimeout:        -1, // a batch takes as long as its rate says; the lease guards it
		Logger:            e.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("open job queue: %w", err)
	}
	e.client = client
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("start workers: %w", err)
	}
	return client, nil
}

func (a Account) connections() int {
	if a.Connections > 0 {
		return a.Connections
	}
	return DefaultConnections
}

type sendWorker struct {
	river.WorkerDefaults[SendArgs]
	engine *Engine
}

// Work sends one batch. Its errors are only those of the database; everything else is recorded in the ledger.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[SendArgs]) error {
	return w.engine.sendBatch(ctx, job.Args.Batch)
}
