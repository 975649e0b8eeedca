package campaign_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/response"
)

func campaignFile(name, where string) string {
	return "campaign: " + name + "\ntopic: offers\naudience:\n  where: '" + where + "'\ncontent:\n  email:\n" +
		"    subject: Halo\n    html: '<p><a href=\"https://bengkel.example/\">hadiah</a></p>'\n"
}

// audience are the keys of those whom a new run of the campaign would reach.
func (s *shop) audience(name string) []string {
	s.t.Helper()
	_, r, err := s.planner.Rehearse(s.t.Context(), campaign.Start{Campaign: name, Actor: "tester"}, 100, "http://127.0.0.1:9")
	s.must(err)
	keys := []string{}
	for _, m := range r.Messages {
		keys = append(keys, m.CustomerKey)
	}
	slices.Sort(keys)
	return keys
}

func (s *shop) applyAll(files map[string]string) []campaign.Change {
	s.t.Helper()
	p, problems, err := s.library.Project(s.t.Context(), project(files))
	s.must(err)
	s.must(problems.Err())
	changes, err := campaign.Apply(s.t.Context(), s.pool, p.Campaigns, s.now(), "tester")
	s.must(err)
	return changes
}

func (s *shop) expect(name string, want ...string) {
	s.t.Helper()
	if want == nil {
		want = []string{}
	}
	if d := cmp.Diff(want, s.audience(name)); d != "" {
		s.t.Errorf("%s:\n%s", name, d)
	}
}

// What was sent and what came back is what rules find: with a ledger that planning, sending and the recorder have written.
func TestRulesAskTheLedger(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.now = time.Now
	s.resolve(strings.ReplaceAll(shopYAML, "SMTP", s.mail.SMTPAddr()))
	s.customers(6)
	s.exec(`update shop.customers set email = 'nobody' where id = 6`)
	s.applyAll(map[string]string{
		"campaigns/first.yaml":     campaignFile("first", "customer.id <= 4"),
		"campaigns/rest.yaml":      campaignFile("rest", `!received("first", days(30))`),
		"campaigns/clickers.yaml":  campaignFile("clickers", `clicked("first", hours(1)) && !opened("first")`),
		"campaigns/slow.yaml":      campaignFile("slow", `segment("got-it") && customer.first_name matches "\\bBudi"`),
		"campaigns/same.yaml":      campaignFile("same", `segment("got-it")`),
		"campaigns/reachable.yaml": campaignFile("reachable", `has_channel("email") && subscribed("offers")`),
		"segments/got-it.yaml":     "segment: got-it\nwhere: received(\"first\")\n",
	})
	s.expect("rest", "1", "2", "3", "4", "5")
	s.expect("same")
	run, _ := s.start("first")
	s.expect("rest", "1", "2", "3", "4", "5") // planned is not received
	s.send(s.engine("smtp://"+s.mail.SMTPAddr()), run.ID, "done")
	s.expect("rest", "5")
	s.expect("same", "1", "2", "3", "4")
	s.expect("slow", "1", "2", "3", "4") // with the Program deciding

	recorder := response.NewRecorder(s.pool, response.RecorderOptions{Log: s.log})
	message := func(key string) (id int64) {
		s.must(s.pool.QueryRow(t.Context(), `select id from messages where run_id = $1 and customer_key = $2`, run.ID, key).Scan(&id))
		return id
	}
	for _, h := range []response.Hit{
		{MessageID: message("1"), Kind: response.HitClick, Verdict: response.Human, At: time.Now()},
		{MessageID: message("2"), Kind: response.HitClick, Verdict: response.Scanner, At: time.Now()},
		{MessageID: message("3"), Kind: response.HitClick, Verdict: response.Human, At: time.Now().Add(-2 * time.Hour)},
		{MessageID: message("4"), Kind: response.HitClick, Verdict: response.Human, At: time.Now()},
		{MessageID: message("4"), Kind: response.HitOpen, Verdict: response.Human, At: time.Now()},
	} {
		s.must(recorder.Record(t.Context(), h))
	}
	s.must(recorder.Close(t.Context()))
	s.expect("clickers", "1")

	s.expect("reachable", "1", "2", "3", "4", "5")
	s.must(customer.Suppress(t.Context(), s.pool, "email", "budi1@mail.example", customer.Suppression{Reason: "by hand", Source: "test", At: time.Now()}))
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "2", Channel: "email", Topic: "offers", Source: "test", At: time.Now()}))
	s.exec(`insert into shop.customers (id, email) values (7, 'new@mail.example')`) // nobody has met this address
	s.expect("reachable", "3", "4", "5", "7")

	_, plan := s.start("rest")
	if plan.Planned != 2 || plan.Skipped["bad address"] != 1 {
		t.Errorf("%+v", plan)
	}
	s.addsUp()
}

// A version keeps the rules of its segments: what changes on disk changes nothing before it is applied, and then the
// change is told.
func TestVersionsKeepTheirSegments(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.customers(5)
	files := map[string]string{
		"campaigns/a.yaml":       campaignFile("a", `segment("some")`),
		"campaigns/b.yaml":       campaignFile("b", "customer.id == 1"),
		"segments/some.yaml":     "segment: some\nwhere: segment(\"few\")\n",
		"segments/few.yaml":      "segment: few\nowner: Rina\nwhere: customer.id <= 2\n",
		"segments/not-used.yaml": "segment: not-used\nwhere: customer.id == 5\n",
	}
	s.applyAll(files)
	s.expect("a", "1", "2")

	files["segments/few.yaml"] = "segment: few\nowner: Budi\nwhere: customer.id <= 2\n"
	files["segments/not-used.yaml"] = "segment: not-used\nwhere: customer.id == 4\n"
	for _, c := range s.applyAll(files) {
		if c.Action != "none" {
			t.Errorf("another owner, and a segment that is not used: %+v", c)
		}
	}
	files["segments/few.yaml"] = "segment: few\nwhere: customer.id <= 3\n"
	s.expect("a", "1", "2")
	changes := s.applyAll(files)
	if c := changes[0]; c.Campaign != "a" || c.Action != "change" || c.Number != 2 || !slices.Equal(c.Segments, []string{"few"}) {
		t.Errorf("%+v", c)
	}
	if c := changes[1]; c.Action != "none" || c.Segments != nil {
		t.Errorf("%+v", c)
	}
	s.expect("a", "1", "2", "3")

	// Another process reads the version from the database alone.
	library := campaign.NewLibrary(s.pool, s.schema, s.library.Base())
	s.planner.Library = library
	s.expect("a", "1", "2", "3")
	s.exec(`update versions set files = files || '{"segments/few": "customer.nonsense"}'`)
	s.planner.Library = campaign.NewLibrary(s.pool, s.schema, s.library.Base())
	_, _, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: "a"})
	want := `version 2 of a does not fit sapa.yaml and the company's tables as they were when this process started:
a version 2, segment few:1:10: unknown column "nonsense" of customer
   1 | customer.nonsense
     |          ^^^^^^^^`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

// What sapa validate takes of a segment, an editor takes, and what is wrong in form neither takes.
func TestSegmentSchemaAgrees(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	check := editorOf(t, campaign.SegmentSchema)
	for text, want := range map[string]bool{
		"segment: a\nwhere: true\n": true,
		"segment: a\ndescription: All\nowner: Rina\nwhere: customer.id > 3\n": true,
		"segment: a\n":                                     false,
		"where: true\n":                                    false,
		"segment: A\nwhere: true\n":                        false,
		"segment: a\nwhere: true\nrule: true\n":            false,
		"segment: a\nwhere: [true]\n":                      false,
		"segment: a\nowner: {name: Rina}\nwhere: true\n":   false,
		"segment: a\nwhere: true\neach: customer.orders\n": false,
	} {
		_, problems, err := campaign.LoadSegments(project(map[string]string{"segments/a.yaml": text}), s.schema, campaign.Ledger{})
		s.must(err)
		if got := len(problems) == 0; got != want {
			t.Errorf("sapa validate: %v\n%s\n%v", got, text, problems)
		}
		if err := check(text); (err == nil) != want {
			t.Errorf("an editor: %v\n%s", err, text)
		}
	}
}

// However long a chain of segments is, and however often it branches, checking it ends.
func TestSegmentsAreBounded(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	files := map[string]string{"segments/s0.yaml": "segment: s0\nwhere: customer.id > 0\n"}
	for i := 1; i <= 25; i++ {
		before := fmt.Sprintf("segment(\"s%d\")", i-1)
		files[fmt.Sprintf("segments/s%d.yaml", i)] = fmt.Sprintf("segment: s%d\nwhere: %s || !%s || %s\n", i, before, before, before)
	}
	_, problems, err := campaign.LoadSegments(project(files), s.schema, campaign.Ledger{})
	s.must(err)
	seen := map[string]bool{}
	for _, p := range problems {
		message, _, _ := strings.Cut(p.Message, ":")
		seen[message] = true
	}
	if !seen["more than 20 segments use one another here"] || !seen["the rule is too large"] {
		t.Error(seen)
	}
}
