package calls

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "mothers-day", "offers").Run(t, "once", 30*callsOfATest)
	var lists atomic.Int64
	channeltest.Run(t, func(t *testing.T) channeltest.Provider {
		return newList(t, pool, run.Base+(lists.Add(1)-1)*callsOfATest)
	})
}

// callsOfATest is more than a test of the suite hands over.
const callsOfATest = 50

// list is Sapa's own table, which takes every call that can be made.
type list struct {
	t    *testing.T
	pool *pgxpool.Pool // to look behind
	own  *pgxpool.Pool // the channel's
	base int64

	mu     sync.Mutex
	tokens map[int64]string
}

func newList(t *testing.T, pool *pgxpool.Pool, base int64) *list {
	l := &list{t: t, pool: pool, base: base, tokens: map[int64]string{}}
	var err error
	if l.own, err = pgxpool.NewWithConfig(t.Context(), l.pool.Config()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.own.Close)
	return l
}

func (l *list) Channel() channels.Channel { return New(l.own) }

func (l *list) Recipient(i int) channels.Address {
	return channels.Address{Name: "Budi", Addr: fmt.Sprintf("+6281200%05d", i)}
}

func (l *list) Fill(m *channels.Message) {
	m.ID += l.base
	m.Parts = map[string]string{Reason: "bought last year", Script: "Selamat pagi"}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens[m.ID] = m.Token
}

func (l *list) Unfit() map[string]func(*channels.Message) {
	return map[string]func(*channels.Message){
		"no number":      func(m *channels.Message) { m.To.Addr = "" },
		"nothing to say": func(m *channels.Message) { m.Parts[Script] = " \n" },
		"no text":        func(m *channels.Message) { m.Parts[Reason] = "\x00" },
		"of no run":      func(m *channels.Message) { m.ID = 1 },
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
	rows, _ := l.pool.Query(l.t.Context(), `select message_id from calls where message_id between $1 and $2 order by ctid`, l.base+1, l.base+callsOfATest)
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

// A call that comes again has the words of the last time. Where an agent has it, it stays theirs; where it was done, it
// begins anew.
func TestAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	run := ledgertest.NewCampaign(t, pool, "mothers-day", "offers").Run(t, "", 1)
	write := func(script string, at time.Time) string {
		t.Helper()
		err := (&session{pool}).write(t.Context(), &channels.Message{
			ID: run.Base + 1, To: channels.Address{Name: "Budi", Addr: "+628120000001"}, Locale: "id-ID", Date: at,
			Parts: map[string]string{Reason: "bought last year", Offer: "10 %", Script: script},
		})
		if channels.VerdictOf(err) != channels.VerdictPending {
			t.Fatal(err)
		}
		var got string
		err = pool.QueryRow(t.Context(), `select concat_ws(' ', run_id, customer_key, name, locale, reason, offer, script, to_char(due_at at time zone 'UTC', 'HH24:MI'), tries, claimed_by, outcome) from calls`).Scan(&got)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	equal := func(what, want, got string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	equal("first", "1 c1 Budi id-ID bought last year 10 % Halo 08:00 0", write("Halo", ledgertest.Tick))
	ledgertest.Exec(t, pool, `update calls set claimed_by = 'ani', claimed_at = now(), claimed_until = now(), tries = 2`)
	equal("an agent has it", "1 c1 Budi id-ID bought last year 10 % Hai 08:00 2 ani", write("Hai", ledgertest.Tick.Add(time.Hour)))
	ledgertest.Exec(t, pool, `update calls set claimed_by = null, claimed_at = null, claimed_until = null, done_at = now(), outcome = 'no answer'`)
	equal("done", "1 c1 Budi id-ID bought last year 10 % Hai 09:00 0", write("Hai", ledgertest.Tick.Add(time.Hour)))
}

func TestParseOutcome(t *testing.T) {
	t.Parallel()
	for _, o := range Outcomes() {
		if got, err := ParseOutcome(o.Arg()); err != nil || got != o {
			t.Errorf("%s is read as %s, %v", o.Arg(), got, err)
		}
	}
	if _, err := ParseOutcome("ordered"); err == nil || err.Error() != `no outcome "ordered"; did you mean "order"?` {
		t.Errorf("ordered: %v", err)
	}
	var kinds []string
	for _, o := range Outcomes() {
		kinds = append(kinds, o.Kind())
	}
	want := []string{"call_reached", "call_interested", "call_order", "call_back", "call_no_answer", "call_wrong_number", "call_do_not_call"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}
