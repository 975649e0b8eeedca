package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
)

// setupLadder is a workshop that reaches customers by WhatsApp, texts and e-mail, who may prefer one of them.
func setupLadder(t *testing.T) (*shop, *clock) {
	t.Helper()
	s, c := setupClock(t, "2026-11-23T09:00+07:00")
	s.exec(`alter table crm.customers add sms_ok boolean, add prefers text`)
	s.resolve(strings.NewReplacer(
		"consent: {default: granted, email: newsletter_ok}", "region: {default: ID}\n  preferred_channel: prefers\n  consent: {default: granted, email: newsletter_ok, sms: sms_ok}",
	).Replace(crmYAML) + `
channels:
  email: {smtp: "smtp://127.0.0.1:1", from: halo@bengkel.example, cost: 5 IDR}
  sms: {twilio: "http://AC0123456789abcdef0123456789abcdef:token@127.0.0.1:1", from: "+628111234567", cost: 350 IDR}
`)
	return s, c
}

const ladderYAML = `
campaign: oil
topic: service
audience: {where: "true", occasion: today()}
channels: [whatsapp, sms, email]
content:
  whatsapp: {text: "Halo"}
  sms: {text: Halo}
  email: {subject: Halo, text: Halo}
`

// ladderPeople makes n customers with and without addresses, numbers, opt-ins, entries in the consent ledger, suppressed addresses
// and preferences.
func (s *shop) ladderPeople(r *rand.Rand, n int) {
	s.t.Helper()
	pick := func(values ...any) any { return values[r.IntN(len(values))] }
	for i := 1; i <= n; i++ {
		mail, phone := fmt.Sprintf("budi%d@mail.example", i), fmt.Sprintf("0812%08d", 10000000+i)
		s.exec(`insert into crm.customers (id, full_name, email, phone, newsletter_ok, sms_ok, prefers) values ($1, 'Budi', $2, $3, $4, $5, $6)`, i,
			pick(mail, mail, nil, "", "nobody at all"), pick(phone, phone, nil, "12", "021 555 0101"), pick(nil, nil, true, false), pick(nil, nil, true, false),
			pick(nil, "", "email", " SMS ", "whatsapp", "pigeon", "letter"))
		for range r.IntN(3) {
			c := customer.ConsentChange{CustomerKey: fmt.Sprint(i), Channel: pick("email", "sms", "whatsapp", "*").(string), Topic: pick("service", "*", "other").(string), Source: "test", At: s.now()}
			switch r.IntN(4) {
			case 0:
				c.Until = s.now().Add(time.Duration(r.IntN(3)-1) * 24 * time.Hour).Add(time.Hour)
			case 1:
				c.Resumes = true
			default:
				c.Granted = r.IntN(2) == 0
			}
			s.must(customer.SetConsent(s.t.Context(), s.pool, c))
		}
		for _, channel := range []string{"email", "sms", "whatsapp"} {
			if address := map[bool]string{true: mail, false: "+62" + phone[1:]}[channel == "email"]; r.IntN(8) == 0 {
				s.must(customer.Suppress(s.t.Context(), s.pool, channel, address, customer.Suppression{Reason: "complaint", Source: "test", At: monday}))
			}
		}
		if r.IntN(15) == 0 {
			s.exec(`insert into erasures (customer_key, key_hash, at, actor, row_present) values ($1, '\x00', $2, 'test', true)`, fmt.Sprint(i), monday)
		}
	}
}

// modelled is by which channel a customer is reached, or why by none, as Go sees it.
func (s *shop) modelled(key string, order []string) string {
	s.t.Helper()
	ctx := s.t.Context()
	erased, err := customer.ErasedAt(ctx, s.pool, key)
	s.must(err)
	if !erased.IsZero() {
		return "erased"
	}
	person, err := s.schema.Person(ctx, s.pool, key)
	s.must(err)
	ledger, err := customer.ReadLedger(ctx, s.pool, key)
	s.must(err)
	var prefers *string
	s.must(s.pool.QueryRow(ctx, `select lower(btrim(prefers)) from crm.customers where id::text = $1`, key).Scan(&prefers))
	order = slices.Clone(order)
	if prefers != nil {
		slices.SortStableFunc(order, func(a, b string) int { return strings.Compare(fmt.Sprint(a != *prefers), fmt.Sprint(b != *prefers)) })
	}
	var reasons []string
	for _, channel := range order {
		reason := s.unreached(person, ledger, channel)
		if reason == "" {
			return channel
		}
		reasons = append(reasons, reason)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(reasons)))) > 1 {
		return "no channel"
	}
	return reasons[0]
}

func (s *shop) unreached(person *customer.Person, ledger customer.Ledger, channel string) string {
	raw, region := person.Addresses[channel], ""
	if raw == "" {
		return "no address"
	}
	if customer.Regional(channel) {
		region = person.Region
	}
	a, err := customer.Normalise(channel, raw, region)
	s.must(err)
	if !a.Usable() {
		return "bad address" + map[bool]string{true: ": " + a.Reason}[customer.Regional(channel)]
	}
	_, suppressed, err := customer.Suppressed(s.t.Context(), s.pool, channel, a.Normalised)
	s.must(err)
	st := s.schema.Standing(ledger, person.Opted(channel), channel, "service", s.now())
	switch {
	case suppressed:
		return "suppressed"
	case st.Granted:
		return ""
	case st.Paused():
		return "paused"
	}
	return "no consent"
}

// planned is what became of each customer: the channel of who is planned, else the reason.
func (s *shop) planned(run int) map[string]string {
	s.t.Helper()
	rows, _ := s.pool.Query(s.t.Context(), `select customer_key, case when state = 'planned' then channel else reason end from messages where run_id = $1 and step = 0`, run)
	got := map[string]string{}
	var key, what string
	_, err := pgx.ForEachRow(rows, []any{&key, &what}, func() error { got[key] = what; return nil })
	s.must(err)
	return got
}

// The channel is the first that reaches the customer, as an independent model of it says: random addresses, opt-ins, entries,
// suppressions, preferences.
func TestChannelChoice(t *testing.T) {
	t.Parallel()
	const people = 150
	s, _ := setupLadder(t)
	seed := uint64(time.Now().UnixNano())
	s.ladderPeople(rand.New(rand.NewPCG(seed, 1)), people)
	for name, order := range map[string][]string{"oil": {"whatsapp", "sms", "email"}, "two": {"email", "sms"}} {
		text := strings.NewReplacer("campaign: oil", "campaign: "+name, "[whatsapp, sms, email]", "["+strings.Join(order, ", ")+"]").Replace(ladderYAML)
		if name == "two" {
			text = strings.Replace(text, "  whatsapp: {text: \"Halo\"}\n", "", 1)
		}
		s.apply(name, text, nil)
		want, kinds := map[string]string{}, map[string]int{}
		for i := range people {
			key := fmt.Sprint(i + 1)
			what := s.modelled(key, order)
			if kinds[what]++; what != "erased" {
				want[key] = what
			}
		}
		run, plan := s.start(name)
		got := s.planned(run.ID)
		for key := range got {
			if strings.HasPrefix(key, "erased:") {
				delete(got, key)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("seed %d, %s: %s", seed, name, d)
		}
		for _, c := range plan.Channels {
			if c.Messages != kinds[c.Channel] {
				t.Errorf("seed %d: the plan says %d by %s, want %d", seed, c.Messages, c.Channel, kinds[c.Channel])
			}
		}
		if len(kinds) < 5 {
			t.Errorf("seed %d: too few kinds: %v", seed, kinds)
		}
		for _, batch := range s.strings(`select b.id || ' ' || string_agg(distinct m.channel, ' ') from batches b join messages m on m.id between b.lo and b.hi group by b.id having count(distinct m.channel) > 1 or min(m.channel) <> min(b.channel)`) {
			t.Errorf("a batch is not of one channel: %s", batch)
		}
		if plan.Odd == 0 {
			t.Error("odd preferences are not counted")
		}
	}
	s.climbedRight()
}

// climbedRight checks the accounts of every run, and that of each occasion at most one rung is on its way.
func (s *shop) climbedRight() {
	s.t.Helper()
	for what, sql := range map[string]string{
		"runs do not add up": `select run_id::text from report_runs where not adds_up`,
		"totals differ from the ledger": `select run_id || ' ' || state || ' ' || reason from (
			(select run_id, state::text, coalesce(reason, '') as reason, count(*) from messages group by 1, 2, 3
			 except select run_id, state, reason, sum(delta) from run_totals where state not in ('audience', 'already', 'rung') group by 1, 2, 3)
			union all
			(select run_id, state, reason, sum(delta) from run_totals where state not in ('audience', 'already', 'rung') group by 1, 2, 3 having sum(delta) <> 0
			 except select run_id, state::text, coalesce(reason, ''), count(*) from messages group by 1, 2, 3)) x`,
		"rungs are not counted": `select r.id::text from runs r where (select coalesce(sum(delta), 0) from run_totals t where t.run_id = r.id and t.state = 'rung')
			<> (select count(*) from messages m where m.run_id = r.id and m.step > 0)`,
		"occasions are planned twice": `select o.customer_key || ' ' || o.occasion from occasions o join messages m on m.id = o.message_id
			where m.state in ('planned', 'claimed') group by campaign_id, o.customer_key, occasion having count(*) > 1`,
		"messages are on their way without their first occasion being spent": `select m.id::text from messages m join occasions o on o.message_id = m.id
			join occasions f on (f.campaign_id, f.customer_key, f.occasion, f.step) = (o.campaign_id, o.customer_key, o.occasion, 0)
			where m.state not in ('failed', 'skipped') and not f.spent`,
		"messages lie outside of their run": `select m.id::text from messages m join runs r on r.id = m.run_id where m.id > r.message_base + r.message_count`,
		"batches overlap":                   `select a.id || ' ' || b.id from batches a join batches b on b.run_id = a.run_id and b.id > a.id and a.lo <= b.hi and b.lo <= a.hi`,
		"planned messages are in no batch": `select m.id::text from messages m where m.state = 'planned' and not exists (
			select from batches b where b.run_id = m.run_id and m.id between b.lo and b.hi and b.channel = m.channel)`,
	} {
		if list := s.strings(sql); len(list) > 0 {
			s.t.Errorf("%s: %v", what, list)
		}
	}
}
