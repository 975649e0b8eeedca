package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sapa-crm/sapa/delivery"
)

// crew are the processes of a drill. It keeps as many running as are wanted: one that ended is followed by another.
type crew struct {
	program string
	work    string // the last word on their command lines
	env     []string
	log     *os.File // where they say what they can't do
	public  *os.File // the listener that they share; nil: they have none
	door    string   // its address

	mu      sync.Mutex
	members []*member
	ending  bool
	ended   sync.WaitGroup
	failed  error // of one that ended by itself
}

// member is a running process.
type member struct {
	process *os.Process
	stopped bool // by SIGSTOP
	killed  bool
}

func newCrew(w drillWork, env []string, log, public *os.File, door string) (*crew, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	work, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("tell the drill's processes: %w", err)
	}
	return &crew{program: program, work: string(work), env: env, log: log, public: public, door: door}, nil
}

// hire starts a process.
func (c *crew) hire() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return nil
	}
	cmd := exec.Command(c.program, "drill-worker", c.work) //nolint:noctx // it is ended by signals
	cmd.Stderr, cmd.Env = c.log, c.env
	if c.public != nil {
		cmd.ExtraFiles = []*os.File{c.public}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a process of the drill: %w", err)
	}
	m := &member{process: cmd.Process}
	c.members = append(c.members, m)
	c.ended.Go(func() { c.leave(m, cmd.Wait()) })
	return nil
}

// leave notes that a process has ended.
func (c *crew) leave(m *member, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(o *member) bool { return o == m })
	if !m.killed && !c.ending && c.failed == nil {
		c.failed = fmt.Errorf("a process of the drill ended by itself: %w", err)
	}
}

// pick draws a process that is not stopped; nil when there is none, or when it would be the last.
func (c *crew) pick(dice *rand.Rand, spare int) *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	var awake []*member
	for _, m := range c.members {
		if !m.stopped && !m.killed {
			awake = append(awake, m)
		}
	}
	if len(awake) <= spare {
		return nil
	}
	return awake[dice.IntN(len(awake))]
}

func (c *crew) kill(m *member) error {
	c.mu.Lock()
	m.killed = true
	c.mu.Unlock()
	return m.process.Kill()
}

func (c *crew) stop(m *member) error {
	c.mu.Lock()
	m.stopped = true
	c.mu.Unlock()
	return m.process.Signal(syscall.SIGSTOP)
}

func (c *crew) wake(m *member) error {
	c.mu.Lock()
	m.stopped = false
	c.mu.Unlock()
	return m.process.Signal(syscall.SIGCONT)
}

// end tells all processes to stop and waits until they have.
func (c *crew) end() {
	c.mu.Lock()
	c.ending = true
	for _, m := range c.members {
		_ = m.process.Signal(syscall.SIGCONT) // it may be gone
		_ = m.process.Signal(syscall.SIGTERM)
	}
	c.mu.Unlock()
	gone := make(chan struct{})
	go func() { c.ended.Wait(); close(gone) }()
	for c.public != nil && !c.knock(gone) {
	}
	<-gone
}

// knock wakes who waits at the listener that all share, and says whether all are gone. Starting a process makes the listener's one file
// blocking for a moment, for all: who begins to wait just then hears of nothing but a caller.
func (c *crew) knock(gone <-chan struct{}) bool {
	if caller, err := net.Dial("tcp", c.door); err == nil { //nolint:noctx // it is on this machine, and somebody listens
		_ = caller.Close()
	}
	select {
	case <-gone:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

func (c *crew) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// havoc does harm until it is told that it is enough, and puts it right again.
type havoc struct {
	drill *drill
	crew  *crew
	dice  *rand.Rand
	lease delivery.Lease
	every time.Duration // from one harm to the next, at most
	crash int           // the harm at which PostgreSQL crashes
	most  int           // harms; 0 is no limit

	harms  int
	asleep *member
	wakeAt time.Time
	absent []time.Time // when others are hired for those that were killed
}

// run does harm until enough is closed; then it wakes and hires those that are missing.
func (h *havoc) run(ctx context.Context, enough <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	next := time.Now().Add(h.pause())
	done := false
	for !done || h.asleep != nil || len(h.absent) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-enough:
			done, enough = true, nil
		case now := <-tick.C:
			if err := h.mend(now); err != nil {
				return err
			}
			if !done && now.After(next) {
				next = now.Add(h.pause())
				if err := h.harm(ctx, now); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (h *havoc) pause() time.Duration {
	return h.every/4 + time.Duration(h.dice.Int64N(int64(h.every)*3/4))
}

// mend wakes who has slept past the lease, and hires for those who were killed.
func (h *havoc) mend(now time.Time) error {
	if h.asleep != nil && now.After(h.wakeAt) {
		if err := h.crew.wake(h.asleep); err != nil {
			return fmt.Errorf("wake a process: %w", err)
		}
		h.asleep = nil
	}
	for len(h.absent) > 0 && now.After(h.absent[0]) {
		if err := h.crew.hire(); err != nil {
			return err
		}
		h.absent = h.absent[1:]
	}
	return h.crew.failure()
}

// harm kills or stops a process, or crashes PostgreSQL, once.
func (h *havoc) harm(ctx context.Context, now time.Time) error {
	if h.most > 0 && h.harms == h.most {
		return nil
	}
	h.harms++
	if h.harms == h.crash {
		h.drill.result.Crashes++
		return h.drill.crashDatabase(ctx)
	}
	if h.asleep == nil && h.dice.IntN(4) == 0 {
		if m := h.crew.pick(h.dice, 1); m != nil {
			h.asleep, h.wakeAt = m, now.Add(h.lease.Silence+h.lease.Heartbeat+time.Duration(h.dice.Int64N(int64(h.lease.Heartbeat))))
			h.drill.result.Stops++
			return h.crew.stop(m)
		}
	}
	m := h.crew.pick(h.dice, 0)
	if m == nil {
		return nil
	}
	h.drill.result.Kills++
	h.absent = append(h.absent, now.Add(time.Duration(h.dice.Int64N(int64(h.every/2)))))
	slices.SortFunc(h.absent, time.Time.Compare)
	return h.crew.kill(m)
}
