// Package delivery takes planned messages to their people: claim → fill → hand over → record.
//
//	lease    a River job wakes a worker for one batch, a range of a run's messages; the batch's (worker, epoch) is the lease
//	claim    up to 64 messages become claimed, committed, after run state, consent, suppression and not_after were checked
//	fill     their values are read from the company's tables and the templates rendered
//	hand over the channel's session takes them one by one, each after a last look at lease and run state
//	record   verdicts become states, attempts, totals and suppressions in one transaction
//
// The ledger (tables occasions, messages, attempts) is the truth; River only wakes workers, and a sweep wakes them again.
// docs/delivery.md has the states and the reasoning for each point at which a process can die.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"golang.org/x/time/rate"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/templates"
)

// Content is what an applied version sends: its templates and how its rows are named.
type Content struct {
	Campaign string
	Topic    string
	Each     *customer.Relation // nil: the audience is customers
	EachName string             // "vehicle"
	Merged   bool               // several rows in one message, as a list named Each.Name
	Email    *Email
}

// Email is the content of a version's e-mail.
type Email struct {
	Subject, HTML, Text *templates.Template // HTML may be nil, Text may be nil where HTML is given
	ReplyTo             string
}

// Library finds the content of applied versions; it may keep them, since versions never change.
type Library interface {
	Content(ctx context.Context, version int) (*Content, error)
}

// Account is one configured channel: the provider and our limits on using it.
type Account struct {
	Channel     channels.Channel
	From        channels.Address
	ReplyTo     string
	Rate        float64 // messages per second; 0 is unlimited
	Connections int     // sessions at the same time in this process; 0 is DefaultConnections
}

// DefaultConnections is how many sessions a process keeps to one account where sapa.yaml says nothing.
const DefaultConnections = 8

// Config is everything an Engine needs; all fields but Log and Now are required.
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
}

// Engine sends what is due until its context ends. Any number of engines, in any number of processes, share the work.
type Engine struct {
	Config
	node     *node
	gate     *gate
	sessions map[string]*sessionPool
	limits   map[string]*rate.Limiter
	client   *river.Client[pgxTx]
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
	e := &Engine{Config: cfg, sessions: map[string]*sessionPool{}, limits: map[string]*rate.Limiter{}}
	e.gate = newGate(cfg.Pool)
	for name, a := range cfg.Accounts {
		e.sessions[name] = newSessionPool(a.Channel)
		e.limits[name] = limiter(a.Rate)
	}
	return e, nil
}

func limiter(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
}

// Run works until the context ends, then stops claiming, waits for the replies to what was handed over, releases the
// rest and returns. more, which may be nil, registers further kinds of jobs with the same River client.
func (e *Engine) Run(ctx context.Context, more func(*river.Workers)) error {
	node, err := startNode(ctx, e.Pool)
	if err != nil {
		return err
	}
	e.node = node
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	done := e.startBackground(background)

	client, err := e.startRiver(ctx, more)
	if err != nil {
		return err
	}
	<-ctx.Done()
	e.Log.Info("stopping", "drain", e.Drain)
	stopErr := e.stopRiver(ctx, client)
	stopBackground()
	<-done
	e.closeSessions()
	return errors.Join(stopErr, node.stop(context.WithoutCancel(ctx), e.Pool))
}

// startBackground runs heartbeat, gate and sweep; the channel is closed when all have ended.
func (e *Engine) startBackground(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	loops := []func(context.Context){
		func(ctx context.Context) { e.node.beat(ctx, e.Pool, e.Log) },
		func(ctx context.Context) { e.gate.watch(ctx, e.Log) },
		e.sweepLoop,
	}
	ended := make(chan struct{}, len(loops))
	for _, loop := range loops {
		go func() { loop(ctx); ended <- struct{}{} }()
	}
	go func() {
		for range loops {
			<-ended
		}
		close(done)
	}()
	return done
}

func (e *Engine) stopRiver(ctx context.Context, client *river.Client[pgxTx]) error {
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.Drain)
	defer cancel()
	if err := client.Stop(stopCtx); err == nil {
		return nil
	}
	hard, cancelHard := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancelHard()
	if err := client.StopAndCancel(hard); err != nil {
		return fmt.Errorf("stop workers: %w", err)
	}
	return nil
}

func (e *Engine) closeSessions() {
	for _, p := range e.sessions {
		p.closeAll()
	}
}
