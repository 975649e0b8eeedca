package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/sandbox"
)

const birthdaySMS = `campaign: birthday-sms
topic: greetings
audience: {where: birthday(customer.birth_date)}
channels: [sms]
content:
  sms:
    text: "Happy birthday, {{ customer.first_name | titlecase }}! Your present – pick it: {{ 'https://adventure-works.example/birthday' | link: customer: customer.customer_key }}. Stop: {{ unsubscribe_url }}"
`

// textingBikes is AdventureWorks with a view that has its customers' phones, which come in a file of their own.
func textingBikes(t *testing.T) *bikes {
	t.Helper()
	b := newBikes(t)
	b.exec(`create view data.people as select c.*, p.phone_number from data.customers c left join data.phones p using (email_address)`)
	path := filepath.Join(b.dir, "sapa.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b.file("sapa.yaml", strings.NewReplacer(
		"  table: data.customers\n", "  table: data.people\n", "  email: email_address\n", "  email: email_address\n  phone: phone_number\n",
		"channels:", `channels:
  sms: {twilio: "`+b.mail.TwilioURL()+`", from: "+12065550100"}
  # `).Replace(string(text)))
	for _, name := range []string{"birthday", "club", "helmet"} {
		if err := os.Remove(filepath.Join(b.dir, "campaigns", name+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	b.file("campaigns/birthday-sms.yaml", birthdaySMS)
	return b
}

// TestAdventureWorksTexts goes from the files to the texts' links: numbers that no text reaches are skipped and say why.
// Half of them are written 1 (11) 500 555-0162, which is nobody's, and of the others many have an area code that is not
// given out.
func TestAdventureWorksTexts(t *testing.T) {
	t.Parallel()
	b := textingBikes(t)
	b.want(exitOK, `warning: campaigns/birthday-sms.yaml:7:80: – makes the text UCS-2, so that a segment has 70 characters instead of 160
   7 | …first_name | titlecase }}! Your present – pick it: {{ 'https://adventure-works.example/birthday' | link: customer: custo…
     |                                          ^
     write -
1 campaign and 1 segment are in order.
`, "validate")
	for _, key := range b.texts(bornOn22November + ` order by 1`) {
		phone := b.texts(`select phone_number from data.people where customer_key::text = $1`, key)[0]
		if customer.NormaliseMobile(phone, "US").Usable() {
			b.previewText(key)
			break
		}
	}
	b.ok("apply")
	rehearsed := b.ok("run", "birthday-sms", "--as-of", "2026-11-22", "--dry-run", "--show", "1")
	if !regexp.MustCompile(`(?s)\n--- message 1 of 13 ---\n.*\nto:      [A-Z]+ <\+1\d{10}>\n.*, UCS-2, 2 segments\n.*PUBLIC/s/Ab3dE9x1  https://adventure-works`).MatchString(rehearsed) {
		t.Errorf("a dry run shows\n%s", rehearsed)
	}
	b.servePublic()
	b.want(exitOK, `run 1 of birthday-sms, as of Sun 22 Nov 2026 00:00
  audience 69 = already 0 + planned 13 + skipped 56
  skipped, bad address: no such number: 54
  skipped, bad address: not a mobile number: 2
run 1 done: sent 13 of 69, skipped 56
  skipped: bad address: no such number: 54
  skipped: bad address: not a mobile number: 2
`, "run", "birthday-sms", "--as-of", "2026-11-22")
	reasons := b.texts(`select distinct m.reason from sapa.messages m join data.people p on p.customer_key::text = m.customer_key where p.phone_number like '1 (11)%'`)
	if d := cmp.Diff([]string{"bad address: no such number"}, reasons); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"525-555-0193", "529-555-0113"}, b.texts(`select p.phone_number from sapa.messages m join data.people p on p.customer_key::text = m.customer_key
		where m.reason = 'bad address: not a mobile number' order by 1`)); d != "" {
		t.Error(d)
	}
	if n := b.follow(); n != 13 {
		t.Errorf("%d texts", n)
	}
	b.until("all clicks are counted", func() bool { return b.reported("birthday-sms", 1)["clicked"] == 13.0 })
	b.want(exitOK, "everything adds up\n", "check")
}

// previewText looks at one customer's text, and sends it to a number of ours.
func (b *bikes) previewText(key string) {
	b.t.Helper()
	var name, phone string
	err := b.pool.QueryRow(b.t.Context(), `select first_name, phone_number from data.people where customer_key::text = $1`, key).Scan(&name, &phone)
	if err != nil {
		b.t.Fatal(err)
	}
	text := fmt.Sprintf("Happy birthday, %s! Your present – pick it: PUBLIC/s/Ab3dE9x1. Stop: PUBLIC/s/Ab3dE9x0", capital(name))
	want := fmt.Sprintf(`customer %s, in the audience now
to:      %s <%s>, +1%s

%s

%d characters, UCS-2, 2 segments
– at character %d makes this UCS-2: 2 segments instead of 1; write -

the short addresses are examples, as long as those of a message; theirs lead to
  PUBLIC/s/Ab3dE9x0  the customer's page to unsubscribe
  PUBLIC/s/Ab3dE9x1  https://adventure-works.example/birthday?customer=%s
`, key, name, phone, strings.ReplaceAll(phone, "-", ""), text, len([]rune(strings.ReplaceAll(text, "PUBLIC", b.public))),
		len([]rune("Happy birthday, "+name+"! Your present –")), key)
	b.want(exitOK, want, "preview", "birthday-sms", "--customer", key, "--as-of", "2026-11-22")

	_, printed := b.sapa("preview", "birthday-sms", "--customer", key, "--as-of", "2026-11-22", "--send-to", "206-555-0199")
	_, confirmed, _ := strings.Cut(printed, "customer="+key+"\n")
	if !regexp.MustCompile(`^sent to \+12065550199 by \S+: 201 \w+, 2 segments\nits short addresses are examples and lead nowhere\n$`).MatchString(confirmed) {
		b.t.Errorf("preview --send-to says\n%s", confirmed)
	}
	b.want(exitUsage, want+"sapa: --send-to 12: no such number\n",
		"preview", "birthday-sms", "--customer", key, "--as-of", "2026-11-22", "--send-to", "12")
	if n := b.number(`select count(*) from sapa.short_links`); n != 0 {
		b.t.Errorf("a preview left %d short links", n)
	}
}

// follow reads every text but the preview, compares it with what its customer should have got, and follows its link.
func (b *bikes) follow() (n int) {
	b.t.Helper()
	codes := regexp.MustCompile(regexp.QuoteMeta(b.public) + `/s/[0-9A-Za-z]{8}`)
	for m := range b.mail.Each(sandbox.Filter{Channel: sandbox.ChannelSMS}) {
		if m.To[0] == "+12065550199" {
			continue
		}
		n++
		text, err := b.mail.Text(m.ID)
		if err != nil {
			b.t.Fatal(err)
		}
		body := text.Form.Get("Body")
		links := codes.FindAllString(body, -1)
		if len(links) != 2 {
			b.t.Fatalf("links of %q", body)
		}
		_, target, _ := b.fetch(http.MethodGet, links[0]+".", browser, nil)
		var key int
		if _, err := fmt.Sscanf(target, "https://adventure-works.example/birthday?customer=%d", &key); err != nil {
			b.t.Fatalf("%s leads to %q", links[0], target)
		}
		name := b.texts(`select first_name from data.people where customer_key = $1 and '+1' || replace(phone_number, '-', '') = $2`, key, m.To[0])
		if len(name) != 1 {
			b.t.Fatalf("the text to %s is that of customer %d", m.To[0], key)
		}
		want := "Happy birthday, " + capital(name[0]) + "! Your present – pick it: CODE. Stop: CODE"
		if d := cmp.Diff(want, codes.ReplaceAllString(body, "CODE")); d != "" {
			b.t.Error(d)
		}
		_, page, _ := b.fetch(http.MethodGet, links[1], browser, nil)
		if !strings.HasPrefix(page, "../u/") {
			b.t.Errorf("the page to unsubscribe is at %q", page)
		}
	}
	return n
}
