package response

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
)

func TestKeywords(t *testing.T) {
	t.Parallel()
	const indonesia, america = "+628110000001", "+12025550123"
	for _, c := range []struct {
		text, from, to string
		want           keyword
	}{
		{"STOP", america, america, keywordStop},
		{" stop.\n", america, america, keywordStop},
		{"“Stop!” 🙏", america, america, keywordStop},
		{"s t o p", america, america, keywordStop},
		{"ＳＴＯＰ", america, america, keywordStop},
		{"Stop all", america, america, keywordStop},
		{"opt-out", america, america, keywordStop},
		{"UNSUB NEWS", america, america, keywordStop},
		{"unsubscribe me please", america, america, keywordStop},
		{"END", america, america, keywordStop},
		{"quit", america, america, keywordStop},
		{"cancel", america, america, keywordStop},
		{"BERHENTI", indonesia, america, keywordStop},
		{"Berhenti dong", indonesia, america, keywordNone},
		{"berhenti", america, indonesia, keywordStop},
		{"BERHENTI", america, america, keywordNone},
		{"unreg bengkel maju", indonesia, indonesia, keywordStop},
		{"unreg", america, america, keywordNone},
		{"don't stop", america, america, keywordNone},
		{"STOP tapi besok kirim lagi ya", indonesia, indonesia, keywordNone},
		{"stop sini", indonesia, indonesia, keywordNone},
		{"unsub saya dari semua pesan ini", indonesia, indonesia, keywordNone},
		{"stopped", america, america, keywordNone},
		{"START", america, america, keywordStart},
		{"mulai", indonesia, indonesia, keywordStart},
		{"Daftar", indonesia, indonesia, keywordStart},
		{"daftar servis", indonesia, indonesia, keywordNone},
		{"unstop", america, america, keywordStart},
		{"Yes", america, america, keywordAgain},
		{"ya", indonesia, indonesia, keywordAgain},
		{"ya", america, america, keywordNone},
		{"help?", america, america, keywordHelp},
		{"INFO", indonesia, indonesia, keywordHelp},
		{"bantuan", indonesia, indonesia, keywordHelp},
		{"", america, america, keywordNone},
		{"👍", america, america, keywordNone},
		{"stop" + string(make([]byte, 100)), america, america, keywordNone},
	} {
		if got := keywordOf(c.text, c.from, c.to); got != c.want {
			t.Errorf("%q from %s to %s is %s, want %s", c.text, c.from, c.to, got, c.want)
		}
	}
}

// No word means two things in one country.
func TestKeywordsAreDistinct(t *testing.T) {
	t.Parallel()
	everywhere := map[string]keyword{}
	for _, c := range countries() {
		for kind, words := range c.words {
			for _, w := range words {
				if is, known := everywhere[w]; known {
					t.Errorf("%s is %s and, below %q, %s", w, is, c.calling, kind)
				}
				everywhere[w] = kind
			}
		}
	}
}

// text is a customer's message; n is its number at the provider.
func (b *bundle) text(t testing.TB, h *Hooks, n, from, text string) string {
	t.Helper()
	answer, err := h.Inbound(t.Context(), "sms", channels.Inbound{ProviderID: n, From: from, To: "+628119999999", Text: text}, noon)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

const (
	toldStop  = "Bengkel Maju: Anda tidak akan menerima SMS dari kami lagi. Balas MULAI untuk menerimanya lagi."
	toldStart = "Bengkel Maju: Anda akan menerima SMS dari kami lagi. Balas BERHENTI untuk berhenti."
	toldHelp  = "Bengkel Maju: SMS ini kami kirim kepada pelanggan kami. Balas BERHENTI untuk berhenti menerimanya."
)

func (b *bundle) suppressions(t testing.TB) []string {
	t.Helper()
	return lines(t, b.pool, `select concat_ws(' ', channel, address, reason, source) from suppressions order by address`)
}

func TestStopAndStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	h := b.hooks(&settled{})
	const first, second = "+62811000000", "+62811000001"
	for _, c := range []struct{ n, from, text, want string }{
		{"IN1", first, "Terima kasih!", ""},
		{"IN2", first, "ya", ""},
		{"IN3", first, "berhenti", toldStop},
		{"IN4", first, "STOP", toldStop},
		{"IN5", second, "stop", toldStop},
		{"IN6", second, "Bantuan", toldHelp},
		{"IN7", second, "ya", toldStart},
		{"IN8", "+12025550123", "help", "Bengkel Maju: We send these texts to our customers. Reply STOP to get no more of them."},
		{"IN5", second, "stop", toldStop}, // repeated long after
		{"IN1", first, "Terima kasih!", ""},
	} {
		if got := b.text(t, h, c.n, c.from, c.text); got != c.want {
			t.Errorf("%s %q is answered %q, want %q", c.n, c.text, got, c.want)
		}
	}
	if diff := cmp.Diff([]string{"sms +62811000000 stop inbound 3"}, b.suppressions(t)); diff != "" {
		t.Errorf("suppressions (-want +got):\n%s", diff)
	}
	kept := lines(t, b.pool, `select concat_ws(' ', provider_id, kind, message_id - $1, customer_key, answer is not null) from inbound order by provider_id`, b.run.Base)
	if diff := cmp.Diff([]string{
		"IN1 reply 1 c1 f", "IN2 reply 1 c1 f", "IN3 stop 1 c1 t", "IN4 stop 1 c1 t", "IN5 stop 2 c2 t", "IN6 help 2 c2 t", "IN7 start 2 c2 t", "IN8 help t",
	}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 reply 12:00", "1 unsubscribe 12:00", "2 unsubscribe 12:00"}, b.responses(t)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"reply 2/1", "unsubscribe 3/2"}, totals(t, b.pool)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if n := len(lines(t, b.pool, `select id::text from consents`)); n > 0 {
		t.Errorf("%d consents were written; a STOP is about a number", n)
	}
	audit := lines(t, b.pool, `select concat_ws(' ', actor, action, subject) from audit_log order by id`)
	if diff := cmp.Diff([]string{
		"customer suppress inbound 3", "customer suppress inbound 4", "customer suppress inbound 5", "customer unsuppress inbound 7",
	}, audit); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

// START does not revive a number that is suppressed for another reason, and says nothing that is not true.
func TestStartLiftsOnlyTheCustomersOwnStop(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	h := b.hooks(&settled{})
	const number = "+62811000000"
	if err := customer.Suppress(t.Context(), b.pool, "sms", number, customer.Suppression{Reason: "hard bounce", Source: "message 1", At: noon}); err != nil {
		t.Fatal(err)
	}
	b.text(t, h, "IN1", number, "stop")
	if got := b.text(t, h, "IN2", number, "mulai"); got != "" {
		t.Errorf("answered %q", got)
	}
	if diff := cmp.Diff([]string{"sms +62811000000 hard bounce message 1"}, b.suppressions(t)); diff != "" {
		t.Errorf("suppressions (-want +got):\n%s", diff)
	}
	if got := b.text(t, h, "IN3", "+62811000001", "mulai"); got != toldStart {
		t.Errorf("somebody who never stopped is answered %q", got)
	}
}

// The same request many times at once acts once, and every copy has the same answer.
func TestInboundAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	h := b.hooks(&settled{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := b.text(t, h, "IN1", "+62811000003", "Stop"); got != toldStop {
				t.Errorf("answered %q", got)
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff([]string{"unsubscribe 1/1"}, totals(t, b.pool)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

// What the provider has answered is not answered twice; the company's own words come before ours.
func TestAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	h := b.hooks(&settled{})
	h.Answers = map[string]Answers{"sms": {Help: "Telepon 024-123456."}}
	in := channels.Inbound{ProviderID: "IN1", From: "+62811000000", To: "+62811", Text: "STOP", Answered: true}
	for range 2 {
		if got, err := h.Inbound(t.Context(), "sms", in, noon); err != nil || got != "" {
			t.Errorf("answered %q, %v", got, err)
		}
	}
	if len(b.suppressions(t)) != 1 {
		t.Error("not suppressed")
	}
	if got := b.text(t, h, "IN2", "+62811000001", "help"); got != "Telepon 024-123456." {
		t.Errorf("HELP is answered %q", got)
	}
	if got := b.text(t, h, "IN3", "+62811000001", "stop"); got != toldStop {
		t.Errorf("STOP is answered %q", got)
	}
}

// The last message that a person got is the one they answer, also where their number was written in two ways.
func TestReplyBelongsToTheLastMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.texts(t)
	h := b.hooks(&settled{})
	ledgertest.Exec(t, b.pool, `
		with a as (insert into addresses (channel, raw, normalised, hash)
			select 'sms', '0811 000 000', normalised, hash from addresses where raw = '+62811000000' returning id)
		update messages set address_id = a.id from a where messages.id in ($1, $2)`, b.run.Base+3, b.run.Base+9)
	b.text(t, h, "IN1", "+62811000000", "Besok jam 9 ya")
	if diff := cmp.Diff([]string{"3 reply 12:00"}, b.responses(t)); diff != "" { // 9 is still planned
		t.Errorf("responses (-want +got):\n%s", diff)
	}
	n, err := MarkSeen(t.Context(), b.pool, []int64{1, 2}, "rina", noon.Add(time.Hour))
	if err != nil || n != 1 {
		t.Errorf("%d marked, %v", n, err)
	}
	if n, err := MarkSeen(t.Context(), b.pool, []int64{1}, "rina", noon); err != nil || n != 0 {
		t.Errorf("%d marked again, %v", n, err)
	}
	if diff := cmp.Diff([]string{"rina read replies inbound {\"ids\": [1]}"},
		lines(t, b.pool, `select concat_ws(' ', actor, action, subject, detail) from audit_log`)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

// A text of any bytes and length can be kept.
func TestStrangeTexts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.hooks(&settled{})
	long := make([]byte, 70_000)
	b.text(t, h, "IN1", "+62811\x00", "a\x00b\xff"+string(long))
	b.text(t, h, "IN2", "TELKOMSEL", "")
	if got := lines(t, b.pool, `select concat_ws(' ', provider_id, length(body)) from inbound order by 1`); cmp.Diff([]string{"IN1 4000", "IN2 0"}, got) != "" {
		t.Errorf("kept %q", got)
	}
}
