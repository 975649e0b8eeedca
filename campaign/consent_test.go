package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
)

// withTopics gives sapa.yaml a section "topics".
func (s *shop) withTopics(consent, topics string) {
	s.t.Helper()
	yaml := strings.Replace(shopYAML, "{default: granted, email: newsletter_ok}", consent, 1)
	s.resolve(strings.ReplaceAll(yaml, "SMTP", s.mail.SMTPAddr()) + topics)
}

const twoTopics = `topics:
  greetings: {title: Salam}
  newsletter: {title: Kabar, opt_in: double, channels: [email]}
`

// What an author reads about campaigns that confirm, and about topics that sapa.yaml does not know.
func TestConfirmMessages(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.withTopics("{default: granted}", twoTopics+"  tasks: {opt_in: double, channels: [alert]}\n")
	for name, c := range map[string]struct{ yaml, want string }{
		"no such topic": {
			"campaign: x\nconfirms: newsleter\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: '{{ confirm_url }}'}}\n",
			"x.yaml:2:11: no topic \"newsleter\" in sapa.yaml\n   2 | confirms: newsleter\n     |           ^^^^^^^^^\n     did you mean \"newsletter\"?",
		},
		"no confirmation needed": {
			"campaign: x\nconfirms: greetings\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: '{{ confirm_url }}'}}\n",
			"x.yaml:2:11: the topic greetings needs no confirmation\n   2 | confirms: greetings\n     |           ^^^^^^^^^\n     in sapa.yaml, give it  opt_in: double",
		},
		"another channel": {
			"campaign: x\nconfirms: tasks\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: '{{ confirm_url }}'}}\n",
			"x.yaml:2:11: the topic tasks is not for channel email\n   2 | confirms: tasks\n     |           ^^^^^\n     in sapa.yaml, add email to its  channels:",
		},
		"another topic, and each": {
			"campaign: x\nconfirms: newsletter\ntopic: greetings\naudience: {each: customer.vehicles, where: \"true\"}\ncontent: {email: {subject: Halo, text: '{{ confirm_url }}'}}\n",
			"x.yaml:3:8: a campaign that confirms newsletter belongs to that topic\n   3 | topic: greetings\n     |        ^^^^^^^^^\n     leave the line out\n" +
				"x.yaml:4:12: a campaign that asks for confirmations goes to customers, once for each request\n   4 | audience: {each: customer.vehicles, where: \"true\"}\n     |            ^^^^\n     leave the line out",
		},
		"no link": {
			"campaign: x\nconfirms: newsletter\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, html: '<p>Halo</p>', text: '{{ preferences_url }}'}}\n",
			"x.yaml:4:40: there is no link to confirm the topic newsletter\n   4 | content: {email: {subject: Halo, html: '<p>Halo</p>', text: '{{ preferences_url }}'}}\n     |                                        ^^^^^^^^^^^^^\n     write  {{ confirm_url }}  where the link should stand\n" +
				"x.yaml:4:61: there is no link to confirm the topic newsletter\n   4 | content: {email: {subject: Halo, html: '<p>Halo</p>', text: '{{ preferences_url }}'}}\n     |                                                             ^^^^^^^^^^^^^^^^^^^^^^^\n     write  {{ confirm_url }}  where the link should stand",
		},
		"a link without confirms": {
			"campaign: x\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: '{{ confirm_url }}'}}\n",
			"x.yaml:3:44: unknown variable \"confirm_url\"\n   3 | content: {email: {subject: Halo, text: '{{ confirm_url }}'}}\n     |                                            ^^^^^^^^^^^\n     it is for campaigns that say  confirms: TOPIC",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := campaign.Check("x.yaml", c.yaml, fstest.MapFS{}, s.schema, nil)
			got := ""
			if err := problems.Err(); err != nil {
				got = err.Error()
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTopicWarnings(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.withTopics("{default: granted}", twoTopics+"  tasks: {channels: [alert]}\n")
	for topic, want := range map[string]string{
		"greetings": "",
		"greeting":  "x.yaml:2:8: the topic greeting is not among those of sapa.yaml; customers see it as “greeting”\n   2 | topic: greeting\n     |        ^^^^^^^^\n     did you mean \"greetings\"?",
		"tasks":     "x.yaml:2:8: customers can't choose the topic tasks on channel email\n   2 | topic: tasks\n     |        ^^^^^\n     in sapa.yaml, add email to the topic's  channels:",
	} {
		c, problems := campaign.Check("x.yaml", "campaign: x\ntopic: "+topic+"\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: Halo}}\n", fstest.MapFS{}, s.schema, nil)
		s.must(problems.Err())
		got := ""
		if err := c.Warnings.Err(); err != nil {
			got = err.Error()
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", topic, d)
		}
	}
	// Of several channels each is looked at.
	several := `campaign: x
topic: tasks
audience: {where: "true"}
channels: [alert, email, webhook]
content: {email: {subject: Halo, text: Halo}, alert: {to: desk, title: Halo}, webhook: {text: Halo}}
`
	c, problems := campaign.Check("x.yaml", several, fstest.MapFS{}, s.schema, nil)
	s.must(problems.Err())
	want := "x.yaml:2:8: customers can't choose the topic tasks on channels email and webhook\n   2 | topic: tasks\n     |        ^^^^^\n     in sapa.yaml, add email, webhook to the topic's  channels:"
	if d := cmp.Diff(want, fmt.Sprint(c.Warnings.Err())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// said is a random ledger of one customer.
func said(r *rand.Rand, key string) (list []customer.ConsentChange) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	for range r.IntN(5) {
		c := customer.ConsentChange{
			CustomerKey: key, Channel: pick("email", "sms", customer.Every), Topic: pick("greetings", "newsletter", "other", customer.Every),
			Granted: r.IntN(2) == 0, Source: "test", At: monday,
		}
		switch r.IntN(8) {
		case 0, 1:
			c.Granted, c.Until = false, monday.Add(time.Duration(r.IntN(3)-1)*time.Hour) // over, ending now, or not over
		case 2:
			c.Channel, c.Topic, c.Granted, c.Resumes = customer.Every, customer.Every, true, true
		case 3:
			c.Granted, c.Pending = false, true
		}
		list = append(list, c)
	}
	return list
}

// Plans decide on consent as customer.Schema.Standing says, which is what people are shown: a column that says no, the
// ledger's latest word, a column that says yes, the default.
func TestPlansDecideAsPeopleAreShown(t *testing.T) {
	t.Parallel()
	const people = 400
	for _, consent := range []string{"{default: granted, email: newsletter_ok}", "{default: denied, email: newsletter_ok}"} {
		t.Run(consent, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.withTopics(consent, twoTopics)
			seed := uint64(time.Now().UnixNano())
			r := rand.New(rand.NewPCG(seed, 1))
			s.customers(people)
			s.exec(`update shop.customers set newsletter_ok = case id % 3 when 0 then true when 1 then false end`)
			for i := range people {
				for _, c := range said(r, fmt.Sprint(i+1)) {
					s.must(customer.SetConsent(t.Context(), s.pool, c))
				}
			}
			for _, topic := range []string{"greetings", "newsletter", "unlisted"} {
				s.apply(topic, "campaign: "+topic+"\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: Halo}}\n", nil)
				run, _ := s.start(topic)
				got := map[string]string{}
				for _, line := range s.strings(fmt.Sprintf(`select customer_key || ' ' || coalesce(reason, 'planned') from messages where run_id = %d`, run.ID)) {
					key, reason, _ := strings.Cut(line, " ")
					got[key] = reason
				}
				want := map[string]string{}
				for i := range people {
					key := fmt.Sprint(i + 1)
					want[key] = s.shown(key, topic)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("seed %d, %s (-shown +planned):\n%s", seed, topic, d)
				}
			}
		})
	}
}

// shown is what people are shown of a customer's consent, as a plan would say it.
func (s *shop) shown(key, topic string) string {
	s.t.Helper()
	l, err := customer.ReadLedger(s.t.Context(), s.pool, key)
	s.must(err)
	p, err := s.schema.Person(s.t.Context(), s.pool, key)
	s.must(err)
	switch st := s.schema.Standing(l, p.Opted("email"), "email", topic, s.now()); {
	case st.Granted:
		return "planned"
	case st.Paused():
		return "paused"
	}
	return "no consent"
}

// A yes in the company's column is no confirmation, and its no still wins.
func TestColumnIsNoConfirmation(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.withTopics("{default: granted, email: newsletter_ok}", twoTopics+"  offers: {opt_in: single}\n")
	s.customers(5)
	s.exec(`update shop.customers set newsletter_ok = case when id <= 3 then true when id = 4 then false end`)
	for key, c := range map[string]customer.ConsentChange{"2": {Granted: true}, "3": {Pending: true}, "4": {Granted: true}} {
		c.CustomerKey, c.Channel, c.Topic, c.Source, c.At = key, "email", "newsletter", "test", monday
		s.must(customer.SetConsent(t.Context(), s.pool, c))
	}
	for topic, want := range map[string][]string{
		"newsletter": {"1 no consent", "2 planned", "3 no consent", "4 no consent", "5 no consent"},
		"offers":     {"1 planned", "2 planned", "3 planned", "4 no consent", "5 no consent"},
	} {
		s.apply(topic, "campaign: "+topic+"\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: Halo}}\n", nil)
		run, _ := s.start(topic)
		got := s.strings(fmt.Sprintf(`select customer_key || ' ' || coalesce(reason, 'planned') from messages where run_id = %d order by customer_key`, run.ID))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", topic, d)
		}
	}
}

// A campaign that confirms goes to those whose latest word is a request, once for each request.
func TestConfirmingCampaign(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.withTopics("{default: granted, email: newsletter_ok}", twoTopics)
	s.customers(7)
	s.exec(`update shop.customers set newsletter_ok = false where id = 6`)
	request := customer.ConsentChange{Channel: "email", Topic: "newsletter", Pending: true}
	granted := customer.ConsentChange{Channel: "email", Topic: "newsletter", Granted: true}
	everywhere, ended, other := request, request, request
	everywhere.Channel = customer.Every
	ended.Pending = false
	other.Topic = "greetings"
	for key, list := range map[string][]customer.ConsentChange{
		"1": {request}, "2": {request, granted}, "3": {request, ended}, "4": {everywhere}, "5": {other}, "6": {request},
	} {
		for _, c := range list {
			c.CustomerKey, c.Source, c.At = key, "test", monday
			s.must(customer.SetConsent(t.Context(), s.pool, c))
		}
	}
	s.apply("ask", "campaign: ask\nconfirms: newsletter\naudience: {where: 'customer.city != \"nowhere\"'}\nschedule: {cron: \"0 8 * * *\"}\ncontent: {email: {subject: Halo, text: '{{ confirm_url }}'}}\n", nil)
	_, plan := s.start("ask")
	if d := cmp.Diff(&campaign.Plan{Run: plan.Run, Audience: 3, Planned: 2, Skipped: map[string]int{"no consent": 1}, Channels: byEmail(2)}, plan); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	ids := s.strings(`select '"request ' || id || '"' from consents where customer_key in ('1', '4', '6') order by customer_key`)
	if d := cmp.Diff(ids, s.strings(`select occasion from occasions order by customer_key`)); d != "" {
		t.Errorf("occasions (-want +got):\n%s", d)
	}
	again := request
	again.CustomerKey, again.Source, again.At = "1", "test", monday
	s.must(customer.SetConsent(t.Context(), s.pool, again))
	if _, plan = s.start("ask"); plan.Planned != 1 || plan.Already != 1 {
		t.Errorf("another request: %+v", plan)
	}
}

// The examples of docs/consent.md are in order.
func TestDocumentedConsent(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/consent.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(doc), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(part, "```\n")
		blocks = append(blocks, block)
	}
	if len(blocks) != 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	s := setup(t)
	s.withTopics("{default: granted}", blocks[0])
	s.apply("newsletter-confirm", blocks[1], nil)
	for key := range strings.SplitSeq("title about opt_in channels", " ") {
		if !strings.Contains(string(doc), "| `"+key+"` |") {
			t.Errorf("docs/consent.md does not say what %s is", key)
		}
	}
}
