package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/sandbox"
)

type drillOptions struct {
	messages    int
	workers     int
	connections int
	rate        int
	seed        uint64
	misbehave   string
	dir         string
	json        string
	lease       delivery.Lease
	fault       string
}

// drillMisbehaviour is what the mail server of a drill does to mail.
const drillMisbehaviour = "4xx=3%,5xx=1%,delay=20ms/1%,delay=1s/0.02%,drop-before=0.05%,drop-after=0.05%"

func newDrillCommand(a *app) *cobra.Command {
	var o drillOptions
	c := &cobra.Command{
		Use:   "drill",
		Short: "Kill workers, database and connections while a campaign is sent, and see that nothing is lost or sent twice",
		Long: `Sends a campaign to invented customers from several processes, in a private PostgreSQL and to a
sandbox that catches everything (DATABASE_URL is not touched, nothing leaves this machine). Every
few seconds a process is killed with SIGKILL or stopped past its lease, the mail server refuses,
delays and drops, and PostgreSQL crashes once. Then the ledger is compared with what the mail
server wrote down before it answered, unknown messages are settled by its log, and everything must
add up. Exit code 1 where it does not.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDrill(c.Context(), a, o) },
	}
	c.Flags().IntVar(&o.messages, "messages", 100_000, "how many customers there are")
	c.Flags().IntVar(&o.workers, "workers", 3, "how many processes send")
	c.Flags().IntVar(&o.connections, "connections", 4, "connections to the mail server of each process")
	c.Flags().IntVar(&o.rate, "rate", 1300, "messages per second, so that it lasts long enough to be killed; 0 is unlimited")
	c.Flags().Uint64Var(&o.seed, "seed", 0, "of the dice; 0 draws one, which is printed")
	c.Flags().StringVar(&o.misbehave, "misbehave", drillMisbehaviour, "what the mail server does; sapa sandbox --help has the words")
	c.Flags().StringVar(&o.dir, "dir", "", "folder of the drill's project (default: .sapa/drill)")
	c.Flags().StringVar(&o.json, "json", "", "write the result to this file, too")
	c.Flags().StringVar(&o.fault, "fault", "", "plant a mistake in the engine, which the drill must find: early record, lost claim, late window")
	return c
}

// drill is a running drill.
type drill struct {
	*app
	*session
	o       drillOptions
	mail    *sandbox.Server
	clock   drillClock
	crew    *crew
	planner *campaign.Planner
	run     int
	result  drillResult
}

// drillResult is what is printed and written to --json.
type drillResult struct {
	Seed                uint64  `json:"seed"`
	Audience            int     `json:"audience"`
	Accepted            int     `json:"accepted"`        // different messages that the mail server took
	Lost                int     `json:"lost"`            // sent by the ledger and never accepted, or accounted for nowhere
	Duplicates          int     `json:"duplicates"`      // acceptances of a message after its first
	Unknown             int     `json:"unknown"`         // before the server's log was read
	UnknownAllowed      int     `json:"unknown_allowed"` // 64 for each process that was killed, and one for each connection that the server cut after a hand-over
	UnknownAfterResolve int     `json:"unknown_after_resolve"`
	Failed              int     `json:"failed"`
	Skipped             int     `json:"skipped"`
	Kills               int     `json:"kills"`    // SIGKILL
	Stops               int     `json:"stops"`    // SIGSTOP past the lease
	Crashes             int     `json:"crashes"`  // of PostgreSQL
	Cut                 int     `json:"cut"`      // connections cut after a hand-over
	Refusals            int     `json:"refusals"` // messages that the mail server refused, for now or for good
	AddsUp              bool    `json:"adds_up"`
	Takeover            float64 `json:"takeover_seconds"` // the longest from a lost process's last heartbeat until others had its batches
	Seconds             float64 `json:"seconds"`
	Fault               string  `json:"fault,omitempty"`
}

// problems are what a drill must not find.
func (r drillResult) problems() (list []string) {
	for _, p := range []struct {
		wrong bool
		text  string
	}{
		{r.Lost > 0, fmt.Sprintf("%s lost", thousands(r.Lost))},
		{r.Duplicates > 0, fmt.Sprintf("%s sent twice", thousands(r.Duplicates))},
		{r.Unknown > r.UnknownAllowed, fmt.Sprintf("%s unknown, and only %s may be", thousands(r.Unknown), thousands(r.UnknownAllowed))},
		{r.UnknownAfterResolve > 0, fmt.Sprintf("%s still unknown after the server's log was read", thousands(r.UnknownAfterResolve))},
		{!r.AddsUp, "the books do not add up"},
	} {
		if p.wrong {
			list = append(list, p.text)
		}
	}
	return list
}

func runDrill(ctx context.Context, a *app, o drillOptions) error {
	if o.messages < 1 || o.workers < 1 || o.connections < 1 || o.rate < 0 {
		return &exitError{exitUsage, errors.New("--messages, --workers and --connections start at 1, --rate at 0")}
	}
	if o.fault != "" && !slices.Contains(delivery.Faults(), delivery.Fault(o.fault)) {
		return &exitError{exitUsage, fmt.Errorf("--fault: no fault %q; there are %q", o.fault, delivery.Faults())}
	}
	if o.seed == 0 {
		o.seed = drawSeed()
	}
	began := time.Now()
	d, err := startDrill(ctx, a, o)
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.send(ctx); err != nil {
		return err
	}
	if err := d.account(ctx); err != nil {
		return err
	}
	d.result.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds()
	return d.conclude()
}

func drawSeed() uint64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return uint64(binary.LittleEndian.Uint32(b[:])) + 1
}

// startDrill makes the project, its database and the mail server, from nothing.
func startDrill(ctx context.Context, parent *app, o drillOptions) (*drill, error) {
	if o.dir == "" {
		o.dir = filepath.Join(parent.dir, ".sapa", "drill")
	}
	if err := claimFolder(o.dir, drillMark); err != nil {
		return nil, err
	}
	rules, err := sandbox.ParseRules(o.misbehave)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("--misbehave: %w", err)}
	}
	private := parent.private(o.dir)
	d := &drill{app: private, o: o, result: drillResult{Seed: o.seed, Fault: o.fault}}
	d.clock = drillClock{Real: time.Now()}
	d.now = d.clock.now
	mailDir := filepath.Join(o.dir, "mail")
	if err := os.RemoveAll(mailDir); err != nil {
		return nil, fmt.Errorf("empty the drill's mail folder: %w", err)
	}
	d.mail, err = sandbox.Start(ctx, sandbox.Config{Dir: mailDir, Log: d.log(), Misbehave: rules, Seed: o.seed})
	if err != nil {
		return nil, err
	}
	if err := d.build(ctx); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// drillMark is in each folder that a drill made.
const drillMark = ".sapa-drill"

func (d *drill) close() {
	if d.crew != nil {
		d.crew.end()
	}
	if d.session != nil {
		d.session.close()
	}
	_ = d.mail.Close() // what it has was read
}

const drillCampaign = `campaign: drill
audience: {where: "true"}
content:
  email:
    subject: "Halo {{ customer.name }}"
    html: "<p>Halo {{ customer.name }}, <a href=\"https://drill.example/offer\">an offer</a>.</p>"
    text: "Halo {{ customer.name }}, an offer: https://drill.example/offer"
`

// build makes the customers, applies the campaign and plans its run.
func (d *drill) build(ctx context.Context) error {
	rate := ""
	if d.o.rate > 0 {
		rate = fmt.Sprintf(", rate: %d/s", d.o.rate)
	}
	config := fmt.Sprintf(`customers: {table: drill.customers, key: id, email: email, name: name}
channels:
  email: {smtp: "smtp://%s?tls=none", from: "Drill <halo@drill.example>", connections: %d%s}
public_url: http://127.0.0.1:9
`, d.mail.SMTPAddr(), d.o.connections, rate)
	for name, text := range map[string]string{"sapa.yaml": config, "campaigns/drill.yaml": drillCampaign} {
		if err := writeFile(filepath.Join(d.dir, name), text); err != nil {
			return err
		}
	}
	s, err := d.connect(ctx)
	if err != nil {
		return err
	}
	d.session = s
	if err := d.populate(ctx); err != nil {
		return err
	}
	if err := s.checkMigrated(ctx); err != nil {
		return err
	}
	loaded, err := d.loadConfig()
	if err != nil {
		return err
	}
	if err := s.resolve(ctx, loaded); err != nil {
		return err
	}
	return d.plan(ctx)
}

func (d *drill) populate(ctx context.Context) error {
	_, err := d.pool.Exec(ctx, `drop schema if exists sapa cascade; drop schema if exists drill cascade; create schema drill;
		create table drill.customers (id bigint primary key, name text, email text)`)
	if err == nil {
		_, err = d.pool.Exec(ctx, `insert into drill.customers select i, 'Person ' || i, 'person' || i || '@mail.example' from generate_series(1, $1::int) i`, d.o.messages)
	}
	if err == nil {
		_, err = d.pool.Exec(ctx, `analyze drill.customers`)
	}
	if err != nil {
		return fmt.Errorf("make the drill's customers: %w", err)
	}
	return nil
}

func (d *drill) plan(ctx context.Context) (err error) {
	project, problems, err := campaign.LoadProject(os.DirFS(d.dir), d.schema, d.library.Base())
	if err != nil {
		return err
	}
	if err := findings(problems); err != nil {
		return err
	}
	if _, err := campaign.Apply(ctx, d.pool, project.Campaigns, d.now(), "drill"); err != nil {
		return err
	}
	if d.planner, err = d.session.planner(d.app); err != nil {
		return err
	}
	run, plan, err := d.planner.Start(ctx, campaign.Start{Campaign: "drill", Actor: "drill", Yes: true})
	if err != nil {
		return err
	}
	d.run, d.result.Audience = run.ID, plan.Audience
	fmt.Fprintf(d.stdout, "drill with seed %d: %s messages, processes: %d, connections of each: %d, in %s\n", d.o.seed, thousands(plan.Audience),
		d.o.workers, d.o.connections, d.dir)
	return nil
}

// conclude prints the result and writes it to a file.
func (d *drill) conclude() error {
	r := d.result
	fmt.Fprintf(d.stdout, `
  audience           %s
  accepted           %s by the mail server
  failed, skipped    %s, %s
  lost               %s
  sent twice         %s
  unknown            %s of at most %s, and %s after its log was read
  what was done      %d kills, %d stops past the lease, %d crashes of PostgreSQL, %d connections cut, %s refusals; %.0f s
  taken over         at the latest %.0f s after a lost process's last heartbeat
`, thousands(r.Audience), thousands(r.Accepted), thousands(r.Failed), thousands(r.Skipped), thousands(r.Lost), thousands(r.Duplicates),
		thousands(r.Unknown), thousands(r.UnknownAllowed), thousands(r.UnknownAfterResolve), r.Kills, r.Stops, r.Crashes, r.Cut, thousands(r.Refusals), r.Seconds,
		r.Takeover)
	if d.o.json != "" {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := writeFile(d.o.json, string(text)+"\n"); err != nil {
			return err
		}
	}
	if list := r.problems(); len(list) > 0 {
		return fmt.Errorf("the drill failed: %s; again with: sapa drill --seed %d", strings.Join(list, ", "), r.Seed)
	}
	fmt.Fprintln(d.stdout, "\nNothing was lost, nothing was sent twice, everything adds up.")
	return nil
}

// childEnv is all that the drill's processes know of the environment.
func (d *drill) childEnv() []string {
	env := []string{"PATH=" + os.Getenv("PATH")} // where PostgreSQL's programs are found
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "SAPA_LOG"} {
		if value := d.env(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return append(env, drillEnv+"=1")
}

// drillEnv tells a test's program to be sapa.
const drillEnv = "SAPA_DRILL_WORKER"

// crashDatabase stops the private server as a crash does, and starts it again.
func (d *drill) crashDatabase(ctx context.Context) error {
	if err := d.cluster.Crash(ctx); err != nil {
		return err
	}
	again, err := pg.Private(ctx, pg.PrivateOptions{Dir: d.cluster.Dir(), Log: d.log()})
	if err != nil {
		return err
	}
	return again.Release()
}
