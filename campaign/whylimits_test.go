package campaign_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sapa why says what quiet hours, spreading and caps do to a customer's message, with the numbers.
func TestWhyLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rails, more string
		now         string
		earlier     string // YAML of a campaign that the customer had this morning
		ahead       string // YAML of one that is planned
		want        []string
		gets        bool
		when        string
		next        string
	}{
		"nothing is set": {
			now: "2026-11-23T10:00+00:00", gets: true, when: "11-23 10:00",
			want: []string{"limits: no cap, no quiet hours, and nobody is held out"},
		},
		"quiet, and a place is left": {
			more: `limits: {quiet_hours: "20:00-07:00", cap: 2 per 7d, spread: 4h, max_audience: 5000}`, now: "2026-11-23T14:00+00:00", earlier: "description: x",
			gets: true, when: "11-23 22:00",
			want: []string{
				"quiet: it is quiet at 20:00-07:00 where they live (Asia/Jayapura): it waits until 2026-11-24 07:00 WIT",
				"spread: the run's messages are spread over 4h, so that it may go so much later",
				"cap: at most 2 per 7d: they had 1",
				"limits: nobody is held out; at most 5,000 messages a run",
			},
		},
		"not quiet": {
			rails: `{quiet_hours: "20:00-07:00"}`, more: `limits: {quiet_hours: "12:00-13:00"}`, now: "2026-11-23T02:00+00:00", gets: true, when: "11-23 02:00",
			want: []string{
				"quiet: it is quiet at 20:00-07:00 and 12:00-13:00 where they live (Asia/Jayapura), and now it is not",
				"limits: no cap, and nobody is held out",
			},
		},
		"no room": {
			more: "limits: {cap: 1 per 7d}", now: "2026-11-23T02:00+00:00", earlier: "description: x", next: "2026-11-30",
			want: []string{
				"cap: at most 1 per 7d: they had 1; there is room again on 2026-11-30 08:00 WIB",
				"limits: no quiet hours, and nobody is held out",
			},
		},
		"no room yet": {
			more: "limits: {cap: 1 per 7d, on_cap: postpone}", now: "2026-11-23T02:00+00:00", earlier: "description: x", gets: true, when: "11-23 02:00",
			want: []string{
				"cap: at most 1 per 7d: they had 1; there is room again on 2026-11-30 08:00 WIB, and it is put off until then",
				"limits: no quiet hours, and nobody is held out",
			},
		},
		"somebody else's place": {
			more: "limits: {cap: 1 per 7d}", now: "2026-11-23T02:00+00:00", ahead: "priority: 10\nlimits: {cap: 1 per 7d, quiet_hours: \"09:00-15:00\"}", next: "2026-12-01",
			want: []string{
				"cap: at most 1 per 7d: they had 0, and ahead, of higher priority, comes on 2026-11-23 13:00 WIB; there is room again on 2026-11-30 13:00 WIB",
				"limits: no quiet hours, and nobody is held out",
			},
		},
		"exempt": {
			rails: `{cap: 1 per 7d}`, more: "limits: {cap: none}", now: "2026-11-23T02:00+00:00", earlier: "description: x", gets: true, when: "11-23 02:00",
			want: []string{"cap: the campaign is exempt from caps", "limits: no quiet hours, and nobody is held out"},
		},
		"too late after the quiet hours": {
			more: "schedule: {cron: \"0 19 * * *\", until: \"22:00\"}\nlimits: {quiet_hours: \"20:00-07:00\"}", now: "2026-11-23T12:00+00:00",
			want: []string{
				"quiet: it is quiet at 20:00-07:00 where they live (Asia/Jayapura), until 2026-11-24 07:00 WIT, and then it is too late",
				"limits: no cap, and nobody is held out",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clock := setupClock(t, "2026-11-23T01:00+00:00")
			if tt.rails != "" {
				s.rails(tt.rails)
			}
			s.people("Asia/Jayapura")
			if tt.earlier != "" {
				s.apply("earlier", yamlOf("earlier", tt.earlier), nil)
				run, _ := s.start("earlier")
				s.exec(`update messages set state = 'sent', claimed_at = $1 where run_id = $2`, s.now(), run.ID)
			}
			if tt.ahead != "" {
				s.apply("ahead", yamlOf("ahead", tt.ahead), nil)
				s.start("ahead")
			}
			s.apply("all", yamlOf("all", tt.more), nil)
			clock.set(t, tt.now)
			w := s.why("all", "1")
			var got []string
			for _, c := range w.Checks {
				switch c.Name {
				case "quiet", "spread", "cap", "limits", "time":
					got = append(got, c.Name+": "+c.Text)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			when := ""
			if w.When != nil {
				when = w.When.UTC().Format("01-02 15:04")
			}
			if w.Gets != tt.gets || when != tt.when || tt.next != "" && w.Next != tt.next {
				t.Errorf("gets %v at %q, next %q: %+v", w.Gets, when, w.Next, w.Reasons)
			}
		})
	}
}
