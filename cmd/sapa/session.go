package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels/kinds"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/metrics"
	"github.com/sapa-crm/sapa/migrations"
	"github.com/sapa-crm/sapa/sandbox"
)

// session is an open database and, where the verb needs it, the project's mapping of the company's tables.
type session struct {
	pool         *pgxpool.Pool
	dbSchema     string
	cluster      *pg.Cluster // nil with DATABASE_URL
	config       *customer.Config
	schema       *customer.Schema
	library      *campaign.Library
	projectDir   string
	businessTime func() time.Time
	sandbox      *sandbox.Server        // the only provider there is, for verbs that never reach a real one; nil: those of sapa.yaml
	trusted      []netip.Prefix         // proxies whose X-Forwarded-For is believed
	metrics      *metrics.Metrics       // nil: nobody watches
	health       func() delivery.Health // of the engine; nil: there is none
}

// privateDatabase is the name of the database in a private cluster.
const privateDatabase = "sapa"

// openDB connects: to DATABASE_URL where it is set, else to the project's private cluster, whose schema is kept up to
// date by itself. A database of the company's is migrated only by sapa migrate.
func (a *app) openDB(ctx context.Context) (*session, error) {
	s, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.checkMigrated(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openProjectDB is openDB for verbs that ask about a project: without DATABASE_URL they must be in its folder.
func (a *app) openProjectDB(ctx context.Context) (*session, error) {
	if a.env("DATABASE_URL") == "" {
		if _, err := a.readConfig(); err != nil {
			return nil, err
		}
	}
	return a.openDB(ctx)
}

// connect opens the database as it is, migrated or not.
func (a *app) connect(ctx context.Context) (*session, error) {
	s := &session{dbSchema: a.dbSchema(), projectDir: a.dir, businessTime: a.now}
	url := a.env("DATABASE_URL")
	if url == "" {
		if err := s.startPrivate(ctx, a); err != nil {
			return nil, err
		}
		url = s.cluster.URL(privateDatabase)
	}
	var err error
	if s.pool, err = pg.Connect(ctx, url, pg.Options{Schema: s.dbSchema, MaxConns: 24}); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (a *app) dbSchema() string {
	if name := a.env("SAPA_SCHEMA"); name != "" {
		return name
	}
	return pg.DefaultSchema
}

func (s *session) startPrivate(ctx context.Context, a *app) error {
	project, err := filepath.Abs(a.dir)
	if err != nil {
		return fmt.Errorf("project folder: %w", err)
	}
	dir, err := pg.DefaultDir(project, a.env)
	if err != nil {
		return err
	}
	if s.cluster, err = pg.Private(ctx, pg.PrivateOptions{Dir: dir, Log: a.log()}); err != nil {
		return err
	}
	if err := s.cluster.EnsureDatabase(ctx, privateDatabase); err != nil {
		return errors.Join(err, s.cluster.Release())
	}
	return nil
}

func (s *session) checkMigrated(ctx context.Context) error {
	if s.cluster != nil {
		return migrations.Up(ctx, s.pool, s.dbSchema)
	}
	pending, err := migrations.Pending(ctx, s.pool, s.dbSchema)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return fmt.Errorf("Sapa's tables in schema %q are missing or out of date; make them with: sapa migrate", s.dbSchema)
	}
	return nil
}

// close ends the session; the last Sapa process stops a private cluster.
func (s *session) close() {
	if s.pool != nil {
		s.pool.Close()
	}
	if s.cluster != nil {
		if err := s.cluster.Release(); err != nil {
			slog.Warn("release the private database", slog.Any("error", err))
		}
	}
}

// open connects and reads sapa.yaml against the database's catalog.
func (a *app) open(ctx context.Context) (*session, error) {
	config, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	s, err := a.openDB(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.resolve(ctx, config); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (a *app) loadConfig() (*customer.Config, error) {
	text, err := a.readConfig()
	if err != nil {
		return nil, err
	}
	config, problems := customer.LoadConfig("sapa.yaml", string(text), a.env, kinds.Names(kinds.All())...)
	if config != nil {
		problems = append(problems, readSections(config.Channels.Further, kinds.All())...)
	}
	return config, findings(problems)
}

func (a *app) readConfig() ([]byte, error) {
	path := filepath.Join(a.dir, "sapa.yaml")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no %s: go to your project's folder, name it with --project, or make one with: sapa init", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read sapa.yaml: %w", err)
	}
	return text, nil
}

func (s *session) resolve(ctx context.Context, config *customer.Config) error {
	schema, problems, err := customer.Resolve(ctx, s.pool, config)
	if err != nil {
		return err
	}
	if err := findings(problems); err != nil {
		return err
	}
	s.config, s.schema = config, schema
	base, problems := campaign.Base(config, schema)
	if err := findings(problems); err != nil {
		return err
	}
	s.library = campaign.NewLibrary(s.pool, schema, base)
	return nil
}

// findings is a list of problems as an error that begins on a line of its own.
func findings(list diag.List) error {
	if len(list) == 0 {
		return nil
	}
	n := "1 problem"
	if len(list) > 1 {
		n = fmt.Sprintf("%d problems", len(list))
	}
	return fmt.Errorf("%s\n%w", n, list.Err())
}

// planner is ready to plan and change runs.
func (s *session) planner(a *app) (*campaign.Planner, error) {
	queue, err := delivery.NewQueue(s.pool, s.dbSchema, a.now)
	if err != nil {
		return nil, err
	}
	return &campaign.Planner{Pool: s.pool, Schema: s.schema, Library: s.library, Queue: queue, Now: a.now, Log: a.log()}, nil
}

// log writes errors to standard error as text; SAPA_LOG=warn, info or debug shows more, SAPA_LOG_FORMAT=json writes JSON.
func (a *app) log() *slog.Logger {
	level := a.level
	if text := a.env("SAPA_LOG"); text != "" {
		if err := level.UnmarshalText([]byte(strings.ToUpper(text))); err != nil {
			level = slog.LevelInfo
		}
	}
	options := &slog.HandlerOptions{Level: level}
	if a.env("SAPA_LOG_FORMAT") == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.stderr, options))
}
