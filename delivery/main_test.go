package delivery_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// processEnv tells this test binary to be a process that sends.
const processEnv = "SAPA_DELIVERY_PROCESS"

func TestMain(m *testing.M) {
	if spec := os.Getenv(processEnv); spec != "" {
		if err := beProcess(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// The tests wait more than they work. A -parallel on the command line comes later and wins.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	pgtest.MainNoLeaks(m)
}

// spec is what a process that sends must know.
type spec struct {
	URL     string
	At      time.Time
	Sending sending
	Plan    bool // plan the campaign birthday, and send nothing
}

// beProcess sends until SIGTERM.
func beProcess(text string) error {
	var p spec
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := pg.Connect(ctx, p.URL, pg.Options{MaxConns: 12})
	if err != nil {
		return err
	}
	defer pool.Close()
	c, err := openCompany(ctx, pool, p.At)
	if err != nil {
		return err
	}
	if p.Plan {
		_, _, err := c.planner.Start(ctx, campaign.Start{Campaign: "birthday", Actor: "another process"})
		return err
	}
	e, err := c.engine(p.Sending)
	if err != nil {
		return err
	}
	return e.Run(ctx, c.planner.AddWorkers)
}

// process is another process that sends.
type process struct {
	shop  *shop
	cmd   *exec.Cmd
	ended chan error
}

// process starts this test binary as a process that sends.
func (s *shop) process(how sending) *process {
	s.t.Helper()
	if how.SMTP == "" {
		how.SMTP = s.mail.SMTPAddr()
	}
	if how.Lease == (delivery.Lease{}) {
		how.Lease = quick
	}
	return s.spawn(spec{Sending: how})
}

func (s *shop) spawn(what spec) *process {
	s.t.Helper()
	what.URL, what.At = pgtest.URL(s.pool), s.clock.now()
	text, err := json.Marshal(what)
	s.must(err)
	self, err := os.Executable()
	s.must(err)
	p := &process{shop: s, cmd: exec.Command(self), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), processEnv+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = os.Stdout, os.Stderr
	s.must(p.cmd.Start())
	go func() { p.ended <- p.cmd.Wait() }()
	s.t.Cleanup(func() { p.signal(syscall.SIGKILL); <-p.ended }) //nolint:errcheck // it was killed
	return p
}

// signal sends a signal; to a process that has ended it does nothing.
func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// wait waits until the process has ended.
func (p *process) wait() error {
	err := <-p.ended
	p.ended <- err // for the cleanup
	return err
}

// worker is the process's number in the table workers; 0 while it has none.
func (p *process) worker() int {
	return p.shop.number(`select coalesce(max(id), 0) from workers where pid = $1`, p.cmd.Process.Pid)
}
