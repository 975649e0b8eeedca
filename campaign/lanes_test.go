package campaign_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Messages to domains with a throttle stand in batches of their own, whatever moment they may go at; the ids of a batch are
// those of its lane, and nobody else's lie between them.
func TestLanes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.resolve(strings.Replace(shopYAML, `.example>"}`, `.example>", domains: {yahoo.com: {rate: 5/s, with: [ymail.com]}, gmail.com: 20/s}}`, 1))
	s.exec(`insert into shop.customers (id, first_name, email, birth_date)
		select i, 'Budi', 'budi' || i || '@' || (array['gmail.com', 'YMail.com', 'mail.example', 'yahoo.com', 'mail.gmail.com', 'mail.example'])[1 + i % 6], date '1990-11-23'
		from generate_series(1, 3600) i`)
	s.exec(`update shop.customers set email = null where id % 600 = 1`)
	s.apply("birthday", birthdayYAML, nil)
	r, plan := s.start("birthday")
	if plan.Planned != 3594 {
		t.Errorf("%d planned, want 3594", plan.Planned)
	}
	want := `: 500 mail.example,mail.gmail.com
: 500 mail.example,mail.gmail.com
: 500 mail.example,mail.gmail.com
: 300 mail.example,mail.gmail.com
gmail.com: 500 gmail.com
gmail.com: 100 gmail.com
yahoo.com: 500 yahoo.com,ymail.com
yahoo.com: 500 yahoo.com,ymail.com
yahoo.com: 194 yahoo.com,ymail.com`
	got := s.strings(`
		select b.lane || ': ' || count(*) || ' ' || string_agg(distinct a.domain, ',' order by a.domain)
		from batches b join messages m on m.id between b.lo and b.hi join addresses a on a.id = m.address_id
		where m.state = 'planned' group by b.id order by b.id`)
	if d := cmp.Diff(want, strings.Join(got, "\n")); d != "" {
		t.Error(d)
	}
	if n := s.number(`select count(*) from messages m where run_id = $1 and state = 'planned'
		and (select count(*) from batches b where m.id between b.lo and b.hi) <> 1`, r.ID); n != 0 {
		t.Errorf("%d messages are not in exactly one batch", n)
	}
	s.addsUp()
}
