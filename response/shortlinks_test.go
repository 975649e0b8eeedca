package response

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/ledgertest"
)

// Codes have the form that they should, every letter comes up, and none twice.
func TestNewCode(t *testing.T) {
	t.Parallel()
	letters, seen := map[rune]bool{}, map[string]bool{}
	for range 2000 {
		code := NewCode()
		if !isCode(code) || seen[code] {
			t.Fatalf("code %q", code)
		}
		seen[code] = true
		for _, r := range code {
			letters[r] = true
		}
	}
	if len(letters) != 62 {
		t.Errorf("%d letters come up", len(letters))
	}
	for _, text := range []string{"", "Ab3dE9x", "Ab3dE9xZZ", "Ab3dE9x-", "Ab3dE9xé", "Ab3dE9x\x00"} {
		if isCode(text) {
			t.Errorf("%q passes for a code", text)
		}
	}
}

// shortLinks are links of messages 1 and 2.
func (b *bundle) shortLinks() []ShortLink {
	one, two := b.run.Base+1, b.run.Base+2
	return []ShortLink{
		{Code: NewCode(), MessageID: one, Link: 0},
		{Code: NewCode(), MessageID: one, Link: 0, Query: "plate=H%201"},
		{Code: NewCode(), MessageID: one, Page: Unsubscribe},
		{Code: NewCode(), MessageID: two, Link: 0},
	}
}

func (b *bundle) keep(t testing.TB, links []ShortLink) []string {
	t.Helper()
	codes, err := KeepShortLinks(t.Context(), b.pool, links, noon)
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

// A message that is tried again has the codes of the first time, and a code that somebody else has is drawn anew.
func TestShortLinksKeepTheirCodes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	links := b.shortLinks()
	want := []string{links[0].Code, links[1].Code, links[2].Code, links[3].Code}
	if d := cmp.Diff(want, b.keep(t, links)); d != "" {
		t.Error(d)
	}
	again := append(b.shortLinks(), ShortLink{Code: want[0], MessageID: b.run.Base + 3})
	got := b.keep(t, again)
	if d := cmp.Diff(want, got[:4]); d != "" {
		t.Errorf("the second time: %s", d)
	}
	if other := got[4]; other == want[0] || !isCode(other) {
		t.Errorf("a code that was taken became %q", other)
	}
	rows := lines(t, b.pool, `select concat_ws(' ', message_id - $1, part, link, query) from short_links order by made_at, message_id, part, query`, b.run.Base)
	if d := cmp.Diff([]string{"1 sms 0 ", "1 sms 0 plate=H%201", "1 unsubscribe 0 ", "2 sms 0 ", "3 sms 0 "}, rows); d != "" {
		t.Error(d)
	}
}

// Many who keep the same links at once agree on their codes.
func TestShortLinksKeptAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	codes := make([][]string, 8)
	for i := range codes {
		wg.Go(func() {
			var err error
			if codes[i], err = KeepShortLinks(context.WithoutCancel(t.Context()), b.pool, b.shortLinks(), noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, c := range codes[1:] {
		if d := cmp.Diff(codes[0], c); d != "" {
			t.Error(d)
		}
	}
}

func TestClickCode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ledgertest.Exec(t, b.pool, `insert into links (version_id, part, position, url) select version_id, 'sms', 0, 'https://bengkel.example/booking?from=sms#times' from runs where id = $1`, b.run.ID)
	codes := b.keep(t, b.shortLinks())
	want := []string{
		"https://bengkel.example/booking?from=sms#times",
		"https://bengkel.example/booking?from=sms&plate=H%201#times",
		"../u/" + b.unsubscribe(1),
		"https://bengkel.example/booking?from=sms#times",
	}
	for i, code := range codes {
		target, err := b.tracker.ClickCode(t.Context(), code, someone)
		if err != nil || target != want[i] {
			t.Errorf("code %d leads to %q, %v; want %q", i, target, err, want[i])
		}
	}
	if d := cmp.Diff([]string{"click 3/2", "click sms 0 3/2"}, totals(t, b.pool)); d != "" {
		t.Errorf("what was counted: %s", d)
	}
	for _, code := range []string{"", "Ab3dE9xZ", "Ab3dE9x\x00", "\xff\xff\xff\xff", strings.ToLower(codes[0]) + "x", b.click(t, 1, 0, "")} {
		if _, err := b.tracker.ClickCode(t.Context(), code, someone); !errors.Is(err, ErrNoLink) {
			t.Errorf("code %q: %v", code, err)
		}
	}
	machine := someone
	machine.Method = http.MethodHead
	if _, err := b.tracker.ClickCode(t.Context(), codes[0], machine); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"1"}, lines(t, b.pool, `select count(*)::text from hits where part = 'sms' and verdict <> 'human'`)); d != "" {
		t.Errorf("a program's click: %s", d)
	}
	// A message that no run has, a link that no version has, and a query that was blanked.
	ledgertest.Exec(t, b.pool, `insert into short_links values ('AAAAAAAA', 7, 'sms', 0, '', now()), ('BBBBBBBB', $1, 'sms', 9, '', now()), ('CCCCCCCC', $1, 'sms', 0, null, now())`, b.run.Base+4)
	for code, want := range map[string]string{"AAAAAAAA": "", "BBBBBBBB": "", "CCCCCCCC": want[0]} {
		target, err := b.tracker.ClickCode(t.Context(), code, someone)
		if target != want || (want == "") != errors.Is(err, ErrNoLink) {
			t.Errorf("%s: %q, %v", code, target, err)
		}
	}
}

// A click counts for the channel that the link went out by; in versions of which all short links were kept as those of texts,
// as one of a text.
func TestClickCodeCountsForItsChannel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ledgertest.Exec(t, b.pool, `insert into links (version_id, part, position, url) select version_id, l.* from runs, (values
		('whatsapp', 0, 'https://bengkel.example/wa'), ('letter', 1, 'https://bengkel.example/letter'), ('sms', 2, 'https://bengkel.example/old')) l where id = $1`, b.run.ID)
	one := b.run.Base + 1
	codes := b.keep(t, []ShortLink{
		{Code: NewCode(), MessageID: one, Part: "whatsapp", Link: 0},
		{Code: NewCode(), MessageID: one + 1, Part: "letter", Link: 1},
		{Code: NewCode(), MessageID: one + 2, Part: "whatsapp", Link: 2},
		{Code: NewCode(), MessageID: one + 3, Part: "whatsapp", Link: 1},
	})
	for i, want := range []string{"https://bengkel.example/wa", "https://bengkel.example/letter", "https://bengkel.example/old", ""} {
		target, err := b.tracker.ClickCode(t.Context(), codes[i], someone)
		if target != want || (want == "") != errors.Is(err, ErrNoLink) {
			t.Errorf("code %d leads to %q, %v; want %q", i, target, err, want)
		}
	}
	want := []string{"click 3/3", "click letter 1 1/1", "click sms 2 1/1", "click whatsapp 0 1/1"}
	if d := cmp.Diff(want, totals(t, b.pool)); d != "" {
		t.Error(d)
	}
	links := lines(t, b.pool, `select concat_ws(' ', part, position, clicked, clicks) from report_links where part not in ('html', 'text') order by part`)
	if d := cmp.Diff([]string{"letter 1 1 1", "sms 2 1 1", "whatsapp 0 1 1"}, links); d != "" {
		t.Error(d)
	}
	if _, err := b.keys.Sign(Token{Kind: Click, MessageID: one, Part: "whatsapp"}); err == nil {
		t.Error("a token takes a part that it can't name")
	}
}
