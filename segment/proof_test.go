package segment

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// The proof draws rules and asks whom they choose. Every rule has a seed that also says over which rows it is asked, and a
// failure prints it:
//
//	go test ./segment -run TestSQLAgreesWithVM -rules 20000            many rules
//	go test ./segment -run TestSQLAgreesWithVM -for 10m -seed 0        for a time, with rules that nobody has seen
//	go test ./segment -run TestSQLAgreesWithVM -rules 1 -seed 4294967  one rule again
var (
	proofRules = flag.Int("rules", usualRules, "how many rules the proof asks")
	proofSeed  = flag.Uint64("seed", 1, "where the proof begins to draw; 0 is a seed that nobody has seen")
	proofFor   = flag.Duration("for", 0, "ask rules for this long, over new rows after every 20,000")
)

// usualRules are enough to notice while working; the race detector sees after a few how the workers share what they share,
// and make test asks the first ones of many more without it.
const usualRules, racedRules = 1000, 200

// nextRule is how far apart the seeds of two rules are. The low half stays the same: it is the seed of the rows, and two
// runs that begin at neighbouring seeds have no rule in common.
const nextRule = 1 << 32

func firstSeed() uint64 {
	if *proofSeed == 0 {
		return uint64(rand.Uint32()) + 1
	}
	return *proofSeed
}

// TestSQLAgreesWithVM is the proof: three databases, Go closures and expr's own VM choose the same people. It is not
// parallel, because shrinking a failure sets rapid's flags.
func TestSQLAgreesWithVM(t *testing.T) {
	seed, count, began := firstSeed(), *proofRules, time.Now()
	if raceDetector && count == usualRules {
		count = racedRules
	}
	if *proofFor > 0 {
		count = 20_000
	}
	for {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			p := newProof(t, seed)
			p.until(t, count, began)
			t.Logf("%d rules in %v; on %d of them expr's VM has an opinion; %d were too large", p.asked.Load(),
				time.Since(began).Round(time.Second), p.opinions.Load(), p.large.Load())
		})
		seed++
		if t.Failed() || time.Since(began) >= *proofFor {
			return
		}
	}
}

// proof asks rules over one world.
type proof struct {
	seed      uint64
	world     *world
	opinion   *opinion
	databases []*pgxpool.Pool

	asked, large, opinions atomic.Int64
}

func newProof(t *testing.T, seed uint64) *proof {
	w := newWorld(seed % nextRule)
	p := &proof{seed: seed, world: w, opinion: newOpinion(w)}
	options := testDatabases()
	for _, name := range slices.Sorted(maps.Keys(options)) {
		db := pgtest.Empty(t, append(options[name], pgtest.Setting("jit", "off"))...)
		w.create(t, db)
		p.databases = append(p.databases, db)
	}
	return p
}

// question is a rule and the moment at which it is asked.
type question struct {
	text  string
	clock Clock
}

// drawn is a question and what it was drawn from.
type drawn struct {
	question
	seed uint64
}

func (w *world) questions() *rapid.Generator[question] {
	return rapid.Custom(func(rt *rapid.T) question {
		g := &generator{t: rt, schema: w.schema, residual: rapid.Bool().Draw(rt, "residual")}
		return w.question(g.condition(3), w.clocks[g.n(len(w.clocks))])
	})
}

// until asks count rules in batches, as many at a time as there are processors, and shrinks the first that fails. Nothing
// new begins when the time of -for is up.
func (p *proof) until(t *testing.T, count int, began time.Time) {
	const size = 50
	var next atomic.Int64
	var failing failing
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			questions := p.world.questions()
			for !failing.any() && (*proofFor == 0 || time.Since(began) < *proofFor) {
				from := int(next.Add(size)) - size
				if from >= count {
					return
				}
				var batch []drawn
				for i := from; i < min(from+size, count); i++ {
					seed := p.seed + uint64(i)*nextRule
					batch = append(batch, drawn{questions.Example(int(seed)), seed}) //nolint:gosec // rapid takes the bits as they are
				}
				failing.add(p.batch(t.Context(), batch))
			}
		})
	}
	workers.Wait()
	if failing.any() {
		p.shrink(t, failing.first())
	}
}

// failing are the questions that were answered differently, of all workers.
type failing struct {
	mu   sync.Mutex
	list []drawn
}

func (f *failing) add(list []drawn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, list...)
}

func (f *failing) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.list) > 0
}

func (f *failing) first() drawn {
	return slices.MinFunc(f.list, func(a, b drawn) int { return int(a.seed/nextRule) - int(b.seed/nextRule) })
}

// shrink lets rapid draw the question again and make it smaller as long as it fails.
func (p *proof) shrink(t *testing.T, q drawn) {
	t.Logf("To repeat: go test ./segment -run TestSQLAgreesWithVM -rules 1 -seed %d", q.seed)
	for name, value := range map[string]string{"rapid.seed": fmt.Sprint(q.seed), "rapid.checks": "1", "rapid.nofailfile": "true"} {
		old := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		defer flag.Set(name, old) //nolint:errcheck // it was set before
	}
	questions := p.world.questions()
	rapid.Check(t, func(rt *rapid.T) { p.ask(rt, questions.Draw(rt, "question")) })
	t.Errorf("This rule failed, but not when it was asked again alone:\n%s\nclock %v", q.text, q.clock)
}

// ask compares all answers to one question.
func (p *proof) ask(t fataler, q question) {
	p.opinion.check(t, p.world, q.text, q.clock)
	for _, db := range p.databases {
		p.world.compare(t, db, q.text, q.clock)
	}
}

// batch finds those that fail among questions, which each database is asked in one go.
func (p *proof) batch(ctx context.Context, questions []drawn) (failing []drawn) {
	var trials []*trial
	for _, q := range questions {
		switch tried, err := p.try(q.question); {
		case errors.Is(err, errTooLarge):
			p.large.Add(1)
		case err != nil:
			failing = append(failing, q)
		default:
			tried.drawn = q
			trials = append(trials, tried)
		}
	}
	p.asked.Add(int64(len(questions)))
	for _, found := range p.inAll(ctx, trials) {
		failing = append(failing, found...)
	}
	return failing
}

// inAll asks all databases at the same time.
func (p *proof) inAll(ctx context.Context, trials []*trial) [][]drawn {
	found := make([][]drawn, len(p.databases))
	var asking sync.WaitGroup
	for i, db := range p.databases {
		asking.Go(func() { found[i] = p.in(ctx, db, trials) })
	}
	asking.Wait()
	return found
}

// in finds the questions that a database answers differently than the VM. Where a statement of a batch fails, all of them
// are asked one by one, so that the right one is told.
func (p *proof) in(ctx context.Context, db *pgxpool.Pool, trials []*trial) (failing []drawn) {
	answers, err := askTogether(ctx, db, trials)
	for i, tried := range trials {
		if err != nil {
			if attempt(func(t fataler) { p.world.compare(t, db, tried.text, tried.clock) }) != nil {
				failing = append(failing, tried.drawn)
			}
			continue
		}
		if disagreement(answers[i], tried.ours, tried.query.Exact) != "" {
			failing = append(failing, tried.drawn)
		}
	}
	return failing
}

func askTogether(ctx context.Context, db *pgxpool.Pool, trials []*trial) ([][]int64, error) {
	var batch pgx.Batch
	for _, tried := range trials {
		q := tried.query
		batch.Queue("select coalesce(array_agg(c.id order by c.id), '{}') from "+q.From+" where "+q.Where, q.Args.Values()...)
	}
	results := db.SendBatch(ctx, &batch)
	answers := make([][]int64, len(trials))
	var err error
	for i := range trials {
		err = errors.Join(err, results.QueryRow().Scan(&answers[i]))
	}
	return answers, errors.Join(err, results.Close())
}

// trial is a question that the two VMs answered alike.
type trial struct {
	drawn
	query *Query
	ours  []int64
}

var errTooLarge = errors.New("too large")

// try has everything done that needs no database.
func (p *proof) try(q question) (tried *trial, err error) {
	scope := testScope(p.world.schema)
	rule, problems := ParseRule(Text(q.text), scope)
	if problems != nil && tooBig(problems.Error()) {
		return nil, errTooLarge
	}
	if problems != nil {
		return nil, problems.Err()
	}
	tried = &trial{}
	if tried.query, err = Audience(scope, nil, rule, &Args{}, q.clock); err != nil {
		return nil, err
	}
	err = attempt(func(t fataler) {
		tried.ours = p.world.match(t, rule, q.clock)
		if p.opinion.has(rule) {
			p.opinions.Add(1)
			p.opinion.compare(t, p.world, rule, tried.ours, q.clock)
		}
	})
	return tried, err
}
