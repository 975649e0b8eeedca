package customer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAccountSettings(t *testing.T) {
	t.Parallel()
	cfg, problems := LoadConfig("sapa.yaml", `
customers: {table: customers, key: id}
channels:
  email:
    smtp: ${SMTP_URL}
    from: halo@bengkel.example
    rate: 50/s
    warm_up: {start: 500/day, double_every: 2d}
    domains:
      Gmail.com: 20/s
      yahoo.com: {rate: 5/s, connections: 2, with: [ymail.com, AOL.com]}
      bücher.example: {connections: 1}
    fallback: {smtp: "smtps://other.example", from: "Halo <halo@other.example>", rate: 10/s, connections: 3, warm_up: {start: 200/d, double_every: 1w}}
  sms:
    twilio: ${TWILIO_URL}
    from: Bengkel
    warm_up: {start: 50/day, double_every: 1d}
    fallback: {twilio: "${TWILIO_KEY_URL}", auth_token: "${PASSWORD}", from: "62811", rate: 1/s}
`, testEnv)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := ChannelsConfig{
		Email: &EmailSettings{
			SMTP: "smtp://user:hunter2@mail.example:587", From: Mailbox{Addr: "halo@bengkel.example"}, Rate: Rate{50, time.Second},
			WarmUp: &WarmUp{500, 2},
			Domains: Throttles{
				{Lane: "gmail.com", Domains: []string{"gmail.com"}, Rate: Rate{20, time.Second}},
				{Lane: "yahoo.com", Domains: []string{"yahoo.com", "ymail.com", "aol.com"}, Rate: Rate{5, time.Second}, Connections: 2},
				{Lane: "xn--bcher-kva.example", Domains: []string{"xn--bcher-kva.example"}, Connections: 1},
			},
			Fallback: &EmailFallback{
				SMTP: "smtps://other.example", From: Mailbox{"Halo", "halo@other.example"}, Rate: Rate{10, time.Second}, Connections: 3,
				WarmUp: &WarmUp{200, 7},
			},
		},
		SMS: &SMSSettings{
			Twilio: "https://AC12:hunter2@api.twilio.com", From: "Bengkel", WarmUp: &WarmUp{50, 1},
			Fallback: &SMSFallback{Twilio: "https://SK12:hunter2@api.twilio.com/AC12", AuthToken: "hunter2 %", From: "62811", Rate: Rate{1, time.Second}},
		},
	}
	if d := cmp.Diff(want, cfg.Channels); d != "" {
		t.Error(d)
	}
	lanes := map[string]string{
		"gmail.com": "gmail.com", "yahoo.com": "yahoo.com", "ymail.com": "yahoo.com", "aol.com": "yahoo.com",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
	}
	if d := cmp.Diff(lanes, cfg.Channels.Email.Domains.Lanes()); d != "" {
		t.Error(d)
	}
}

// A warm-up doubles every so many days until that would be all that the account takes.
func TestWarmUpAmounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		plan WarmUp
		rate Rate
		want []int // by day; the last one is that on which it is over
	}{
		{WarmUp{500, 2}, Rate{4000, 24 * time.Hour}, []int{500, 500, 1000, 1000, 2000, 2000, 0}},
		{WarmUp{500, 1}, Rate{4001, 24 * time.Hour}, []int{500, 1000, 2000, 4000, 0}},
		{WarmUp{300, 1}, Rate{1, time.Minute}, []int{300, 600, 1200, 0}},
		{WarmUp{60_000, 1}, Rate{1, time.Second}, []int{60_000, 0}},
		{WarmUp{250_000, 3}, Rate{}, []int{250_000, 250_000, 250_000, 500_000, 500_000, 500_000, 0}},
	} {
		for day, want := range test.want {
			got, during := test.plan.Amount(day, FullDay(test.rate.PerSecond()))
			if during != (want > 0) || during && got != want {
				t.Errorf("%+v at %+v, day %d: %d %t, want %d", test.plan, test.rate, day, got, during, want)
			}
		}
		if _, during := test.plan.Amount(100_000, FullDay(test.rate.PerSecond())); during {
			t.Errorf("%+v is never over", test.plan)
		}
	}
}
