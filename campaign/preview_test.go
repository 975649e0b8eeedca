package campaign_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
)

// setupPreview is a workshop with three customers: 2 has a birthday and two cars that are due, 10 has a car that is not.
func setupPreview(t *testing.T) *shop {
	t.Helper()
	s, _ := setupClock(t, "2026-11-23T07:00+07:00")
	s.exec(`insert into crm.dealers values (1, 'Bengkel Barat', 'Bandung')`)
	s.exec(`insert into crm.customers (id, first_name, full_name, email, birth_date, dealer_id, deleted_at) values
		(2, 'Siti', 'Siti Aminah', 'Siti@Mail.example', '1990-11-23', 1, null), (10, null, 'Budi', null, '1990-11-23', null, null),
		(11, 'Wayan', null, 'wayan@mail.example', '1990-01-01', null, null), (12, 'Gone', null, 'gone@mail.example', '1990-11-23', null, now())`)
	s.exec(`insert into crm.vehicles values (100, 2, 'B 100', 'Avanza', '2026-12-01'), (20, 2, 'B 20', null, '2026-11-25'),
		(30, 10, 'B 30', 'Jazz', '2027-11-25')`)
	return s
}

// preview composes from a single campaign file.
func (s *shop) preview(yaml, key string, tick time.Time) (*campaign.Preview, error) {
	s.t.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(yaml), "campaign: "), "\n")
	c := s.load(map[string]string{"campaigns/" + name + ".yaml": yaml})[0]
	return c.Preview(s.t.Context(), s.pool, key, tick, s.now(), "https://sapa.bengkel.example")
}

const previewBirthday = `
campaign: birthday
audience: {where: birthday(customer.birth_date)}
content:
  email:
    subject: "Selamat, {{ customer.first_name }}!"
    html: '<p><a href="https://bengkel.example/hadiah?c={{ customer.id }}#x">hadiah</a> {{ customer.dealer.name | default: "-" }} {{ today }}</p>'
    reply_to: CS <cs@Bengkel.example>
`

func TestPreview(t *testing.T) {
	t.Parallel()
	s := setupPreview(t)
	p, err := s.preview(previewBirthday, "", time.Time{})
	s.must(err)
	if p.CustomerKey != "2" || !p.Due || p.Rows != nil {
		t.Errorf("the first of the audience, by key: %+v", p)
	}
	m := p.Message
	got := []string{m.To.Name, m.To.Addr, m.ReplyTo, m.Subject, m.HTML, strings.TrimSpace(m.Text), m.Campaign, m.Topic, m.Date.UTC().Format(time.RFC3339)}
	want := []string{
		"Siti Aminah", "Siti@Mail.example", "cs@bengkel.example", "Selamat, Siti!",
		`<p><a href="https://bengkel.example/hadiah?c=2#x">hadiah</a> Bengkel Barat 2026-11-23</p>`,
		"hadiah: https://bengkel.example/hadiah?c=2#x Bengkel Barat 2026-11-23", "birthday", "birthday", "2026-11-23T00:00:00Z",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := s.number(`select (select count(*) from campaigns) + (select count(*) from audit_log) + (select count(*) from addresses)`); n != 0 {
		t.Errorf("a preview left %d rows", n)
	}
}

func TestPreviewOfOneCustomer(t *testing.T) {
	t.Parallel()
	s := setupPreview(t)
	p, err := s.preview(previewBirthday, "11", time.Time{})
	s.must(err)
	if p.CustomerKey != "11" || p.Due || p.Message.Subject != "Selamat, Wayan!" {
		t.Errorf("somebody outside the audience: %+v", p)
	}
	p, err = s.preview(previewBirthday, "11", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	s.must(err)
	if !p.Due || !strings.Contains(p.Message.HTML, "2027-01-01") {
		t.Errorf("on their birthday: %+v", p)
	}
	_, err = s.preview(previewBirthday, "10", time.Time{})
	want := `the message for customer 10 would fail: campaigns/birthday.yaml:6:24: customer.first_name is missing; give it a default: {{ customer.first_name | default: "…" }}`
	if err == nil || err.Error() != want {
		t.Errorf("a missing value:\n%v\nwant\n%s", err, want)
	}
	for key, want := range map[string]string{
		"12": "customer 12: not found", // deleted: no customer at all
		"99": "customer 99: not found",
		"x'": "customer x': not found",
	} {
		if _, err := s.preview(previewBirthday, key, time.Time{}); err == nil || err.Error() != want || !errors.Is(err, campaign.ErrNotFound) {
			t.Errorf("%s: %v, want %s", key, err, want)
		}
	}
	_, err = s.preview(previewBirthday, "", time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC))
	if err == nil || err.Error() != "nobody is in the audience now; name somebody with --customer, or another day with --as-of" {
		t.Errorf("an empty audience: %v", err)
	}
}

const previewOil = `
campaign: oil-change
audience:
  each: customer.vehicles as vehicle
  where: vehicle.next_service_on >= today() && vehicle.next_service_on <= today() + days(14)
  occasion: [vehicle.next_service_on, vehicle.id]
  MERGE
content:
  email:
    subject: Ganti oli
    text: "BODY"
`

func TestPreviewOfRows(t *testing.T) {
	t.Parallel()
	s := setupPreview(t)
	each := strings.NewReplacer("  MERGE\n", "", "BODY", "{{ vehicle.plate }} {{ vehicle.model | default: '-' }}").Replace(previewOil)
	merged := strings.NewReplacer("MERGE", "merge: customer", "BODY", "{% for v in vehicles %}{{ v.plate }}{% unless forloop.last %}, {% endunless %}{% endfor %}").Replace(previewOil)
	type result struct {
		Key, Text string
		Rows      []string
		Due       bool
	}
	for _, c := range []struct {
		name, yaml, key string
		want            result
	}{
		{"one row, the first occasion", each, "", result{"2", "B 20 -", []string{"20"}, true}},
		{"merged, in the order of occasions", merged, "", result{"2", "B 20, B 100", []string{"20", "100"}, true}},
		{"a customer without a due row", each, "10", result{"10", "B 30 Jazz", []string{"30"}, false}},
		{"merged, without a due row", merged, "10", result{"10", "B 30", []string{"30"}, false}},
	} {
		p, err := s.preview(c.yaml, c.key, time.Time{})
		s.must(err)
		if d := cmp.Diff(c.want, result{p.CustomerKey, strings.TrimSpace(p.Message.Text), p.Rows, p.Due}); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	if _, err := s.preview(each, "11", time.Time{}); err == nil || err.Error() != "customer 11: not found, or has no vehicles" {
		t.Errorf("a customer without a row: %v", err)
	}
}

// Every variable that a template may name has a value.
func TestPreviewHasEveryVariable(t *testing.T) {
	t.Parallel()
	s := setupPreview(t)
	p, err := s.preview(`
campaign: all
audience: {where: "true"}
content: {email: {subject: Halo, text: "{{ today }}|{{ run.date }}|{{ campaign.name }}|{{ campaign.topic }}|{{ locale }}|{{ unsubscribe_url }}"}}
`, "2", time.Time{})
	s.must(err)
	if got := strings.TrimSpace(p.Message.Text); !strings.HasPrefix(got, "2026-11-23|2026-11-23|all|all|id-ID|https://") {
		t.Error(got)
	}
}

// Where the rule is decided here, a preview of one customer asks nobody else: another's row would be an error.
func TestPreviewOfOneCustomerDecidedHere(t *testing.T) {
	t.Parallel()
	s := setupPreview(t)
	where := func(yaml, rule string) string { return strings.Replace(yaml, "where: ", "where: "+rule+" && ", 1) }
	birthday := strings.Replace(previewBirthday, "audience: {where: birthday(customer.birth_date)}", "audience:\n  where: birthday(customer.birth_date)", 1)
	slow := where(birthday, `(customer.full_name ?? "") matches "(\\bSiti|Budi\\b)"`)
	merged := where(strings.NewReplacer("MERGE", "merge: customer", "BODY", "{% for v in vehicles %}{{ v.plate }} {% endfor %}").Replace(previewOil), `(customer.full_name ?? "") matches "\\bSiti"`)
	s.exec(`alter table crm.customers rename to people`)
	s.exec(`create function crm.only(id bigint, name text) returns text language plpgsql volatile as
		$$ begin if id = 10 then raise 'customer % was asked', id; end if; return name; end $$`)
	s.exec(`create view crm.customers as select id, first_name, crm.only(id, full_name) as full_name, email, phone, birth_date, city, zone,
		plan, income, tags, topics, newsletter_ok, created_at, deleted_at, dealer_id from crm.people`)
	p, err := s.preview(slow, "2", time.Time{})
	s.must(err)
	if p.CustomerKey != "2" || !p.Due {
		t.Errorf("%+v", p)
	}
	p, err = s.preview(merged, "2", time.Time{})
	s.must(err)
	if d := cmp.Diff([]string{"20", "100"}, p.Rows); d != "" || !p.Due {
		t.Error(d, p)
	}
	if _, err := s.preview(slow, "", time.Time{}); err == nil || !strings.Contains(err.Error(), "customer 10 was asked") {
		t.Errorf("nobody is asked: %v", err)
	}
	s.exec(`delete from crm.vehicles where customer_id = 10`)
	s.exec(`delete from crm.people where id = 10`)
	if p, err = s.preview(slow, "", time.Time{}); err != nil || p.CustomerKey != "2" || !p.Due {
		t.Errorf("the first of the audience: %+v, %v", p, err)
	}
}
