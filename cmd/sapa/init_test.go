package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/sandbox"
)

// The starter works as its words say, from the files to mails and texts.
func TestStarter(t *testing.T) {
	t.Parallel()
	w := newBareWorld(t)
	printed := w.ok("init")
	for _, m := range regexp.MustCompile(`(?m)^  sapa import (.*)$`).FindAllStringSubmatch(printed, -1) {
		w.ok("migrate")
		w.ok(append([]string{"import"}, append(strings.Fields(strings.Replace(m[1], "data/", filepath.Join(w.dir, "data")+"/", 1)), "--yes")...)...)
	}
	w.want(exitOK, "6 campaigns and 1 segment are in order.\n", "validate")
	for _, name := range []string{"birthday", "oil-change-sms"} {
		if !strings.Contains(printed, "  sapa preview "+name+" --as-of 2026-11-22\n") {
			t.Errorf("the words don't name the preview of %s:\n%s", name, printed)
		}
		w.ok("preview", name, "--as-of", "2026-11-22")
	}
	w.useLayouts()
	w.ok("validate")
	if mail := w.ok("preview", "birthday", "--as-of", "2026-11-22"); !strings.Contains(mail, "HADIAH DARI KAMI") {
		t.Errorf("the preview is not that of the layout:\n%s", mail)
	}
	path := filepath.Join(w.dir, "sapa.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.file("sapa.yaml", regexp.MustCompile(`http://AC\w+:\w+@127\.0\.0\.1:8025`).ReplaceAllString(
		strings.ReplaceAll(string(text), "127.0.0.1:2525", w.smtp), w.mail.TwilioURL()))
	w.ok("apply")
	w.ok("run", "oil-change-sms", "--as-of", "2026-11-22")
	var texts []string
	for m := range w.mail.Each(sandbox.Filter{Channel: sandbox.ChannelSMS}) {
		sent, err := w.mail.Text(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, regexp.MustCompile(`/s/\w{8}`).ReplaceAllString(sent.Form.Get("Body"), "/s/CODE"))
	}
	want := w.texts(`
		select format('Halo %s, %s sudah waktunya ganti oli. Pesan jadwal: http://127.0.0.1:8080/s/CODE', initcap(coalesce(c.first_name, 'Pelanggan')),
			string_agg(v.plate, ', ' order by to_json(v.id::text)::text || ',' || to_json(v.next_service_on::text)::text collate "C"))
		from data.customers c join data.vehicles v on v.customer_id = c.id
		where v.next_service_on between '2026-11-22' and '2026-12-06' and c.deleted_at is null
			and c.id::text in (select customer_key from sapa.report_messages where state = 'sent')
		group by c.id`)
	if len(want) < 3 {
		t.Errorf("only %d texts", len(want))
	}
	slices.Sort(want)
	slices.Sort(texts)
	if d := cmp.Diff(want, texts); d != "" {
		t.Error(d)
	}
}

// useLayouts puts the layouts that the starter brings along into its campaigns.
func (w *world) useLayouts() {
	w.t.Helper()
	for campaign, layout := range map[string]string{"birthday": "greeting", "oil-change": "reminder", "upsell": "offer"} {
		name := filepath.Join("campaigns", campaign+".yaml")
		text, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		w.file(name, strings.Replace(string(text), "html: "+campaign+".html.liquid", "html: "+layout+".mjml.liquid", 1))
	}
}
