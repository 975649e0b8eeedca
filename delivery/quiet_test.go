package delivery_test

import (
	"strings"
	"testing"
	"time"
)

// A message that became due before the quiet hours and is claimed within them waits for their end, where its customer lives;
// unless it is too late then.
func TestQuietHoursAtTheClaim(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(6)
	s.exec(`update shop.customers set timezone = case id when 1 then 'Asia/Jakarta' when 2 then null when 3 then 'Mars/Olympus'
		when 4 then 'Asia/Jayapura' when 5 then 'Europe/Berlin' when 6 then 'Pacific/Pago_Pago' end`)
	s.exec(`update shop.customers set email = 'later@mail.example' where id = 6`)
	s.applyAll("night", `limits: {quiet_hours: "20:00-07:00"}`)
	evening := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC) // 15:00 in Jakarta, 17:00 in Jayapura, 9:00 in Berlin, 21:00 in Pago Pago
	s.clock.set(evening)
	run := s.startNamed("night")
	s.must(s.planner.Pause(t.Context(), run, "tester", ""))
	s.clock.set(evening.Add(5*time.Hour + 30*time.Minute)) // 20:30 in Jakarta, 14:30 in Berlin
	s.must(s.planner.Resume(t.Context(), run, "tester"))
	s.run(sending{Connections: 1})
	s.until("the rest waits", func() bool { return s.outcomes(run) == "planned 5, sent 1" && s.idle(run) })
	want := "1 11-24 00:00, 2 11-24 00:00, 3 11-24 00:00, 4 11-23 22:00, 6 11-23 18:00"
	if got := s.text(`select string_agg(customer_key || to_char(not_before at time zone 'UTC', ' MM-DD HH24:MI'), ', ' order by customer_key) from messages where state = 'planned'`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.exec(`update messages set not_after = case customer_key when '1' then timestamptz '2026-11-24 00:00+00' when '4' then '2026-11-23 22:00:01+00' end,
		not_before = case when customer_key in ('1', '4') then $1 else not_before end where state = 'planned'`, evening)
	s.exec(`update batches set due_at = $1`, evening)
	s.until("one is too late", func() bool { return s.outcomes(run) == "planned 4, sent 1, skipped too late 1" && s.idle(run) })
	s.clock.set(time.Date(2026, 11, 24, 0, 0, 1, 0, time.UTC))
	s.until("all are through", func() bool { return s.progress(run).Waiting() == 0 || s.progress(run).Resting != nil })
	s.checkBooks()
}

// A retry that would come within the quiet hours is planned for their end, and not at all where that is too late.
func TestRetriesInQuietHours(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ more, want string }{
		"it waits":           {`limits: {quiet_hours: "09:01-13:00"}`, "planned 11-23 06:00"},
		"given up meanwhile": {`limits: {quiet_hours: "09:01-13:00", give_up_after: 2h}`, "failed gave up"},
		"just not given up":  {`limits: {quiet_hours: "09:01-13:00", give_up_after: 4h}`, "planned 11-23 06:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.customers(1)
			s.exec(`update shop.customers set email = 'budi+later@mail.example'`)
			run := s.to("night", tt.more)
			s.run(sending{Connections: 1})
			s.until("it was tried", func() bool { return s.number(`select count(*) from attempts`) == 1 })
			if got := s.text(`select state || ' ' || coalesce(reason, to_char(not_before at time zone 'UTC', 'MM-DD HH24:MI')) from messages where run_id = $1`, run); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// What is refused for now is given up when its time is over, with the server's last words: no attempt is planned after it,
// nor after the message's end.
func TestGiveUpAfter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rails, more string
		attempts    int // before it is given up
		until       time.Duration
	}{
		"the campaign's":                {more: "limits: {give_up_after: 1h}", attempts: 4},                               // after 0, 1, 6 and 21 minutes
		"sapa.yaml's":                   {rails: "{give_up_after: 1h}", attempts: 4},                                      //
		"the campaign's before that":    {rails: "{give_up_after: 6h}", more: "limits: {give_up_after: 5h}", attempts: 5}, // and 81 minutes; then 321
		"the message's end":             {until: 10 * time.Minute, attempts: 3},
		"the end of the waits, without": {attempts: 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.resolved(tt.rails)
			s.customers(1)
			s.exec(`update shop.customers set email = 'budi+later@mail.example'`)
			run := s.to("trying", tt.more)
			if tt.until > 0 {
				s.exec(`update messages set not_after = $1`, monday.Add(tt.until))
			}
			s.runHere()
			s.until("it is given up", func() bool {
				if next := s.nextTry(run); next != nil && s.idle(run) {
					s.clock.set(next.Add(time.Millisecond))
				}
				return s.progress(run).State == "done"
			})
			if got := s.outcomes(run); got != "failed gave up 1" {
				t.Errorf("got %s", got)
			}
			if n := s.number(`select count(*) from attempts`); n != tt.attempts {
				t.Errorf("%d attempts", n)
			}
			if words := s.text(`select words from attempts order by number desc limit 1`); !strings.Contains(words, "Greylisted") {
				t.Errorf("the last words are %q", words)
			}
			s.checkBooks()
		})
	}
}

// nextTry is when the run's only message is tried again; nil: never.
func (s *shop) nextTry(run int) (at *time.Time) {
	s.t.Helper()
	s.must(s.pool.QueryRow(s.t.Context(), `select min(not_before) from messages where run_id = $1 and state = 'planned' and attempts > 0`, run).Scan(&at))
	return at
}

func (s *shop) texts(sql string, args ...any) (list []string) {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), sql, args...)
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var text string
		s.must(rows.Scan(&text))
		list = append(list, text)
	}
	s.must(rows.Err())
	return list
}
