package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/migrations"
	"github.com/sapa-crm/sapa/sandbox"
)

// bench is a company with a database and a mail server, and processes that send for it.
type bench struct {
	options
	dir     string
	cluster *pg.Cluster
	pool    *pgxpool.Pool
	mail    *sandbox.Server
	planner *campaign.Planner
	schema  *customer.Schema
	workers []*exec.Cmd
}

const configYAML = `customers: {table: bench.customers, key: id, email: email, name: name}
channels:
  email: {smtp: "smtp://%s?tls=none", from: "Bench <bench@sender.example>", connections: 4, rate: %d/s}
public_url: https://bench.example
`

func openBench(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "sapa-rate-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL may run under another account
		return nil, errors.Join(err, b.close())
	}
	for _, step := range []func(context.Context) error{b.openMail, b.openDatabase, b.populate, b.openCompany} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// build makes the program in a folder.
func build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "sapa")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/sapa") //nolint:gosec // our own program
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build sapa, in the folder of its source: %w", err)
	}
	return program, nil
}

func (b *bench) openMail(ctx context.Context) (err error) {
	b.mail, err = sandbox.Start(ctx, sandbox.Config{Dir: filepath.Join(b.dir, "mail")})
	return err
}

func (b *bench) openDatabase(ctx context.Context) (err error) {
	if b.cluster, err = pg.Private(ctx, pg.PrivateOptions{Dir: filepath.Join(b.dir, "pg")}); err != nil {
		return err
	}
	if err := b.cluster.EnsureDatabase(ctx, "bench"); err != nil {
		return err
	}
	if b.pool, err = pg.Connect(ctx, b.cluster.URL("bench"), pg.Options{MaxConns: 4}); err != nil {
		return err
	}
	return migrations.Up(ctx, b.pool, pg.DefaultSchema)
}

// populate makes customers for more than the time that is measured, and for four batches in each process.
func (b *bench) populate(ctx context.Context) error {
	n := max(2*b.rate*int(b.time.Seconds()), 5*delivery.BatchSize*b.processes)
	_, err := b.pool.Exec(ctx, `create schema bench; create table bench.customers (id bigint primary key, name text, email text)`)
	if err == nil {
		_, err = b.pool.Exec(ctx, `insert into bench.customers
			select i, 'Person ' || i, 'person' || i || '@mail.example' from generate_series(1, $1::int) i`, n)
	}
	return err
}

func (b *bench) openCompany(ctx context.Context) error {
	config := fmt.Sprintf(configYAML, b.mail.SMTPAddr(), b.rate)
	if err := os.WriteFile(filepath.Join(b.dir, "sapa.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	cfg, problems := customer.LoadConfig("sapa.yaml", config, func(string) string { return "" })
	if err := problems.Err(); err != nil {
		return err
	}
	schema, problems, err := customer.Resolve(ctx, b.pool, cfg)
	if err != nil {
		return err
	}
	if err := problems.Err(); err != nil {
		return err
	}
	queue, err := delivery.NewQueue(b.pool, pg.DefaultSchema, time.Now)
	if err != nil {
		return err
	}
	b.schema = schema
	b.planner = &campaign.Planner{Pool: b.pool, Schema: schema, Library: campaign.NewLibrary(b.pool, schema, nil), Queue: queue, Now: time.Now}
	return nil
}

// start plans a run for everybody.
func (b *bench) start(ctx context.Context, name string) error {
	yaml := fmt.Sprintf("campaign: %s\naudience: {where: \"true\"}\nchannels: [email]\n"+
		"content: {email: {subject: Hello, text: \"Hello {{ customer.name }}\"}}\n", name)
	checked, problems := campaign.Check("campaigns/"+name+".yaml", yaml, fstest.MapFS{}, b.schema, nil)
	if err := problems.Err(); err != nil {
		return err
	}
	if _, err := campaign.Apply(ctx, b.pool, []*campaign.Campaign{checked}, time.Now(), "bench"); err != nil {
		return err
	}
	_, _, err := b.planner.Start(ctx, campaign.Start{Campaign: name, Actor: "bench", Yes: true})
	return err
}

// work starts a process that sends.
func (b *bench) work() error {
	cmd := exec.Command(b.program, "work", "--project", b.dir) //nolint:noctx,gosec // it is ended by signals
	cmd.Env = append(os.Environ(), "DATABASE_URL="+b.cluster.URL("bench"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	b.workers = append(b.workers, cmd)
	return nil
}

// firstArrival waits until mail comes in.
func (b *bench) firstArrival(ctx context.Context) error {
	for range 600 {
		if b.mail.Counts().Accepted > 0 {
			return nil
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("no mail came in for a minute")
}

// stillWaiting holds that there was work until the end, and that all processes had a part in it.
func (b *bench) stillWaiting(ctx context.Context) error {
	var planned, sending int
	err := b.pool.QueryRow(ctx, `select (select count(*) from messages where state = 'planned'), (select count(distinct worker) from attempts)`).Scan(&planned, &sending)
	if err == nil && (planned == 0 || sending < b.processes) {
		err = fmt.Errorf("not a measurement: %d messages were left, %d of %d processes sent", planned, sending, b.processes)
	}
	return err
}

// close ends everything. Processes that were killed have ended already.
func (b *bench) close() (err error) {
	for _, w := range b.workers {
		_ = w.Process.Signal(syscall.SIGTERM)
	}
	for _, w := range b.workers {
		_ = w.Wait() // one of them was killed
	}
	if b.pool != nil {
		b.pool.Close()
	}
	if b.mail != nil {
		err = b.mail.Close()
	}
	if b.cluster != nil {
		err = errors.Join(err, b.cluster.Release())
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}
