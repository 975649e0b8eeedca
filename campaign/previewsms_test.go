package campaign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
)

const oilSMS = `
campaign: oil-change-sms
audience:
  each: customer.vehicles as vehicle
  where: vehicle.next_service_on >= today() && vehicle.next_service_on <= today() + days(14)
  occasion: [vehicle.id, vehicle.next_service_on]
  merge: customer
channels: [sms]
content:
  sms:
    text: |
      Halo {{ customer.first_name }}, {{ vehicles | map: 'plate' | join: ', ' }} sudah waktunya ganti oli: {{ 'https://bengkel.example/booking' | link: c: customer.id }}
      {% if customer.city %}
      Bengkel {{ customer.city }}
      {% endif %}
      Berhenti: {{ unsubscribe_url }}
`

// A text is shown as long as it will be, with what it costs and where its links lead.
func TestPreviewOfText(t *testing.T) {
	t.Parallel()
	s := setupPreview(t)
	s.resolve(strings.Replace(crmYAML, "  phone: phone\n", "  phone: phone\n  region: {column: city, default: ID}\n", 1))
	s.exec(`update crm.customers set phone = '0812-3456-7890', first_name = E'Siti\r\n\tA’' where id = 2`)
	p, err := s.preview(oilSMS, "2", time.Time{})
	s.must(err)
	want := &campaign.Preview{
		CustomerKey: "2", Channel: "sms", Rows: []string{"100", "20"}, Due: true, Address: "0812-3456-7890", Number: "+6281234567890",
		Links: []campaign.ExampleLink{
			{Short: "https://sapa.bengkel.example/s/Ab3dE9x0", Target: "the customer's page to unsubscribe"},
			{Short: "https://sapa.bengkel.example/s/Ab3dE9x1", Target: "https://bengkel.example/booking?c=2"},
		},
		Cost: &campaign.TextCost{
			Characters: 143, Encoding: "UCS-2", Segments: 3, Otherwise: 1,
			Costly: []campaign.CostlyCharacter{{Character: "’", At: 13, Instead: "'"}},
		},
	}
	text := "Halo Siti\n A’, B 100, B 20 sudah waktunya ganti oli: https://sapa.bengkel.example/s/Ab3dE9x1\n\nBerhenti: https://sapa.bengkel.example/s/Ab3dE9x0"
	if d := cmp.Diff(text, p.Message.Text); d != "" {
		t.Error(d)
	}
	if m := p.Message; m.HTML+m.Subject+m.UnsubscribeURL != "" || m.To.Name != "Siti Aminah" {
		t.Errorf("%+v", m)
	}
	p.Message = nil
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
}

// Whom no text reaches is shown with the reason of the address book; the region is the customer's own where it is one.
func TestPreviewOfNumbers(t *testing.T) {
	t.Parallel()
	s := setupPreview(t)
	s.resolve(strings.Replace(crmYAML, "  phone: phone\n", "  phone: phone\n  region: {column: city, default: ID}\n", 1))
	const yaml = "\ncampaign: all\naudience: {where: \"true\"}\ncontent: {sms: {text: Halo}}\n"
	for _, c := range []struct{ phone, city, number, unusable string }{
		{"0812 3456 7890", "", "+6281234567890", ""},
		{"0412 345 678", " au", "+61412345678", ""},
		{"0812 3456 7890", "Semarang", "+6281234567890", ""},
		{"024 6700100", "", "", "not a mobile number"},
		{"", "", "", ""},
	} {
		s.exec(`update crm.customers set phone = nullif($1, ''), city = $2 where id = 2`, c.phone, c.city)
		p, err := s.preview(yaml, "2", time.Time{})
		s.must(err)
		if d := cmp.Diff([]string{c.phone, c.number, c.unusable}, []string{p.Address, p.Number, p.Unusable}); d != "" {
			t.Error(d)
		}
	}
	p, err := s.preview(yaml, "", time.Time{})
	s.must(err)
	if p.CustomerKey != "10" && p.CustomerKey != "2" {
		t.Errorf("%+v", p)
	}
}
