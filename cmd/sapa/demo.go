package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/sandbox"
	"github.com/sapa-crm/sapa/sandbox/crowd"
	"github.com/sapa-crm/sapa/sandbox/workshop"
	"github.com/sapa-crm/sapa/web"
)

type demoOptions struct {
	keep      bool
	customers int
	dir       string
}

func newDemoCommand(a *app) *cobra.Command {
	var o demoOptions
	c := &cobra.Command{
		Use:   "demo",
		Short: "See the whole of it: an invented workshop, five campaigns, simulated customers, a report",
		Long: `Makes an invented Indonesian car workshop in a private PostgreSQL (DATABASE_URL is not
touched), runs its campaigns as of today by mail, WhatsApp and text through a sandbox that catches
everything, prints the postcards of those whom nothing else reaches, fills a list of calls, lets a
member check in on their birthday, simulates customers who open, click, answer and unsubscribe, and
prints the report. Nothing leaves this machine. It begins anew every time.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDemo(c.Context(), a, o) },
	}
	c.Flags().BoolVar(&o.keep, "keep", false, "stay running afterwards, to look at the mail and follow its links")
	c.Flags().IntVar(&o.customers, "customers", 20000, "how many customers; vehicles are 1.3 times as many")
	c.Flags().StringVar(&o.dir, "dir", "", "folder of the demo's project (default: .sapa/demo)")
	return c
}

// demo is the running demo.
type demo struct {
	*app
	*session
	mail    *sandbox.Server
	public  net.Listener
	planner *campaign.Planner
	engine  *delivery.Engine
	runs    []int
}

func runDemo(ctx context.Context, a *app, o demoOptions) error {
	d, err := startDemo(ctx, a, o)
	if err != nil {
		return err
	}
	defer d.close()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		defer stop() // whatever ends first ends the play, too
		ended <- together(background,
			func(ctx context.Context) error { return d.engine.Run(ctx, d.planner.AddWorkers) },
			func(ctx context.Context) error { return d.servePublicOn(ctx, d.app, d.public) })
	}()
	playing, stopPlaying := context.WithCancel(ctx)
	defer stopPlaying()
	context.AfterFunc(background, stopPlaying)
	err = d.play(playing, o)
	if err == nil && o.keep {
		fmt.Fprintln(a.stdout, "\nStill running; stop with Ctrl-C.")
		<-ctx.Done()
	}
	stop()
	return errors.Join(err, <-ended)
}

// startDemo makes the project, its database, the mail server and the public listener.
func startDemo(ctx context.Context, parent *app, o demoOptions) (*demo, error) {
	if o.dir == "" {
		o.dir = filepath.Join(parent.dir, ".sapa", "demo")
	}
	d := &demo{app: parent.private(o.dir)}
	if err := claimFolder(o.dir, demoMark); err != nil {
		return nil, err
	}
	mailDir := filepath.Join(o.dir, "mail")
	if err := os.RemoveAll(mailDir); err != nil {
		return nil, fmt.Errorf("empty the demo's mail folder: %w", err)
	}
	var err error
	if d.public, err = listenNear(ctx, "127.0.0.1:8080"); err != nil {
		return nil, err
	}
	d.mail, err = sandbox.Start(ctx, sandbox.Config{
		SMTPAddr: free(ctx, "127.0.0.1:2525"), HTTPAddr: free(ctx, "127.0.0.1:8025"), Dir: mailDir, Log: d.log(), Now: d.now,
		Misbehave: []sandbox.Rule{{
			Name: "no WhatsApp", Stage: sandbox.AtCarrier, Channel: sandbox.ChannelWhatsApp, Fail: 63024, Share: 0.08, Help: "a number without WhatsApp",
		}},
		InboundURL: "http://" + d.public.Addr().String() + "/hooks/sms/inbound",
	})
	if err != nil {
		return nil, errors.Join(err, d.public.Close())
	}
	if err := d.build(ctx, o); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// demoMark is in each folder that a demo made, and in no other: only such a one, with its database, is begun anew.
const demoMark = ".sapa-demo"

// claimFolder makes a folder that a verb begins anew every time, and refuses one that has anything else in it.
func claimFolder(dir, mark string) error {
	verb := strings.TrimPrefix(mark, ".sapa-")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the %s's folder: %w", verb, err)
	}
	if _, err := os.Stat(filepath.Join(dir, mark)); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s is not a %[2]s's folder; the %[2]s begins anew every time and would overwrite it. Name an empty one: sapa %[2]s --dir FOLDER", dir, verb)
	}
	return writeFile(filepath.Join(dir, mark), fmt.Sprintf("This folder and its private database belong to sapa %s, which begins them anew.\n", verb))
}

// private is the app for a project that must never see the company's database, nor its providers: of the environment it
// knows only how much to log, where its own data may lie, and what the terminal can do.
func (a *app) private(dir string) *app {
	b := *a
	b.dir = dir
	b.env = func(name string) string {
		switch name {
		case "SAPA_LOG", "HOME", "XDG_DATA_HOME", "NO_COLOR", "TERM":
			return a.env(name)
		}
		return ""
	}
	return &b
}

func (d *demo) close() {
	if d.session != nil {
		d.session.close()
	}
	_ = d.public.Close() // closed already when it was served
	if err := d.mail.Close(); err != nil {
		d.log().Warn("stop the mail server", slog.Any("error", err))
	}
}

// listenNear listens on addr, or on a free port where that is taken.
func listenNear(ctx context.Context, addr string) (net.Listener, error) {
	return web.Listen(ctx, free(ctx, addr))
}

// free is addr, or its host with any free port where that port is taken.
func free(ctx context.Context, addr string) string {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		host, _, _ := net.SplitHostPort(addr)
		return net.JoinHostPort(host, "0")
	}
	_ = l.Close() // it was only to see
	return addr
}

// build makes the workshop's tables and project, from nothing.
func (d *demo) build(ctx context.Context, o demoOptions) error {
	if err := d.writeProject(); err != nil {
		return err
	}
	s, err := d.connect(ctx)
	if err != nil {
		return err
	}
	d.session, s.sandbox = s, d.mail
	if _, err := s.pool.Exec(ctx, `drop schema if exists sapa cascade`); err != nil {
		return fmt.Errorf("begin the demo anew: %w", err)
	}
	if err := s.checkMigrated(ctx); err != nil {
		return err
	}
	began := time.Now()
	counts, err := workshop.Create(ctx, s.pool, workshop.Config{Customers: o.customers, Vehicles: o.customers * 13 / 10, Today: d.now().In(jakarta()), Seed: 1})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "Bengkel Maju, an invented workshop: %s customers, %s vehicles, %s services, %s orders (%.1f s)\n",
		thousands(int(counts.Customers)), thousands(int(counts.Vehicles)), thousands(int(counts.Services)), thousands(int(counts.Orders)), time.Since(began).Seconds())
	config, err := d.loadConfig()
	if err != nil {
		return err
	}
	if err := s.resolve(ctx, config); err != nil {
		return err
	}
	if d.planner, err = s.planner(d.app); err != nil {
		return err
	}
	d.engine, err = s.engine(ctx, d.app)
	return err
}

func jakarta() *time.Location {
	zone, err := time.LoadLocation("Asia/Jakarta")
	if err != nil {
		return time.UTC
	}
	return zone
}

// writeProject writes the workshop's project with the addresses of this demo, so that every verb works in it later.
func (d *demo) writeProject() error {
	project, err := workshop.Project()
	if err != nil {
		return err
	}
	addresses := strings.NewReplacer(`"${SMTP_URL}"`, `"smtp://`+d.mail.SMTPAddr()+`"`, `"${TWILIO_URL}"`, `"`+d.mail.TwilioURL()+`"`,
		"${PUBLIC_URL}", "http://"+d.public.Addr().String())
	return fs.WalkDir(project, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(project, name)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(d.dir, filepath.FromSlash(name)), addresses.Replace(string(text)))
	})
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write project: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write project: %w", err)
	}
	return nil
}

// play applies and runs the campaigns, lets the simulated customers respond and prints the report.
func (d *demo) play(ctx context.Context, o demoOptions) error {
	project, problems, err := d.library.Project(ctx, os.DirFS(d.dir))
	if err != nil {
		return err
	}
	if err := findings(problems); err != nil {
		return err
	}
	changes, err := campaign.Apply(ctx, d.pool, project.Campaigns, d.now(), "demo")
	if err != nil {
		return err
	}
	d.printChanges(changes)
	for _, c := range project.Campaigns {
		if c.Triggered() {
			continue // by the check-in
		}
		if err := d.run(ctx, c.Name()); err != nil {
			return err
		}
	}
	if err := d.handiwork(ctx); err != nil {
		return err
	}
	if err := d.respond(ctx); err != nil {
		return err
	}
	if err := d.report(ctx); err != nil {
		return err
	}
	d.whereToLook(o)
	return d.verify(ctx)
}

func (d *demo) run(ctx context.Context, name string) error {
	run, plan, err := d.planner.Start(ctx, campaign.Start{Campaign: name, Actor: "demo", Yes: true})
	if err != nil {
		return err
	}
	fmt.Fprintln(d.stdout)
	d.printPlan(fmt.Sprintf("run %d of %s", run.ID, name), plan)
	d.runs = append(d.runs, run.ID)
	began := time.Now()
	err = d.watch(ctx, d.app, d.planner, run.ID, false)
	if e, ok := errors.AsType[*exitError](err); ok && e.code == exitPartial {
		err = nil // the workshop has addresses that bounce, as every company has
	}
	if err == nil && plan.Planned > 0 {
		fmt.Fprintf(d.stdout, "  %s messages in %.1f s\n", thousands(plan.Planned), time.Since(began).Seconds())
	}
	return err
}

func (d *demo) respond(ctx context.Context) error {
	fmt.Fprintln(d.stdout, "\nSimulated customers read their mail and texts: they are programs, and their opens and clicks are invented.")
	summary, err := crowd.Play(ctx, crowd.Config{Mail: d.mail.EachRaw(), Rates: crowd.Typical(), Seed: 1})
	if err != nil {
		return err
	}
	if summary.Failed > 0 {
		return fmt.Errorf("%d requests of simulated customers failed, such as: %w", summary.Failed, summary.FirstFailure)
	}
	fmt.Fprintf(d.stdout, "  of %s mails %s opened, %s clicked, %s unsubscribed\n", thousands(summary.Mails),
		thousands(summary.Opened), thousands(summary.Clicked), thousands(summary.Unsubscribed))
	return d.respondToTexts(ctx)
}

func (d *demo) respondToTexts(ctx context.Context) error {
	if err := d.mail.WaitCallbacks(ctx); err != nil {
		return err
	}
	summary, err := crowd.PlayTexts(ctx, crowd.Phones{Sandbox: d.mail, Rates: crowd.TypicalTexts(), Seed: 1})
	if err != nil {
		return err
	}
	if summary.Failed > 0 {
		return fmt.Errorf("%d requests of simulated customers with telephones failed, such as: %w", summary.Failed, summary.FirstFailure)
	}
	fmt.Fprintf(d.stdout, "  of %s texts %s clicked, %s answered, %s stopped\n\n", thousands(summary.Texts),
		thousands(summary.Clicked), thousands(summary.Replied), thousands(summary.Stopped))
	return nil
}

func (d *demo) report(ctx context.Context) error {
	r, err := report.Campaigns(ctx, d.pool, report.Filter{})
	if err != nil {
		return err
	}
	return report.WriteTable(d.stdout, r, report.TableOptions{Width: 80})
}

func (d *demo) whereToLook(o demoOptions) {
	sapa := os.Args[0] // as the person wrote it: bin/sapa after make demo
	fmt.Fprintf(d.stdout, `
Where to look
  the project      %[1]s
  its numbers      %[2]s --project %[1]s report birthday
  who is meant     %[2]s --project %[1]s segment list 'birthday(customer.birth_date)'
  one message      %[2]s --project %[1]s preview oil-change
  what they wrote  %[2]s --project %[1]s replies
`, d.dir, sapa)
	if o.keep {
		fmt.Fprintf(d.stdout, "  what was caught  http://%s\n", d.mail.HTTPAddr())
	} else {
		fmt.Fprintf(d.stdout, "  what was caught  %s demo --keep  leaves the page of mails and texts and the links running\n", sapa)
	}
}

// verify compares the engine's books with those of the mail server, and both with themselves.
func (d *demo) verify(ctx context.Context) error {
	differences, err := report.Check(ctx, d.pool)
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		return fmt.Errorf("the totals differ from the ledger: %v", differences)
	}
	sent, err := d.count(ctx, `select count(*) from messages where state = 'sent' and channel in ('email', 'sms', 'whatsapp')`)
	if err != nil {
		return err
	}
	if accepted := d.mail.Counts().Accepted; sent != accepted || sent == 0 {
		return fmt.Errorf("the ledger says %d sent, the sandbox accepted %d", sent, accepted)
	}
	fmt.Fprintf(d.stdout, "\nThe books agree: %s sent by the ledger, %s accepted by the sandbox, %s of them texts.\n",
		thousands(sent), thousands(sent), thousands(d.mail.Counts().Texts))
	return nil
}
