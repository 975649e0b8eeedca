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
	channels    []string
	messages    int
	workers     int
	connections int
	rate        int
	seed        uint64
	misbehave   string
	dir         string
	json        string
	lease       delivery.Lease
	waits       delivery.Waits
	harms       int // how often harm is done at most; 0: as long as there is enough to send
	fault       string
}

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
add up. Exit code 1 where it does not.

With --channel sms or whatsapp the sandbox is Twilio: it accepts and says nothing, hangs up, answers
with errors before and after it has accepted, asks to wait, and its reports come late, twice, in the
wrong order or never. Unknown messages are settled by reports, by looking them up, and the rest by
what an operator finds at the provider's. Several channels, or all, go side by side in one run.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.choose(c.Flags().Changed); err != nil {
				return err
			}
			return runDrill(c.Context(), a, o)
		},
	}
	c.Flags().StringSliceVar(&o.channels, "channel", []string{"email"}, "email, whatsapp, sms, several of them, or all")
	c.Flags().IntVar(&o.messages, "messages", 100_000, "how many customers there are; with whatsapp or sms 40000 where it is not given")
	c.Flags().IntVar(&o.workers, "workers", 3, "how many processes send")
	c.Flags().IntVar(&o.connections, "connections", 4, "connections of each process, to each account")
	c.Flags().IntVar(&o.rate, "rate", 1300, "messages per second, so that it lasts long enough to be killed; 0 is unlimited; with whatsapp or sms 400 where it is not given")
	c.Flags().Uint64Var(&o.seed, "seed", 0, "of the dice; 0 draws one, which is printed")
	c.Flags().StringVar(&o.misbehave, "misbehave", mailMisbehaviour, "what the sandbox does; sapa sandbox --help has the words")
	c.Flags().StringVar(&o.dir, "dir", "", "folder of the drill's project (default: .sapa/drill)")
	c.Flags().StringVar(&o.json, "json", "", "write the result to this file, too")
	c.Flags().StringVar(&o.fault, "fault", "", "plant a mistake in the engine, which the drill must find: early record, lost claim, late window, second try")
	return c
}

// drill is a running drill.
type drill struct {
	*app
	*session
	o       drillOptions
	mail    *sandbox.Server
	public  *os.File // the public listener of all processes; nil for mail
	door    string   // its address
	clock   drillClock
	crew    *crew
	planner *campaign.Planner
	run     int
	result  drillResult
}

// drillResult is what is printed and written to --json.
type drillResult struct {
	Channel             string  `json:"channel"`
	Seed                uint64  `json:"seed"`
	Audience            int     `json:"audience"`
	Accepted            int     `json:"accepted"`        // different messages that the sandbox took
	Lost                int     `json:"lost"`            // sent by the ledger and never accepted, or accounted for nowhere
	Duplicates          int     `json:"duplicates"`      // acceptances of a message after its first
	Misnamed            int     `json:"misnamed"`        // sent by the ledger under the name of another message at the provider's
	Unknown             int     `json:"unknown"`         // before the server's log was read; of texts all that were not settled by their own process
	UnknownAllowed      int     `json:"unknown_allowed"` // problems says how many these may be
	ByReport            int     `json:"settled_by_report,omitempty"`
	ByLookUp            int     `json:"settled_by_look_up,omitempty"`
	ByHand              int     `json:"settled_by_hand,omitempty"`
	HandSent            int     `json:"settled_by_hand_sent,omitempty"` // of those by hand: that had arrived
	UnknownAfterResolve int     `json:"unknown_after_resolve"`
	Failed              int     `json:"failed"`
	Skipped             int     `json:"skipped"`
	Kills               int     `json:"kills"`    // SIGKILL
	Stops               int     `json:"stops"`    // SIGSTOP past the lease
	Crashes             int     `json:"crashes"`  // of PostgreSQL
	Cut                 int     `json:"cut"`      // hand-overs without an answer: connections cut, time-outs, errors of the server
	Refusals            int     `json:"refusals"` // messages that the sandbox refused, for now or for good
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
		{r.Misnamed > 0, fmt.Sprintf("%s taken for others", thousands(r.Misnamed))},
		{r.Unknown > r.UnknownAllowed, fmt.Sprintf("%s unknown, and only %s may be", thousands(r.Unknown), thousands(r.UnknownAllowed))},
		{r.UnknownAfterResolve > 0, fmt.Sprintf("%s still unknown after everything was asked", thousands(r.UnknownAfterResolve))},
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
	if o.lease == (delivery.Lease{}) {
		o.lease = delivery.DefaultLease()
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
	d := &drill{app: private, o: o, result: drillResult{Channel: strings.Join(o.channels, " "), Seed: o.seed, Fault: o.fault}}
	d.clock = o.clock()
	d.now = d.clock.now
	mailDir := filepath.Join(o.dir, "mail")
	if err := os.RemoveAll(mailDir); err != nil {
		return nil, fmt.Errorf("empty the drill's mail folder: %w", err)
	}
	d.mail, err = sandbox.Start(ctx, sandbox.Config{
		Dir: mailDir, Log: d.log(), Misbehave: rules, Seed: o.seed, Late: o.lease.Silence / 2, Retry: drillTimeout / 8,
	})
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
	if d.public != nil {
		_ = d.public.Close() // nobody waits there any more
	}
	_ = d.mail.Close() // what it has was read
}

// conclude prints the result and writes it to a file.
func (d *drill) conclude() error {
	r := d.result
	fmt.Fprintf(d.stdout, `
  audience           %s
  accepted           %s by the sandbox
  failed, skipped    %s, %s
  lost               %s
  sent twice         %s
  unknown            %s of at most %s, and %s after %s
  what was done      %d kills, %d stops past the lease, %d crashes of PostgreSQL, %d without an answer, %s refusals; %.0f s
  taken over         at the latest %.0f s after a lost process's last heartbeat
`, thousands(r.Audience), thousands(r.Accepted), thousands(r.Failed), thousands(r.Skipped), thousands(r.Lost), thousands(r.Duplicates),
		thousands(r.Unknown), thousands(r.UnknownAllowed), thousands(r.UnknownAfterResolve), r.settled(), r.Kills, r.Stops, r.Crashes, r.Cut, thousands(r.Refusals), r.Seconds,
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
		return fmt.Errorf("the drill failed: %s; again with: sapa drill --channel %s --seed %d", strings.Join(list, ", "), strings.ReplaceAll(r.Channel, " ", ","), r.Seed)
	}
	fmt.Fprintln(d.stdout, "\nNothing was lost, nothing was sent twice, everything adds up.")
	return nil
}

// settled is by what unknown messages were settled, in words.
func (r drillResult) settled() string {
	if r.ByReport+r.ByLookUp+r.ByHand == 0 {
		return "the server's log was read"
	}
	return fmt.Sprintf("%s reports, %s look-ups and %s decisions by hand, by which %s had arrived",
		thousands(r.ByReport), thousands(r.ByLookUp), thousands(r.ByHand), thousands(r.HandSent))
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
