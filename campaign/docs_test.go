package campaign_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels/kinds"
)

// blocks are the fenced blocks of docs/campaigns.md in one language: those that name a file, by that name, and the rest.
func blocks(t *testing.T, language string) (named map[string]string, fragments []string) {
	t.Helper()
	data, err := os.ReadFile("../docs/campaigns.md")
	if err != nil {
		t.Fatal(err)
	}
	named = map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+) ?(\\S*)\n(.*?)^```$").FindAllStringSubmatch(string(data), -1) {
		switch {
		case m[1] != language:
		case m[2] == "":
			fragments = append(fragments, m[3])
		default:
			named[m[2]] = m[3]
		}
	}
	if len(named) == 0 {
		t.Fatal("no blocks of ", language)
	}
	return named, fragments
}

// documented is the project in docs/campaigns.md, its fragments completed to campaigns.
func documented(t *testing.T) map[string]string {
	t.Helper()
	files, fragments := blocks(t, "yaml")
	templates, _ := blocks(t, "liquid")
	for name, text := range templates {
		files[name] = text
	}
	for i, text := range fragments {
		name := "fragment-" + string(rune('a'+i))
		text = "campaign: " + name + "\n" + text
		if !strings.Contains(text, "\naudience:") {
			text += "audience: {where: true}\n"
		}
		files["campaigns/"+name+".yaml"] = text + "content: {email: {subject: Halo, text: Halo}}\n"
	}
	return files
}

// The campaigns of the documentation are in order, an editor takes them, and they reach whom the words say.
func TestDocumentedCampaigns(t *testing.T) {
	t.Parallel()
	s, _ := setupClock(t, "2026-11-23T07:00+07:00")
	s.exec(`insert into crm.customers (id, first_name, email, birth_date, plan, topics, created_at) values
		(1, 'SITI', 'siti@mail.example', '1990-11-23', null, '{tips}', '2020-01-01'),
		(2, null, 'budi@mail.example', '1991-11-23', 'premium', '{}', '2020-01-01'),
		(3, 'Wayan', 'wayan@mail.example', '1992-12-01', 'basic', '{news}', '2020-01-01'),
		(4, 'Made', 'made@mail.example', null, null, null, '2020-01-01')`)
	s.exec(`update crm.customers set phone = '+62 812 3456 789' || id`)
	s.exec(`insert into crm.vehicles values (10, 1, 'B 1', 'Avanza', '2026-12-01'), (11, 1, 'B 2', null, '2026-12-07'), (12, 2, 'B 3', null, '2026-12-08'), (13, 3, 'B 4', 'Jazz', '2026-11-23')`)
	s.exec(`insert into crm.orders (id, customer_id, kind, total, ordered_at) values
		(1, 1, 'part', 6000000, '2026-03-01'), (2, 1, 'part', 6000000, '2026-04-01'), (3, 2, 'part', 60000000, '2026-04-01'),
		(4, 3, 'bouquet', 200000, '2025-12-20'), (5, 4, 'bouquet', 200000, '2025-11-20'),
		(6, 4, 'part', 1, '2025-06-01'), (7, 4, 'part', 1, '2025-07-01'), (8, 3, 'part', 1, '2025-07-01')`)
	files, check := documented(t), editor(t)
	for name, text := range files {
		if strings.HasPrefix(name, "campaigns/") {
			if err := check(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	_, err := s.store(files)
	s.must(err)
	want := map[string]struct {
		tick     string
		audience int
		subject  string
	}{
		"birthday":       {"2026-11-23", 2, "Selamat ulang tahun, Siti!"},
		"oil-change":     {"2026-11-23", 2, "B 1 dan B 2: waktunya ganti oli"},
		"up-sell":        {"2026-11-23", 1, "Siti, hemat 20% dengan paket Premium"},
		"newsletter":     {"2026-11-23", 1, "Tips minggu ini: ban dan rem"},
		"oil-change-sms": {"2026-11-23", 2, "Halo Siti, B 1, B 2 sudah waktunya ganti oli. Pesan: https://sapa.bengkel.example/s/Ab3dE9x0"},
		"win-back":       {"2026-11-24", 1, "Kami rindu, Made"},
		"mothers-day":    {"2026-12-15", 1, "Hari Ibu 22 Desember: bunga untuk Ibu"},
		"holidays":       {"2026-12-20", 4, "Bengkel tutup 24 sampai 27 Desember"},
	}
	for _, c := range s.load(files) {
		w, ok := want[c.Name()]
		if !ok {
			if !strings.HasPrefix(c.Name(), "fragment-") {
				t.Errorf("%s is not tested", c.Name())
			}
			continue
		}
		delete(want, c.Name())
		tick := civilDate(t, w.tick)
		_, plan, err := s.planner.DryRun(t.Context(), campaign.Start{Campaign: c.Name(), Tick: tick, Actor: "tester"})
		s.must(err)
		if plan.Audience != w.audience || plan.Planned != w.audience {
			t.Errorf("%s on %s: %+v, want %d", c.Name(), w.tick, plan, w.audience)
		}
		p, err := c.Preview(t.Context(), s.pool, "", tick, s.now(), "https://sapa.bengkel.example")
		s.must(err)
		words := p.Message.Subject
		if c.Channel() == "sms" {
			words = p.Message.Text
		}
		if d := cmp.Diff(w.subject, words); d != "" {
			t.Errorf("%s: %s", c.Name(), d)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the documentation: %v", want)
	}
}

func civilDate(t *testing.T, text string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The table of all keys names those of the JSON Schema, in its order, and no others; what is not available yet is named, too.
func TestDocumentedKeys(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/campaigns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "## All keys\n")
	table, _, _ = strings.Cut(table, "## Audience\n")
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(table, -1) {
		got = append(got, m[1])
	}
	want := []string{
		"campaign", "description", "topic", "confirms", "audience", "schedule", "trigger", "channels", "then", "content",
		"limits", "priority", "seeds", "approval", "where", "each", "merge", "occasion", "cooldown",
		"at", "cron", "timezone", "until", "catch_up", "event", "where", "within", "after", "unless", "subject", "html", "text", "reply_to", "text",
		"template", "variables", "text", "say", "language", "play", "press", "text", "size", "window", "front", "link",
		"reason", "offer", "script", "to", "title", "text", "data", "text",
		"max_audience", "pause_if", "quiet_hours", "cap", "on_cap", "spread", "give_up_after", "budget", "bounces", "failures", "unsubscribes", "content", "after",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	schema, err := campaign.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range want {
		if !strings.Contains(string(schema), `"`+key+`": {`) {
			t.Errorf("%s is no key", key)
		}
	}
	n := strings.Count(string(schema), `"description": "`)
	for _, kind := range kinds.All() { // such a channel has a page of its own
		n -= 1 + len(kind.Form.Parts)
	}
	const groups = 9     // eight channels, and the whole
	const conditions = 4 // of voice and WhatsApp: which keys go together, said to editors
	if n != len(want)+groups+conditions {
		t.Errorf("the schema describes %d keys, the documentation %d", n-groups-conditions, len(want))
	}
	later := []string{"goal", "holdout", "locales", "variants"}
	for _, word := range later {
		if !strings.Contains(table, "`"+word+"`") {
			t.Errorf("%s is not said to be unavailable", word)
		}
	}
}

// The traps of YAML that the documentation names are traps, and what it tells to write is right.
func TestDocumentedTraps(t *testing.T) {
	t.Parallel()
	s := setupCRM(t)
	for name, values := range map[string][2]string{
		"where: ":     {`'!customer.newsletter_ok'`, `!customer.newsletter_ok`},
		"where:  ":    {`'"vip" in customer.tags'`, `"vip" in customer.tags`},
		"subject: ":   {`"Promo: diskon 20%"`, `Promo: diskon 20%`},
		"subject:  ":  {`"Promo # 1"`, `Promo # 1`},
		"subject:   ": {`"{{ customer.first_name }}"`, `{{ customer.first_name }}`},
	} {
		for i, value := range values {
			where, subject := "where: true", "subject: Halo"
			if strings.HasPrefix(name, "where") {
				where = "where: " + value
			} else {
				subject = "subject: " + value
			}
			text := "campaign: a\naudience:\n  " + where + "\ncontent:\n  email:\n    " + subject + "\n    text: Halo\n"
			if _, problems := campaign.Check("a.yaml", text, os.DirFS("."), s.schema, nil); (len(problems) > 0) != (i == 1) {
				t.Errorf("%s\n%v", text, problems)
			}
		}
	}
}

// What docs/limits.md shows is in order, in sapa.yaml and in a campaign, and its example of two campaigns does what it says.
func TestDocumentedLimits(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml ?(\\S*)\n(.*?)^```$").FindAllStringSubmatch(string(data), -1)
	if len(blocks) != 2 || blocks[0][1] != "sapa.yaml" {
		t.Fatalf("%q", blocks)
	}
	s := setupCRM(t)
	s.resolve(crmYAML + "\n" + blocks[0][2])
	if got := s.messages(map[string]string{"campaigns/all.yaml": yamlOf("all", blocks[1][2])}); got != "in order: all\n" {
		t.Error(got)
	}
}
