package calls

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	channeltest.RunTable(t, `select message_id from calls where message_id between $1 and $2 order by ctid`,
		func(_ *testing.T, table *channeltest.Table) channeltest.Provider { return list{table} })
}

// list is Sapa's own table, which takes every call that can be made.
type list struct{ *channeltest.Table }

func (l list) Channel() channels.Channel { return New(l.Own) }

func (list) Recipient(i int) channels.Address {
	return channels.Address{Name: "Budi", Addr: fmt.Sprintf("+6281200%05d", i)}
}

func (l list) Fill(m *channels.Message) {
	l.Table.Fill(m, map[string]string{Reason: "bought last year", Script: "Selamat pagi"})
}

func (list) Unfit() map[string]func(*channels.Message) {
	return map[string]func(*channels.Message){
		"no number":      func(m *channels.Message) { m.To.Addr = "" },
		"nothing to say": func(m *channels.Message) { m.Parts[Script] = " \n" },
		"no text":        func(m *channels.Message) { m.Parts[Reason] = "\x00" },
		"of no run":      func(m *channels.Message) { m.ID = 1 },
	}
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
