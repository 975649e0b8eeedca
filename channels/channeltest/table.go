package channeltest

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// Table is most of the Provider of a channel that a person finishes: a table of Sapa's own, which takes all that can be used. What
// embeds it adds Channel, Recipient and Unfit, and calls Fill for its own.
type Table struct {
	Own *pgxpool.Pool // the channel's

	t        *testing.T
	pool     *pgxpool.Pool // to look behind
	accepted string
	base     int64
	mu       sync.Mutex
	tokens   map[int64]string
}

// atOnce is more than a test of the suite hands over.
const atOnce = 50

// RunTable runs the suite on tables: each test has messages of its own in one ledger. accepted is SQL that lists the messages
// that the table has between $1 and $2, in the order in which they came.
func RunTable(t *testing.T, accepted string, provider func(*testing.T, *Table) Provider) {
	t.Helper()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "by-hand", "offers").Run(t, "once", 30*atOnce)
	var tests atomic.Int64
	Run(t, func(t *testing.T) Provider {
		own, err := pgxpool.NewWithConfig(t.Context(), pool.Config())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(own.Close)
		base := run.Base + (tests.Add(1)-1)*atOnce
		return provider(t, &Table{Own: own, t: t, pool: pool, accepted: accepted, base: base, tokens: map[int64]string{}})
	})
}

// Fill makes a message one of the ledger's, with these parts.
func (l *Table) Fill(m *channels.Message, parts map[string]string) {
	m.ID, m.Parts = m.ID+l.base, parts
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens[m.ID] = m.Token
}

// Traits implements Provider: a table refuses nothing, and nobody answers at once.
func (*Table) Traits() Traits {
	return Traits{
		Taken: channels.VerdictPending, Repeatable: true, NoReceipt: true,
		Never: []Answer{Refuse, RefuseAddress, RefuseForNow, DropBefore, DropAfter, Hold},
	}
}

// Answer implements Provider.
func (*Table) Answer(channels.Address, Answer) {}

// Held implements Provider.
func (*Table) Held() <-chan struct{} { return nil }

// Release implements Provider.
func (*Table) Release() {}

// Stop implements Provider: the database is away.
func (l *Table) Stop() { l.Own.Close() }

// Accepted implements Provider.
func (l *Table) Accepted() []string {
	l.t.Helper()
	rows, _ := l.pool.Query(l.t.Context(), l.accepted, l.base+1, l.base+atOnce)
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
