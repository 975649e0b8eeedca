package letter

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "oil-change", "service").Run(t, "once", 30*lettersOfATest)
	var lists atomic.Int64
	channeltest.Run(t, func(t *testing.T) channeltest.Provider {
		return newList(t, pool, run.Base+(lists.Add(1)-1)*lettersOfATest)
	})
}

// lettersOfATest is more than a test of the suite hands over.
const lettersOfATest = 50

// list is Sapa's own table, which takes every letter that can be printed.
type list struct {
	t    *testing.T
	pool *pgxpool.Pool // to look behind
	own  *pgxpool.Pool // the channel's
	ch   *Channel
	base int64

	mu     sync.Mutex
	tokens map[int64]string
	clock  time.Time
}

func newList(t *testing.T, pool *pgxpool.Pool, base int64) *list {
	l := &list{t: t, pool: pool, base: base, tokens: map[int64]string{}, clock: noon()}
	var err error
	if l.own, err = pgxpool.NewWithConfig(t.Context(), l.pool.Config()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.own.Close)
	if l.ch, err = New(Config{Pool: l.own, Files: fstest.MapFS{}, Print: *company(), Now: l.now}); err != nil {
		t.Fatal(err)
	}
	return l
}

// now goes on with every question, so that letters are in an order.
func (l *list) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = l.clock.Add(time.Millisecond)
	return l.clock
}

func (l *list) Channel() channels.Channel { return l.ch }

func (l *list) Recipient(i int) channels.Address {
	return channels.Address{Name: "Budi", Addr: "Budi\nJl. Merdeka " + strings.Repeat("I", i%40+1) + "\nSemarang 50241\nID"}
}

func (l *list) Fill(m *channels.Message) {
	m.ID += l.base
	m.Parts = map[string]string{"text": "Halo", "size": "a4"}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens[m.ID] = m.Token
}

func (l *list) Unfit() map[string]func(*channels.Message) {
	return map[string]func(*channels.Message){
		"no address":      func(m *channels.Message) { m.To.Addr = "" },
		"nothing to say":  func(m *channels.Message) { m.Parts["text"] = "" },
		"not printable":   func(m *channels.Message) { m.Parts["text"] = "\x01" },
		"of no run":       func(m *channels.Message) { m.ID = 1 },
		"address too big": func(m *channels.Message) { m.To.Addr = strings.Repeat("a\n", 9) + "ID" },
	}
}

func (l *list) Traits() channeltest.Traits {
	return channeltest.Traits{
		Taken: channels.VerdictPending, Repeatable: true, NoReceipt: true,
		Never: []channeltest.Answer{
			channeltest.Refuse, channeltest.RefuseAddress, channeltest.RefuseForNow, channeltest.DropBefore, channeltest.DropAfter, channeltest.Hold,
		},
	}
}

func (l *list) Answer(channels.Address, channeltest.Answer) {}
func (l *list) Held() <-chan struct{}                       { return nil }
func (l *list) Release()                                    {}
func (l *list) Stop()                                       { l.own.Close() }

func (l *list) Accepted() []string {
	l.t.Helper()
	rows, _ := l.pool.Query(l.t.Context(), `select message_id from letters where message_id between $1 and $2 order by composed_at`, l.base+1, l.base+lettersOfATest)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var tokens []string
	for _, id := range ids {
		tokens = append(tokens, l.tokens[id])
	}
	return tokens
}
