// Package delivery takes planned messages to their people: claim → fill → open → hand over → record.
//
//	lease      a River job wakes a worker for one batch, a range of a run's messages; the batch's (worker, epoch) is the lease
//	claim      messages of the batch become claimed, committed, after run state, consent, suppression, limits and not_after were checked
//	fill       their values are read from the company's tables and the templates rendered
//	open       the ledger learns, committed, up to where they may be handed over: 64 of a process at a time
//	hand over  the sessions of the account's line take them one by one, each after a last look at lease and run state
//	record     verdicts become states, attempts, totals and suppressions, in the statement that opens the next ones
//
// The ledger (tables occasions, messages, attempts) is the truth; River only wakes workers, and a sweep wakes them again.
// docs/delivery.md has the states and the reasoning for each point at which a process can die.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/segment"
	"github.com/sapa-crm/sapa/templates"
)

// Content is what an applied version sends: its templates and how its rows are named.
type Content struct {
	Campaign string
	Topic    string
	Confirms bool               // it asks those whose consent to the topic is pending to confirm it, and nobody else
	Each     *customer.Relation // nil: the audience is customers
	EachName string             // "vehicle"
	Merged   bool               // several rows in one message, as a list named Each.Name
	Event    *customer.Entity   // that triggers the campaign; nil: none does
	Email    *Email             // of one or more channels, whatever the campaign goes by
	SMS      *SMS
	Others   map[string]*Parts // by channel

	Safeguards Safeguards
	Limits     Limits
	Seeds      map[string][]string // by channel: addresses that get one copy of each run
}

// Email is the content of a version's e-mail.
type Email struct {
	Subject, HTML, Text *templates.Template // HTML may be nil, Text may be nil where HTML is given
	ReplyTo             string
}

// SMS is the content of a version's text message.
type SMS struct {
	Text *templates.Template
}

// Library finds the content of applied versions; it may keep them, since versions never change.
type Library interface {
	Content(ctx context.Context, version int) (*Content, error)
	// Still says which of a run's customers, and which of their rows of `each`, the run's rule means now. It is an error to ask it
	// of a run that events trigger.
	Still(ctx context.Context, run int, customers []string) ([]segment.Key, error)
	// StillByEvent is Still for the customer of an event that triggered messages of the run.
	StillByEvent(ctx context.Context, run int, event int64) ([]segment.Key, error)
}

// Account is one configured channel: the provider and our limits on using it.
type Account struct {
	Channel     channels.Channel
	From        channels.Address
	ReplyTo     string
	Rate        float64 // messages per second of all processes together; 0 is unlimited
	Connections int     // sessions at the same time in this process; 0 is DefaultConnections

	WarmUp    *customer.WarmUp   // nil: the account is used to what it gets
	Throttles customer.Throttles // what recipients' servers take, of both accounts together
	// Fallback is a second account for what this one can't send, because its breaker has been open for a while or it refuses
	// our credentials; nil: there is none. It has no throttles and no fallback of its own.
	Fallback *Account
	// Addressless says that messages go to somebody of the company, or to a program, and need no address of the customer.
	Addressless bool
	// Internal says that people of the company read the messages, and the customer never: consent is not asked.
	Internal bool
	// Repeatable says that handing a message over twice does no harm: the provider knows it again by its id. What a process
	// held that died is then planned again, and never unknown.
	Repeatable bool
}

// DefaultConnections is how many sessions a process keeps to one account where sapa.yaml says nothing.
const DefaultConnections = 8

// Config is everything an Engine needs; the fields from Log on may be left out.
type Config struct {
	Pool     *pgxpool.Pool
	DBSchema string // Sapa's schema, for River's tables
	Schema   *customer.Schema
	Accounts map[string]Account // by channel name
	Library  Library
	URLs     *response.URLs
	Log      *slog.Logger
	Now      func() time.Time // business time: not_before, not_after, dates of messages; never leases
	// Drain is how long a stopping process waits for the replies to what it handed over; default 25 s.
	Drain time.Duration
	// Patience is how long an account can't be used before messages go by its fallback; default 10 s.
	Patience time.Duration
	Lease    Lease
	Waits    Waits
	Meter    Meter // nil: nobody watches
	Fault    Fault // for drills that must fail
}

// Engine sends what is due until its context ends. Any number of engines, in any number of processes, share the work.
// An engine runs once.
type Engine struct {
	Config
	books     *pgxpool.Pool // for the ledger's statements
	node      *node
	gate      *gate
	guard     *guard
	foreign   atomic.Bool // the database is not ours, by the last look
	seeded    seeded
	lines     map[string]*line // by channel
	window    *window
	throttles map[string]throttles // by channel
	lanes     lanes
	client    *river.Client[pgxTx]
	held      holdings
	running   atomic.Pointer[running] // nil before it works
	stopping  chan struct{}           // closed when nothing new may be claimed
	over      chan struct{}           // closed when nothing is waited for any more
}

// New checks the configuration.
func New(cfg Config) (*Engine, error) {
	if cfg.Pool == nil || cfg.Schema == nil || cfg.Library == nil || cfg.URLs == nil {
		return nil, errors.New("delivery.New: Pool, Schema, Library and URLs are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Drain == 0 {
		cfg.Drain = 25 * time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Meter == nil {
		cfg.Meter = unmetered{}
	}
	cfg.Lease = cfg.Lease.withDefaults()
	if err := cfg.Lease.check(); err != nil {
		return nil, err
	}
	cfg.Waits = cfg.Waits.withDefaults()
	zone, err := time.LoadLocation(cfg.Schema.Zone)
	if err != nil {
		return nil, fmt.Errorf("delivery.New: the company's time zone: %w", err)
	}
	e := &Engine{
		Config: cfg, lines: map[string]*line{}, window: newWindow(), throttles: map[string]throttles{},
		stopping: make(chan struct{}), over: make(chan struct{}), guard: newGuard(),
	}
	for name, a := range cfg.Accounts {
		e.lines[name] = newLines(name, a, zone, cfg)
		e.throttles[name] = newThrottles(name, a.Throttles, cfg.Pool)
		for l := range e.lines[name].all() {
			e.window.admit(l.places)
		}
		e.window.admitLanes(lanesOf(name), lanePlaces(a.Throttles))
	}
	return e, nil
}

// Run works until the context ends, then stops claiming, waits for the replies to what was handed over, releases the
// rest and returns. more, which may be nil, registers further kinds of jobs with the same River client.
func (e *Engine) Run(ctx context.Context, more func(*river.Workers)) error {
	err := patiently(ctx, func() error { return CheckInstallation(ctx, e.Pool) })
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it began
		}
		return err
	}
	lifeline, err := e.openPools(ctx)
	if err != nil {
		return err
	}
	defer closePool(lifeline)
	defer closePool(e.books)
	free := context.WithoutCancel(ctx)
	err = patiently(ctx, func() (err error) { e.node, err = startNode(ctx, lifeline, e.Lease, e.Log); return err })
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it began
		}
		return err
	}
	e.running.Store(&running{e.node, map[string]*pgxpool.Pool{"books": e.books, "lifeline": lifeline}})
	e.gate = newGate(lifeline)
	sending, stopSending := until(free, e.stopping)
	defer stopSending()
	for l := range e.allLines() {
		go l.run(sending)
		if l.second != nil {
			go l.probeLoop(sending)
		}
	}
	startErr := patiently(ctx, func() error { return e.startRiver(free, more) })
	background, stopBackground := context.WithCancel(free)
	defer stopBackground()
	ended := e.startBackground(background)
	if startErr == nil {
		<-ctx.Done()
		e.Log.Info("stopping", slog.Duration("drain", e.Drain))
	}
	close(e.stopping)
	err = errors.Join(startErr, e.stopRiver(free))
	close(e.over)
	for l := range e.allLines() {
		l.close()
	}
	for _, t := range e.throttles {
		t.close()
	}
	stopBackground()
	<-ended
	e.guardRuns(free, e.guard.take(nil, time.Now()))
	e.closeSessions()
	e.unpackWarmUps(free)
	return errors.Join(err, e.signOff(free))
}

// How many connections to the database an engine keeps for itself, beside those of Config.Pool.
const (
	lifelineConns = 2 // heartbeats, and whether runs may go on: they must not queue behind work
	booksConns    = 4 // claims and verdicts: they must not queue behind the company's tables
)

// openPools opens the engine's own connections. The books' are few, however many sessions there are, because that is
// what a database does most work with, their statements keep the plans that they were first given, and a commit is durable whatever the
// database's own setting: what is handed over rests on it.
func (e *Engine) openPools(ctx context.Context) (lifeline *pgxpool.Pool, err error) {
	open := func(conns int32, params map[string]string) (*pgxpool.Pool, error) {
		cfg := e.Pool.Config()
		cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = conns, 0, 0
		maps.Copy(cfg.ConnConfig.RuntimeParams, params)
		cfg.AfterConnect = knowsHome
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return nil, fmt.Errorf("open connections of the engine: %w", err)
		}
		return pool, nil
	}
	if e.books, err = open(booksConns, booksParams); err != nil {
		return nil, err
	}
	if lifeline, err = open(lifelineConns, nil); err != nil {
		e.books.Close()
	}
	return lifeline, err
}

// booksParams are the settings of the books' connections. Their plans are made once, often while the tables are still
// nearly empty, and must be right for millions of rows: nothing is read whole that can be looked up.
var booksParams = map[string]string{"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off", "synchronous_commit": "on"}

// closePool closes a pool, and leaves it to itself when a statement does not end.
func closePool(p *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() { p.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
	}
}

// startBackground runs heartbeat, gate and sweep; the channel is closed when all have ended.
func (e *Engine) startBackground(ctx context.Context) <-chan struct{} {
	var loops sync.WaitGroup
	loops.Go(func() { e.node.beat(ctx) })
	loops.Go(func() { e.gate.watch(ctx, e.Log) })
	loops.Go(func() { e.guardLoop(ctx) })
	loops.Go(func() { e.sweepLoop(ctx) })
	loops.Go(func() { e.priceLoop(ctx) })
	loops.Go(func() { e.lookupLoop(ctx) })
	ended := make(chan struct{})
	go func() { loops.Wait(); close(ended) }()
	return ended
}

// stopRiver waits for the jobs, which have been told to stop. Those that still wait for a server's reply when the drain
// is over are left; their messages become unknown, and what they learn before the process ends is still recorded.
// startRiver begins with the jobs. A client that could not start is not used again.
func (e *Engine) startRiver(ctx context.Context, more func(*river.Workers)) (err error) {
	if e.client, err = e.newRiver(more); err != nil {
		return err
	}
	return e.client.Start(ctx)
}

func (e *Engine) stopRiver(ctx context.Context) error {
	if e.client == nil {
		return nil // it never began
	}
	stopCtx, cancel := context.WithTimeout(ctx, e.Drain)
	defer cancel()
	if err := e.client.Stop(stopCtx); err == nil {
		return nil
	}
	hard, cancelHard := context.WithTimeout(ctx, time.Second)
	defer cancelHard()
	if err := e.client.StopAndCancel(hard); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop workers: %w", err)
	}
	return nil
}

// allLines are those of all channels, and to their second accounts.
func (e *Engine) allLines() iter.Seq[*line] {
	return func(yield func(*line) bool) {
		for _, first := range e.lines {
			for l := range first.all() {
				if !yield(l) {
					return
				}
			}
		}
	}
}

func (e *Engine) closeSessions() {
	for l := range e.allLines() {
		l.pool.closeAll()
	}
}

// until is a context that ends with its parent or when the channel is closed.
func until(ctx context.Context, closed <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
