package response

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pg"
)

// A key that was pressed is a reply to that very message, counted by its words, too; the one that means STOP suppresses the
// number for calls and for nothing else.
func TestPress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	hasher, err := customer.LoadHasher(t.Context(), b.pool)
	if err != nil {
		t.Fatal(err)
	}
	const number = "+62811000000"
	ledgertest.Exec(t, b.pool, `update messages set channel = 'voice'`)
	ledgertest.Exec(t, b.pool, `update addresses set channel = 'voice', normalised = $1, hash = $2`, number, hasher.Hash("voice", number))
	h := b.hooks(&settled{})
	press := func(n int64, sid, text string) {
		t.Helper()
		in := channels.Inbound{ProviderID: sid, From: number, To: "+622112345678", Text: text}
		if err := h.Press(t.Context(), "voice", b.urls.MessageToken(b.run.Base+n), in, noon); err != nil {
			t.Fatal(err)
		}
	}
	press(1, "CA1/1", "interested")
	press(1, "CA1/1", "interested") // repeated
	press(2, "CA2/1", "interested")
	press(3, "CA3/2", "ya")
	press(4, "CA4/9", "stop")
	kept := lines(t, b.pool, `select concat_ws(' ', channel, provider_id, kind, message_id - $1, customer_key, body) from inbound order by provider_id`, b.run.Base)
	if diff := cmp.Diff([]string{
		"voice CA1/1 reply 1 c1 interested", "voice CA2/1 reply 2 c2 interested", "voice CA3/2 reply 3 c3 ya", "voice CA4/9 stop 4 c4 stop",
	}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"voice +62811000000 stop inbound 5"}, b.suppressions(t)); diff != "" {
		t.Errorf("suppressions (-want +got):\n%s", diff)
	}
	answers := lines(t, b.pool, `select concat_ws(' ', answer, messages, answers) from report_answers order by answer`)
	if diff := cmp.Diff([]string{"interested 2 2", "ya 1 1"}, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	all := lines(t, b.pool, `select concat_ws(' ', kind, link, sum(total), sum(uniq)) from response_totals group by kind, link order by 1`)
	if diff := cmp.Diff([]string{"reply -1 3 3", "reply 0 3 3", "unsubscribe -1 1 1"}, all); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	in := channels.Inbound{ProviderID: "CA5/1", From: number, To: "+62", Text: "x"}
	if err := h.Press(t.Context(), "voice", "nonsense", in, noon); !errors.Is(err, ErrToken) {
		t.Error(err)
	}
	if err := h.Press(t.Context(), "voice", b.urls.MessageToken(1<<44+7), in, noon); err != nil { // of a preview
		t.Error(err)
	}
}

// Who has written since a time is known by channel and number.
func TestWroteSince(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.hooks(&settled{})
	in := channels.Inbound{ProviderID: "SM1", From: "+62811000000", To: "+62812", Text: "Halo"}
	if _, err := h.Inbound(t.Context(), "whatsapp", in, noon); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		channel, number string
		since           time.Time
		want            bool
	}{
		{"whatsapp", "+62811000000", noon, true},
		{"whatsapp", "+62811000000", noon.Add(time.Second), false},
		{"whatsapp", "+62811000001", noon, false},
		{"sms", "+62811000000", noon, false},
	} {
		w := NewWriters(test.channel, func() pg.DBTX { return b.pool })
		if got, err := w.WroteSince(t.Context(), test.number, test.since); err != nil || got != test.want {
			t.Errorf("%+v: %t, %v", test, got, err)
		}
	}
}

// On WhatsApp, customers are told of WhatsApp messages.
func TestWhatsAppAnswers(t *testing.T) {
	t.Parallel()
	h := &Hooks{HookOptions: HookOptions{Company: "Bengkel Maju"}}
	for k, want := range map[keyword]string{
		keywordStop: "Bengkel Maju: Anda tidak akan menerima pesan WhatsApp dari kami lagi. Balas MULAI untuk menerimanya lagi.",
		keywordHelp: "Bengkel Maju: Pesan WhatsApp ini kami kirim kepada pelanggan kami. Balas BERHENTI untuk berhenti menerimanya.",
		keywordNone: "",
	} {
		if got := h.answerTo("whatsapp", k, "+62811000000"); got != want {
			t.Errorf("%s is answered %q", k, got)
		}
	}
}
