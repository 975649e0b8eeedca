package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/templates"
)

// PlainURLs lead where the author pointed: for messages that are nobody's, of which nothing is tracked.
type PlainURLs struct{ Content *Content }

// Open is empty: there is no pixel.
func (PlainURLs) Open() string { return "" }

// Unsubscribe is a page that does not exist.
func (PlainURLs) Unsubscribe() string { return "https://unsubscribe.invalid/preview" }

// Preferences is a page that does not exist.
func (PlainURLs) Preferences() string { return "https://preferences.invalid/preview" }

// Confirm is a page that does not exist.
func (PlainURLs) Confirm() string { return "https://confirm.invalid/preview" }

// Click is where the link leads.
func (u PlainURLs) Click(part response.Part, link int, query string) (string, error) {
	switch part {
	case response.HTML:
		return templates.Target(u.Content.Email.HTML.Links()[link].URL, query), nil
	case response.Text:
		return templates.Target(u.Content.Email.Text.Links()[link].URL, query), nil
	}
	return templates.Target(u.Content.ShortLink(link), query), nil
}

// seeded are the runs whose seeds this process has seen to, or does at this moment.
type seeded struct {
	mu   sync.Mutex
	runs map[seededRun]bool
}

// seededRun is what a run sends by one channel.
type seededRun struct {
	run     int
	channel string
}

func (s *seeded) begin(run seededRun) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[run] {
		return false
	}
	if s.runs == nil {
		s.runs = map[seededRun]bool{}
	}
	s.runs[run] = true
	return true
}

func (s *seeded) again(run seededRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, run)
}

// copySeeds sends the run's seeds their copies, made for one of the customers who were just handed over, unless that was done
// before. What goes wrong with them is logged and noted beside them, and never the run's trouble.
func (f *flow) copySeeds(ctx context.Context) {
	e, run := f.engine, seededRun{f.lease.run, f.lease.channel}
	if len(f.seeds()) == 0 || !e.seeded.begin(run) {
		return
	}
	if err := f.trySeeds(ctx); err != nil {
		e.seeded.again(run)
		if ctx.Err() == nil && f.permit() == nil {
			e.Log.Warn("seeds", slog.Int("run", run.run), slog.Any("error", err))
		}
	}
}

// seeds are those of the channel.
func (f *flow) seeds() []string { return f.fill.content.Seeds[f.lease.channel] }

func (f *flow) trySeeds(ctx context.Context) error {
	missing, err := f.missingSeeds(ctx, f.seeds())
	if err != nil || len(missing) == 0 {
		return err
	}
	people, rows, err := f.fill.read(ctx, []*message{f.sample})
	if err != nil {
		return err
	}
	who := Person{Customer: people[f.sample.CustomerKey], Rows: pick(rows, f.sample, nil), Event: f.sample.event}
	original, err := f.fill.composer.Compose(who, PlainURLs{f.fill.content})
	if err != nil {
		return err
	}
	for _, address := range missing {
		if err := f.seed(ctx, original, address, slices.Index(f.seeds(), address)+1); err != nil {
			return err
		}
	}
	return nil
}

// missingSeeds are those that nobody has claimed yet.
func (f *flow) missingSeeds(ctx context.Context, seeds []string) ([]string, error) {
	rows, _ := f.engine.Pool.Query(ctx, `
		select a from unnest($3::text[]) with ordinality u(a, n)
		where not exists (select from seed_messages m where m.run_id = $1 and m.channel = $2 and m.address = a) order by n`,
		f.lease.run, f.lease.channel, seeds)
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for seeds of run %d: %w", f.lease.run, err)
	}
	return missing, nil
}

// seed sends one copy: it is claimed, committed, handed over, and its verdict recorded.
func (f *flow) seed(ctx context.Context, original *channels.Message, address string, n int) error {
	if err := f.obstacle(ctx); err != nil {
		return err
	}
	mine, err := f.claimSeed(ctx, address)
	if err != nil || !mine {
		return err
	}
	m := *original
	m.Token = fmt.Sprintf("seed-%d-%d", f.lease.run, n)
	m.From, m.To = f.line.account.From, channels.Address{Addr: address}
	m.UnsubscribeURL, m.Date = "", f.engine.Now()
	if m.ReplyTo == "" {
		m.ReplyTo = f.line.account.ReplyTo
	}
	receipt, verdict := f.deliverOne(ctx, &m, -int64(n))
	return f.recordSeed(ctx, address, receipt, verdict)
}

// copied is one copy on its way.
type copied struct {
	*flow
	answer chan answer
}

func (c copied) verdict(mail *channels.Message, receipt channels.Receipt, err error) {
	c.answer <- answer{mail.ID, receipt, err}
}

// deliverOne hands one message over; one that the line does not take is Unavailable. It waits for a slot of the address's
// throttle, and uses one of the day's amount, under the name id, as other messages do.
func (f *flow) deliverOne(ctx context.Context, m *channels.Message, id int64) (channels.Receipt, error) {
	if err := f.await(ctx, f.engine.throttles[f.lease.channel].of(m.To.Addr)); err != nil {
		return channels.Receipt{}, channels.Unavailable(err)
	}
	ok, err := f.line.warm.take(ctx, id)
	if err == nil && !ok {
		err = errUsedUp
	}
	if err != nil {
		return channels.Receipt{}, channels.Unavailable(err)
	}
	receipt, verdict := f.offerOne(ctx, m)
	f.line.warm.settle(id, !receipt.HandedOver.IsZero() || channels.VerdictOf(verdict) == channels.VerdictUnknown)
	return receipt, verdict
}

// seedPatience is how long a copy waits for a slot of a throttle, and its batch with it; then it is tried again later.
const seedPatience = 5 * time.Second

// await waits for a slot of a throttle.
func (f *flow) await(ctx context.Context, t *throttle) error {
	if t == nil || t.pace.unlimited() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, seedPatience)
	defer cancel()
	at, err := t.pace.slot(ctx)
	if err != nil {
		return err
	}
	sleep(ctx, time.Until(at))
	return ctx.Err()
}

func (f *flow) offerOne(ctx context.Context, m *channels.Message) (channels.Receipt, error) {
	c := copied{f, make(chan answer, 1)}
	select {
	case f.line.offers <- []parcel{{m, c}}:
	case <-ctx.Done():
		return channels.Receipt{}, channels.Unavailable(errPaused)
	}
	a := <-c.answer
	return a.receipt, a.err
}

// claimSeed commits that this process sends the seed its copy; false when somebody else does, or did, or nobody may.
func (f *flow) claimSeed(ctx context.Context, address string) (mine bool, err error) {
	_, suppressed, err := customer.Suppressed(ctx, f.engine.books, f.lease.channel, address)
	if err != nil {
		return false, err
	}
	err = f.engine.books.QueryRow(ctx, `
		insert into seed_messages (run_id, channel, address, state, worker, at, words)
		select @run::int, @channel::text, @address::text, case when @suppressed::boolean then 'skipped' else 'claimed' end, @worker::int,
		       @now::timestamptz, case when @suppressed::boolean then 'suppressed' end
		where exists (select from runs where id = @run and state = 'sending')
		on conflict do nothing
		returning state = 'claimed'`, pgx.NamedArgs{
		"run": f.lease.run, "channel": f.lease.channel, "address": address, "worker": f.lease.life.worker, "now": f.engine.Now(),
		"suppressed": suppressed,
	}).Scan(&mine)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim a seed of run %d: %w", f.lease.run, err)
	}
	return mine, nil
}

// recordSeed notes what became of a copy. One that was not handed over can be claimed again.
func (f *flow) recordSeed(ctx context.Context, address string, r channels.Receipt, verdict error) error {
	state, words := "failed", cut(r.Words, channels.MaxWords)
	switch channels.VerdictOf(verdict) {
	case channels.VerdictAccepted:
		state = "sent"
	case channels.VerdictUnknown:
		state = "unknown"
	case channels.VerdictUnavailable:
		state = ""
	}
	if words == "" && verdict != nil {
		words = cut(verdict.Error(), channels.MaxWords)
	}
	sql := `update seed_messages set state = @state, words = @words, at = @now
		where run_id = @run and channel = @channel and address = @address and worker = @worker and state in ('claimed', 'unknown')`
	if state == "" {
		sql = `delete from seed_messages
			where run_id = @run and channel = @channel and address = @address and worker = @worker and state in ('claimed', 'unknown')`
	}
	err := f.engine.persist(ctx, func(ctx context.Context) error {
		_, err := f.engine.books.Exec(ctx, sql, pgx.NamedArgs{
			"run": f.lease.run, "channel": f.lease.channel, "address": address, "worker": f.lease.life.worker,
			"state": state, "words": text(words), "now": f.engine.Now(),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("record a seed of run %d: %w", f.lease.run, err)
	}
	if state == "" {
		return verdict
	}
	return nil
}

// loseSeeds makes copies unknown whose process stopped without saying.
func (e *Engine) loseSeeds(ctx context.Context) error {
	_, err := e.Pool.Exec(ctx, `
		update seed_messages set state = 'unknown', words = 'the process that held it stopped without saying'
		where state = 'claimed' and worker in (select id from workers where stopped_at is not null)`)
	if err != nil {
		return fmt.Errorf("take over seeds: %w", err)
	}
	return nil
}
