package campaign_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is to be sent has the first numbers of a run, in the order of keys, and what is skipped the last: a batch is a
// range without a gap, whether or not there are lanes.
func TestBatchesHaveNoGaps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		domains string
		want    []string
	}{
		"one lane":  {"", []string{": 500 of 500", ": 500 of 500", ": 80 of 80"}},
		"two lanes": {`, domains: {gmail.com: 20/s}`, []string{": 500 of 500", ": 100 of 100", "gmail.com: 480 of 480"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.resolve(strings.Replace(shopYAML, `.example>"}`, `.example>"`+c.domains+`}`, 1))
			s.exec(`insert into shop.customers (id, first_name, email, birth_date)
				select i, 'Budi', case when i % 10 > 0 then 'budi' || i || '@' || (array['gmail.com', 'mail.example'])[1 + i % 2] end, date '1990-11-23'
				from generate_series(1, 1200) i`)
			s.apply("birthday", birthdayYAML, nil)
			if _, plan := s.start("birthday"); plan.Planned != 1080 || plan.Skipped["no address"] != 120 {
				t.Fatalf("planned %d, skipped %v; want 1080 and 120", plan.Planned, plan.Skipped)
			}
			got := s.strings(`
				select format('%s: %s of %s', b.lane, count(*) filter (where m.state = 'planned'), b.hi - b.lo + 1)
				from batches b join messages m on m.id between b.lo and b.hi group by b.id order by b.id`)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if n := s.number(`select count(*) from messages m join messages next on next.id = m.id + 1
				where m.customer_key > next.customer_key and m.state = next.state
				  and not exists (select from batches b where b.lo = next.id)`); n != 0 {
				t.Errorf("%d messages of a batch are not in the order of keys", n)
			}
			s.addsUp()
		})
	}
}
