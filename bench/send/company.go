package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/email"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/heap"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/response"
)

const para = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna " +
	"aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat."

// link is the one that is tracked.
const link = "https://bench.example/offer"

// The message of all senders but smtp-source, which writes as many X: about 4 KB, HTML and text.
var (
	subject = "Offers in {{ customer.city }}"
	html    = `<!doctype html><html><head><meta charset="utf-8"><title>Offers</title></head><body>
<h1>Halo {{ customer.name }} &mdash; grüezi</h1>
<p>Your score in {{ customer.city }} is <b>{{ customer.score }}</b>.</p>
` + strings.Repeat("<p style=\"margin:0 0 12px\">"+para+"</p>\n", 8) + `<p><a href="` + link + `">See the offer</a></p>
</body></html>
`
	text = "Halo {{ customer.name }},\n\nyour score in {{ customer.city }} is {{ customer.score }}.\n\n" + strings.Repeat(para+"\n\n", 4) +
		link + "\n"
)

const customersTable = `
create schema if not exists bench;
create table if not exists bench.customers (id bigint primary key, name text, email text, city text, score int)`

const configYAML = `
customers:
  table: bench.customers
  key: id
  email: email
  name: name
channels:
  email: {smtp: "smtp://127.0.0.1:9", from: "Bench <bench@sender.example>"}
public_url: https://bench.example
`

// company is what planning and sending need.
type company struct {
	pool    *pgxpool.Pool
	schema  *customer.Schema
	library *campaign.Library
	planner *campaign.Planner
}

func openCompany(ctx context.Context, url string, conns int32) (*company, error) {
	c := &company{}
	var err error
	if c.pool, err = pg.Connect(ctx, url, pg.Options{MaxConns: conns}); err != nil {
		return nil, err
	}
	cfg, problems := customer.LoadConfig("sapa.yaml", configYAML, func(string) string { return "" })
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if c.schema, problems, err = customer.Resolve(ctx, c.pool, cfg); err != nil {
		return nil, err
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	c.library = campaign.NewLibrary(c.pool, c.schema, nil)
	queue, err := delivery.NewQueue(c.pool, pg.DefaultSchema, time.Now)
	if err != nil {
		return nil, err
	}
	c.planner = &campaign.Planner{Pool: c.pool, Schema: c.schema, Library: c.library, Queue: queue, Now: time.Now}
	return c, nil
}

// apply makes a campaign for the customers up to an id.
func (c *company) apply(ctx context.Context, name string, upTo int) error {
	yaml := fmt.Sprintf("campaign: %s\naudience:\n  where: customer.id <= %d\nchannels: [email]\n"+
		"content:\n  email: {subject: %q, html: offer.html.liquid, text: offer.text.liquid}\n", name, upTo, subject)
	files := fstest.MapFS{
		"offer.html.liquid": {Data: []byte(html)},
		"offer.text.liquid": {Data: []byte(text)},
	}
	checked, problems := campaign.Check("campaigns/"+name+".yaml", yaml, files, c.schema, nil)
	if err := problems.Err(); err != nil {
		return err
	}
	_, err := campaign.Apply(ctx, c.pool, []*campaign.Campaign{checked}, time.Now(), "bench")
	return err
}

// work is what a sending process of Sapa is told.
type work struct {
	URL         string
	SMTP        string
	Connections int
	Run         int
	Profile     string // file for a CPU profile
}

// worked is what it says at its end.
type worked struct {
	PeakMB float64
}

// beWorker sends until its run is done.
func beWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	var w work
	if err := json.NewDecoder(in).Decode(&w); err != nil {
		return err
	}
	heap.Roomy() // as cmd/sapa does
	if err := w.do(ctx); err != nil {
		return err
	}
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(worked{peak})
}

func (w work) do(ctx context.Context) error {
	if w.Profile != "" {
		f, err := os.Create(w.Profile)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // a profile
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	c, err := openCompany(ctx, w.URL, int32(w.Connections)+8)
	if err != nil {
		return err
	}
	defer c.pool.Close()
	e, err := c.engine(ctx, w)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, nil) }()
	if err := c.await(ctx, w.Run); err != nil {
		return err
	}
	stop()
	return <-ended
}

func (c *company) engine(ctx context.Context, w work) (*delivery.Engine, error) {
	cfg, err := email.Parse("smtp://"+w.SMTP+"?tls=none", "Bench <bench@sender.example>")
	if err != nil {
		return nil, err
	}
	channel, err := email.New(cfg)
	if err != nil {
		return nil, err
	}
	keys, err := response.LoadKeyring(ctx, c.pool)
	if err != nil {
		return nil, err
	}
	urls, err := response.NewURLs("https://bench.example", keys)
	if err != nil {
		return nil, err
	}
	account := delivery.Account{Channel: channel, From: channels.Address{Name: "Bench", Addr: "bench@sender.example"}, Connections: w.Connections}
	return delivery.New(delivery.Config{
		Pool: c.pool, DBSchema: pg.DefaultSchema, Schema: c.schema, Library: c.library, URLs: urls,
		Accounts: map[string]delivery.Account{"email": account},
	})
}

func (c *company) await(ctx context.Context, run int) error {
	for {
		var state, reason string
		if err := c.pool.QueryRow(ctx, `select state::text, coalesce(reason, '') from runs where id = $1`, run).Scan(&state, &reason); err != nil {
			return err
		}
		if state == "done" {
			return nil
		}
		if state != "sending" || reason != "" {
			return fmt.Errorf("run %d is %s: %s", run, state, reason)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
