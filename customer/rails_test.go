package customer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What stands below rails: is read as written; a campaign's own shares take the place of those of sapa.yaml, one by one.
func TestRails(t *testing.T) {
	t.Parallel()
	cfg, problems := LoadConfig("sapa.yaml", `
customers: {table: customers, key: id}
rails:
  max_audience: 5_000
  pause_if: {bounces: 5%, failures: 10 %, after: 80}
  approval: required
  seeds: [Boss <boss@Bengkel.example>, "+62 811-1234-567"]
`, testEnv)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	want := Rails{
		MaxAudience: 5000, PauseIf: PauseIf{Bounces: 0.05, Failures: 0.1, After: 80}, Approval: true,
		Seeds: []Seed{{false, "boss@bengkel.example"}, {true, "+628111234567"}},
	}
	if d := cmp.Diff(want, cfg.Rails); d != "" {
		t.Error(d)
	}
	own := PauseIf{Bounces: 0.08, Content: 1}.Or(cfg.Rails.PauseIf)
	if d := cmp.Diff(PauseIf{Bounces: 0.08, Failures: 0.1, Content: 1, After: 80}, own); d != "" {
		t.Error(d)
	}
}

// Numbers as people write them are refused with how they are written here.
func TestNumbersAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	const whole = `expected a whole number from 1 without commas and dots: write 20000 or 20_000`
	const percent = `expected a share in percent: write 5%, not 5 or 0.05`
	for text, want := range map[string]string{"20,000": whole, "5.000": whole, "1,000,000": whole, "5.0": `expected a whole number from 1, such as 5000`} {
		if err := new(Count).UnmarshalScalar(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"5", "0.05"} {
		if err := new(Share).UnmarshalScalar(text); err == nil || err.Error() != percent {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, problems := LoadConfig("sapa.yaml", `
customers: {table: customers, key: id}
rails: {max_audience: 20,000}
`, testEnv)
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), `a comma ends a value here: write 20000 or 20_000`) {
		t.Error(err)
	}
}

func TestShareIsWrittenAsRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"5%", "0.5%", "12.25%", "100%", "0.001%", "7%", "29%"} {
		var s Share
		if err := s.UnmarshalScalar(text); err != nil || s.String() != text {
			t.Errorf("%s is read as %s, %v", text, s, err)
		}
	}
	for _, text := range []string{"0%", "0.0%", "100.1%", "5", "-5%", "5.0001%", "%", "", "5%%"} {
		if err := new(Share).UnmarshalScalar(text); err == nil {
			t.Errorf("%q is taken for a share", text)
		}
	}
}
