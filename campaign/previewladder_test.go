package campaign_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

// A preview of a ladder is by the channel that a run would begin with for the customer, and says why; one that is asked for by its name
// is by that.
func TestPreviewOfLadder(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	c := s.load(map[string]string{"campaigns/oil.yaml": strings.Replace(ladderYAML, `where: "true"`, `where: "customer.id != 9"`, 1)})[0]
	people := func(values string) {
		s.exec(`insert into crm.customers (id, full_name, email, phone, prefers, newsletter_ok, sms_ok) values ` + values)
	}
	people(`(1, 'Ani', 'ani@mail.example', '0812-5555-1000', null, null, null), (2, 'Budi', 'budi@mail.example', '0812-5555-1001', ' SMS ', null, null),
		(3, 'Cici', 'cici@mail.example', null, 'whatsapp', null, null), (4, 'Dewi', 'dewi@mail.example', '0812-5555-1003', 'email', false, null),
		(5, 'Eko', null, null, 'pigeon', null, null), (6, 'Fani', 'fani@mail.example', '12', null, false, null), (9, 'Gita', null, '0812-5555-1009', 'sms', null, null)`)
	s.must(customer.Suppress(t.Context(), s.pool, "whatsapp", "+6281255551003", customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
	got := map[string]string{}
	see := func(name, key string, c *campaign.Campaign) {
		p, err := c.Preview(t.Context(), s.pool, key, time.Time{}, s.now(), "https://sapa.bengkel.example")
		s.must(err)
		got[name] = fmt.Sprintf("%s %s %v %q %d | %s", p.CustomerKey, p.Channel, p.Due, p.Skipped, len(p.Message.Parts["text"]+p.Message.Text), p.Way())
	}
	for _, key := range []string{"", "1", "2", "3", "4", "5", "6", "9"} {
		see("customer "+key, key, c)
	}
	see("by e-mail", "4", c.By("email"))
	want := map[string]string{
		"customer ":  `1 whatsapp true "" 4 | whatsapp, the first that reaches them`,
		"customer 1": `1 whatsapp true "" 4 | whatsapp, the first that reaches them`,
		"customer 2": `2 sms true "" 4 | sms, which they prefer`,
		"customer 3": `3 email true "" 4 | email, the first that reaches them; not whatsapp, which they prefer: no address; not sms: no address`,
		"customer 4": `4 sms true "" 4 | sms, the first that reaches them; not email, which they prefer: no consent; not whatsapp: suppressed`,
		"customer 5": `5 whatsapp true "no address" 4 | none reaches them: whatsapp: no address; sms: no address; email: no address; this would go by whatsapp`,
		"customer 6": `6 whatsapp true "no channel" 4 | none reaches them: whatsapp: bad address: too few digits; sms: bad address: too few digits; email: no consent; this would go by whatsapp`,
		"customer 9": `9 sms false "" 4 | sms, which they prefer`,
		"by e-mail":  `4 email true "no consent" 4 | `,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	run, _ := func() (*campaign.Run, *campaign.Plan) {
		s.apply("oil", ladderYAML, nil)
		return s.start("oil")
	}()
	for key, what := range s.planned(run.ID) {
		if p := got["customer "+key]; key != "9" && !strings.HasPrefix(p, key+" "+what+" true") && !strings.HasPrefix(p, fmt.Sprintf("%s whatsapp true %q", key, what)) {
			t.Errorf("customer %s: the run says %s, the preview %s", key, what, p)
		}
	}
}

// A message that would fail by another channel than the customer's is no trouble.
func TestPreviewOfLadderComposesOne(t *testing.T) {
	t.Parallel()
	s, _ := setupLadder(t)
	s.exec(`insert into crm.customers (id, full_name, email, phone) values (1, 'Ani', 'ani@mail.example', null)`)
	c := s.load(map[string]string{"campaigns/oil.yaml": strings.Replace(ladderYAML, `whatsapp: {text: "Halo"}`, `whatsapp: {text: "{{ customer.city }}"}`, 1)})[0]
	p, err := c.Preview(t.Context(), s.pool, "", time.Time{}, s.now(), "https://sapa.bengkel.example")
	s.must(err)
	if p.Channel != "email" || p.Message.To.Addr != "ani@mail.example" {
		t.Errorf("%+v", p)
	}
}
