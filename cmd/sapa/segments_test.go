package main

import (
	"strings"
	"testing"
)

// Named segments are listed, counted and shown by their names, and what Sapa knows is asked with them.
func TestNamedSegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`create table public.people (id int primary key, email text, phone text, city text)`)
	w.exec(`insert into public.people select i, 'p' || i || '@mail.example', case when i <= 2 then '0812345678' || i end, 'Solo' from generate_series(1, 5) i`)
	w.file("sapa.yaml", "customers: {table: public.people, key: id, email: email, phone: phone, region: {default: ID}}\n"+
		"channels: {email: {smtp: \"smtp://"+w.smtp+"\", from: \"Toko <halo@toko.example>\"}}\npublic_url: "+w.public+"\n")
	w.ok("migrate")
	w.want(exitOK, "There are no named segments yet: make one as segments/regulars.yaml (docs/rules.md).\n", "segment")
	w.file("segments/mobile.yaml", "segment: mobile\ndescription: Whom a text reaches\nowner: Rina\nwhere: has_channel(\"sms\")\n")
	w.file("segments/first.yaml", "segment: first\nwhere: segment(\"mobile\") && customer.id < 2\n")
	w.file("segments/broken.yaml", "segment: broken\nwhere: customer.cty == \"Solo\"\n")
	w.want(exitOK, "2\n", "segment", "count", "mobile")
	w.want(exitOK, "1\n", "segment", "count", "first")
	w.want(exitOK, "4\n", "segment", "count", `!segment("first")`)
	w.want(exitOK, `┌─────────┬─────────────────────────────────┬───────┬───────────┐
│ SEGMENT │ DESCRIPTION                     │ OWNER │ CUSTOMERS │
├─────────┼─────────────────────────────────┼───────┼───────────┤
│ broken  │ it can't be used: sapa validate │       │           │
│ first   │                                 │       │ 1         │
│ mobile  │ Whom a text reaches             │ Rina  │ 2         │
└─────────┴─────────────────────────────────┴───────┴───────────┘
`, "segments", "--count")
	w.want(exitFailed, "sapa: segment \"mobil\": not found; did you mean \"mobile\"?\n", "segment", "count", "mobil")
	w.want(exitFailed, `sapa: the rule can't be used
segments/broken.yaml:2:17: unknown column "cty" of customer
   2 | where: customer.cty == "Solo"
     |                 ^^^
     did you mean "city"?
`, "segment", "count", `segment("broken") || segment("broken")`)

	w.file("campaigns/sale.yaml", "campaign: sale\naudience: {where: segment(\"first\")}\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.file("campaigns/rest.yaml", "campaign: rest\naudience: {where: '!received(\"sale\")'}\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.want(exitFailed, `sapa: 1 problem
segments/broken.yaml:2:17: unknown column "cty" of customer
   2 | where: customer.cty == "Solo"
     |                 ^^^
     did you mean "city"?
`, "validate")
	w.file("segments/broken.yaml", "segment: broken\nwhere: customer.city == \"Solo\"\n")
	w.want(exitOK, "2 campaigns and 3 segments are in order.\n", "validate")
	w.ok("apply")
	w.want(exitOK, "5\n", "segment", "count", `!received("sale", days(1))`)
	w.ok("run", "sale")
	w.want(exitOK, "4\n", "segment", "count", `!received("sale", days(1))`)
	w.want(exitFailed, `sapa: the rule can't be used
rule:1:10: unknown campaign "sail"
   1 | received("sail")
     |          ^^^^^^
     did you mean "sale"?
`, "segment", "count", `received("sail")`)
	w.ok("run", "rest")
	if sent := w.number(`select count(*) from sapa.messages where state = 'sent'`); sent != 5 {
		t.Errorf("%d messages, want one for each", sent)
	}
	w.file("segments/first.yaml", "segment: first\nwhere: customer.id <= 2\n")
	changes := w.ok("apply")
	if !strings.Contains(changes, "~ sale version 2 (changed: segment first)\n") {
		t.Error(changes)
	}
}
