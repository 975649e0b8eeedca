package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/pg"
)

// verdicts are all that a message can have.
var verdicts = []channels.Verdict{
	channels.VerdictAccepted, channels.VerdictPermanent, channels.VerdictSuppress, channels.VerdictRetry,
	channels.VerdictUnknown, channels.VerdictUnavailable,
}

const (
	// lookEvery bounds how often the ledger is asked, however many ask us.
	lookEvery = 5 * time.Second
	// lookFor bounds how long that may take; Prometheus waits ten seconds for everything.
	lookFor = 3 * time.Second
)

// ledger asks the database where work stands.
type ledger struct {
	db  pg.DBTX
	now func() time.Time // business time
	log *slog.Logger

	mu     sync.Mutex
	looked time.Time
	found  []finding
	up     bool

	ups       *prometheus.Desc
	questions []question
}

// question is a metric and the statement that reads it: values with their labels before them. @now is business time.
type question struct {
	metric *prometheus.Desc
	labels int
	sql    string
}

type finding struct {
	metric *prometheus.Desc
	value  float64
	labels []string
}

// Ledger adds what the database says: the same from every process on it. now is business time. Where the database does
// not answer within three seconds, there is only sapa_ledger_up 0.
func (m *Metrics) Ledger(db pg.DBTX, now func() time.Time, log *slog.Logger) {
	m.registry.MustRegister(&ledger{
		db: db, now: now, log: log, ups: desc("ledger_up", "1 when the database has answered what follows."), questions: questions(),
	})
}

func questions() []question {
	return []question{
		{desc("ledger_messages", "Messages of all runs, by their state.", "state"), 1, `
			select s.state, coalesce(sum(t.delta), 0)::float8
			from unnest(enum_range(null::message_state)::text[]) s(state) left join run_totals t on t.state = s.state
			group by s.state`},
		{desc("open_run_messages", "Messages of runs that are under way, by channel and state.", "channel", "state"), 2, `
			select b.channel, t.state, sum(t.delta)::float8
			from runs r
			join run_totals t on t.run_id = r.id
			cross join lateral (select channel from batches where run_id = r.id and not done limit 1) b
			where r.state in ('planning', 'sending', 'paused') and t.state not in ('audience', 'already', 'rung')
			group by b.channel, t.state`},
		{desc("runs", "Runs that are under way, by their state.", "state"), 1, `
			select s.state, count(r.id)::float8
			from unnest(array['planning', 'sending', 'paused']) s(state) left join runs r on r.state::text = s.state and r.state in ('planning', 'sending', 'paused')
			group by s.state`},
		{desc("batches", "Batches with messages left: in the hands of a worker, due, planned for later, or of a run that does not send.", "channel", "state"), 2, `
			select b.channel,
			       case when b.worker is not null then 'taken' when r.state <> 'sending' then 'stopped' when b.due_at <= @now then 'due' else 'later' end,
			       count(*)::float8
			from batches b join runs r on r.id = b.run_id
			where not b.done
			group by 1, 2`},
		{desc("oldest_due_seconds", "How long the oldest batch that is due has been waiting for a worker.", "channel"), 1, `
			select b.channel, extract(epoch from max(@now::timestamptz - b.due_at))::float8
			from batches b join runs r on r.id = b.run_id
			where not b.done and b.worker is null and r.state = 'sending' and b.due_at <= @now
			group by b.channel`},
		{desc("workers", "Processes that send, by their heartbeats."), 0, `
			select count(*)::float8 from workers where stopped_at is null and heartbeat_at > clock_timestamp() - interval '30 seconds'`},
		{desc("worker_heartbeat_age_seconds", "The oldest heartbeat among workers that nobody has declared dead."), 0, `
			select coalesce(extract(epoch from max(clock_timestamp() - heartbeat_at)), 0)::float8 from workers where stopped_at is null`},
		{desc("schedule_lag_seconds", "How long the oldest tick of a schedule has been waiting for its run."), 0, `
			select coalesce(extract(epoch from max(@now::timestamptz - next_at)), 0)::float8 from schedules where next_at <= @now`},
		{desc("quarantined_campaigns", "Campaigns that are not started until somebody looks: see sapa status."), 0, `
			select count(*)::float8 from quarantines`},
		{desc("reports_open", "Providers' reports that wait for a message's state to settle."), 0, `
			select count(*)::float8 from delivery_reports where open`},
		{desc("river_jobs", "Jobs in River's table, by queue and state.", "queue", "state"), 2, `
			select queue, state::text, count(*)::float8 from river_job group by queue, state`},
	}
}

// Describe is for prometheus.Collector.
func (l *ledger) Describe(ch chan<- *prometheus.Desc) {
	ch <- l.ups
	for _, q := range l.questions {
		ch <- q.metric
	}
}

// Collect is for prometheus.Collector.
func (l *ledger) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.looked) >= lookEvery {
		l.look()
	}
	ch <- prometheus.MustNewConstMetric(l.ups, prometheus.GaugeValue, truth(l.up))
	for _, f := range l.found {
		ch <- prometheus.MustNewConstMetric(f.metric, prometheus.GaugeValue, f.value, f.labels...)
	}
}

func (l *ledger) look() {
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	found, err := l.ask(ctx)
	if err != nil {
		l.log.Warn("metrics of the ledger", slog.Any("error", err))
	}
	l.found, l.up, l.looked = found, err == nil, time.Now()
}

// ask reads all answers in one round trip.
func (l *ledger) ask(ctx context.Context) (found []finding, err error) {
	var b pgx.Batch
	for _, q := range l.questions {
		b.Queue(q.sql, pgx.NamedArgs{"now": l.now()})
	}
	results := l.db.SendBatch(ctx, &b)
	defer func() {
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
	}()
	for _, q := range l.questions {
		rows, err := results.Query()
		if err != nil {
			return nil, err
		}
		answers, err := pgx.CollectRows(rows, q.scan)
		if err != nil {
			return nil, err
		}
		found = append(found, answers...)
	}
	return found, nil
}

func (q question) scan(row pgx.CollectableRow) (finding, error) {
	f := finding{metric: q.metric, labels: make([]string, q.labels)}
	targets := make([]any, 0, q.labels+1)
	for i := range f.labels {
		targets = append(targets, &f.labels[i])
	}
	return f, row.Scan(append(targets, &f.value)...)
}
