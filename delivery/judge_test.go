package delivery

import "testing"

// A share counts once it is passed, not when it is reached, and once enough messages have an outcome; that of templates
// from ten people on.
func TestSafeguards(t *testing.T) {
	t.Parallel()
	all := Safeguards{Bounces: 0.05, Failures: 0.1, Unsubscribes: 0.02, Content: 0.1, After: 50}
	for name, tt := range map[string]struct {
		s          Safeguards
		n          numbers
		want       string
		quarantine bool
	}{
		"nothing":           {s: all},
		"bounces reached":   {s: all, n: numbers{Outcomes: 100, Bounces: 5}},
		"bounces passed":    {s: all, n: numbers{Outcomes: 1234, Bounces: 64}, want: "addresses bounced: 64 of 1,234 (5.2%), more than pause_if: bounces 5%"},
		"too few":           {s: all, n: numbers{Outcomes: 49, Bounces: 49, Failures: 49}},
		"just enough":       {s: all, n: numbers{Outcomes: 50, Bounces: 3, Failures: 3}, want: "addresses bounced: 3 of 50 (6.0%), more than pause_if: bounces 5%"},
		"failures":          {s: all, n: numbers{Outcomes: 100, Failures: 11}, want: "messages failed: 11 of 100 (11.0%), more than pause_if: failures 10%"},
		"failures reached":  {s: all, n: numbers{Outcomes: 100, Failures: 10}},
		"unsubscribes":      {s: all, n: numbers{Outcomes: 1000, Unsubscribes: 21}, want: "customers unsubscribed: 21 of 1,000 (2.1%), more than pause_if: unsubscribes 2%"},
		"since resumed":     {s: all, n: numbers{Outcomes: 60, Failures: 7, Resumed: true}, want: "messages failed since it was resumed: 7 of 60 (11.7%), more than pause_if: failures 10%"},
		"not asked":         {s: Safeguards{After: 50}, n: numbers{Outcomes: 100, Bounces: 100, Failures: 100, Content: 100, Unsubscribes: 100}},
		"nine people":       {s: all, n: numbers{Outcomes: 9, Failures: 9, Content: 9}},
		"ten people":        {s: all, n: numbers{Outcomes: 10, Failures: 10, Content: 10}, want: "the template could not be filled: 10 of 10 (100.0%), more than pause_if: content 10%", quarantine: true},
		"ten among claimed": {s: all, n: numbers{Outcomes: 10, Content: 10, Claimed: 90}},
		"first the content": {s: all, n: numbers{Outcomes: 100, Failures: 20, Content: 20, Bounces: 0}, want: "the template could not be filled: 20 of 100 (20.0%), more than pause_if: content 10%", quarantine: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, quarantine := tt.s.judge(tt.n)
			if got != tt.want || quarantine != tt.quarantine {
				t.Errorf("got  %q, %v\nwant %q, %v", got, quarantine, tt.want, tt.quarantine)
			}
		})
	}
}
