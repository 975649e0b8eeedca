package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

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
	var t *templates.Template
	switch {
	case u.Content.SMS != nil:
		t = u.Content.SMS.Text
	case part == response.Text:
		t = u.Content.Email.Text
	default:
		t = u.Content.Email.HTML
	}
	return templates.Target(t.Links()[link].URL, query), nil
}

// seeded are the runs whose seeds this process has seen to, or does at this moment.
type seeded struct {
	mu   sync.Mutex
	runs map[int]bool
}

func (s *seeded) begin(run int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[run] {
		return false
	}
	if s.runs == nil {
		s.runs = map[int]bool{}
	}
	s.runs[run] = true
	return true
}

func (s *seeded) again(run int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, run)
}

// copySeeds sends the run's seeds their copies, made for the first of the customers who were just handed over, unless that
// was done before. What goes wrong with them is logged and noted beside them, and never the run's trouble.
func (s *sender) copySeeds(ctx context.Context, fill *filler, ready []filled) {
	e, run := s.engine, s.lease.run
	if len(fill.content.Seeds) == 0 || len(ready) == 0 || !e.seeded.begin(run) {
		return
	}
	if err := s.trySeeds(ctx, fill, ready[0].message); err != nil {
		e.seeded.again(run)
		if ctx.Err() == nil && s.permit() == nil {
			e.Log.Warn("seeds", slog.Int("run", run), slog.Any("error", err))
		}
	}
}

func (s *sender) trySeeds(ctx context.Context, fill *filler, first *message) error {
	missing, err := s.missingSeeds(ctx, fill.content.Seeds)
	if err != nil || len(missing) == 0 {
		return err
	}
	people, rows, err := fill.read(ctx, []*message{first})
	if err != nil {
		return err
	}
	copied, err := fill.composer.Compose(Person{Customer: people[first.CustomerKey], Rows: pick(rows, first, nil)}, PlainURLs{fill.content})
	if err != nil {
		return err
	}
	for _, address := range missing {
		if err := s.seed(ctx, copied, address, slices.Index(fill.content.Seeds, address)+1); err != nil {
			return err
		}
	}
	return nil
}

// missingSeeds are those that nobody has claimed yet.
func (s *sender) missingSeeds(ctx context.Context, seeds []string) ([]string, error) {
	rows, _ := s.engine.Pool.Query(ctx, `
		select a from unnest($3::text[]) with ordinality u(a, n)
		where not exists (select from seed_messages m where m.run_id = $1 and m.channel = $2 and m.address = a) order by n`,
		s.lease.run, s.lease.channel, seeds)
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for seeds of run %d: %w", s.lease.run, err)
	}
	return missing, nil
}

// seed sends one copy: it is claimed, committed, handed over, and its verdict recorded.
func (s *sender) seed(ctx context.Context, copied *channels.Message, address string, n int) error {
	if !s.await(ctx) {
		return errPaused
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	mine, err := s.claimSeed(ctx, address)
	if err != nil || !mine {
		return err
	}
	m := *copied
	m.Token = fmt.Sprintf("seed-%d-%d", s.lease.run, n)
	m.From, m.To = s.account.From, channels.Address{Addr: address}
	m.UnsubscribeURL, m.Date = "", s.engine.Now()
	if m.ReplyTo == "" {
		m.ReplyTo = s.account.ReplyTo
	}
	receipt, verdict := s.deliverOne(ctx, &m)
	return s.recordSeed(ctx, address, receipt, verdict)
}

// deliverOne hands one message over; one that the session never took is Unavailable, and one that it took and said nothing
// about Unknown.
func (s *sender) deliverOne(ctx context.Context, m *channels.Message) (receipt channels.Receipt, verdict error) {
	session := s.session
	s.session = nil
	in := make(chan *channels.Message, 1)
	in <- m
	close(in)
	verdict = channels.Unknown(errors.New("the channel gave no verdict"))
	cause := errors.New("the channel broke off")
	defer func() {
		v := channels.VerdictOf(verdict)
		s.judge(ctx, session, v != channels.VerdictUnknown && v != channels.VerdictUnavailable, cause)
	}()
	cause = session.Deliver(ctx, in, s.allow, func(_ *channels.Message, r channels.Receipt, err error) { receipt, verdict = r, err })
	if len(in) > 0 {
		verdict = channels.Unavailable(errPaused)
	}
	return receipt, verdict
}

// claimSeed commits that this process sends the seed its copy; false when somebody else does, or did, or nobody may.
func (s *sender) claimSeed(ctx context.Context, address string) (mine bool, err error) {
	_, suppressed, err := customer.Suppressed(ctx, s.engine.books, s.lease.channel, address)
	if err != nil {
		return false, err
	}
	err = s.engine.books.QueryRow(ctx, `
		insert into seed_messages (run_id, channel, address, state, worker, at, words)
		select @run::int, @channel::text, @address::text, case when @suppressed::boolean then 'skipped' else 'claimed' end, @worker::int,
		       @now::timestamptz, case when @suppressed::boolean then 'suppressed' end
		where exists (select from runs where id = @run and state = 'sending')
		on conflict do nothing
		returning state = 'claimed'`, pgx.NamedArgs{
		"run": s.lease.run, "channel": s.lease.channel, "address": address, "worker": s.lease.life.worker, "now": s.engine.Now(),
		"suppressed": suppressed,
	}).Scan(&mine)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim a seed of run %d: %w", s.lease.run, err)
	}
	return mine, nil
}

// recordSeed notes what became of a copy. One that was not handed over can be claimed again.
func (s *sender) recordSeed(ctx context.Context, address string, r channels.Receipt, verdict error) error {
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
	err := s.engine.persist(ctx, func(ctx context.Context) error {
		_, err := s.engine.books.Exec(ctx, sql, pgx.NamedArgs{
			"run": s.lease.run, "channel": s.lease.channel, "address": address, "worker": s.lease.life.worker,
			"state": state, "words": text(words), "now": s.engine.Now(),
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("record a seed of run %d: %w", s.lease.run, err)
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
