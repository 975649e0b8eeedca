package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What can't be printed is said when the letter is looked at, and a channel without an account before anything is run.
func TestPreviewSaysWhatCantBePrinted(t *testing.T) {
	t.Parallel()
	w := posting(t)
	w.file("campaigns/oil-change.yaml", strings.Replace(postcards, "ganti oli.\n", "ganti oli 🚗.\n", 1))
	_, printed := w.sapa("preview", "oil-change")
	if !strings.HasSuffix(printed, "\n\nit can't be printed: the text has a character that the font does not have: '🚗' (U+1F697)\n") {
		t.Error(printed)
	}
	w.file("campaigns/oil-change.yaml", strings.Replace(postcards, "channels: [letter]", "channels: [letter, alert]", 1)+"  alert: {to: desk, title: Oil}\n")
	w.want(exitOK, `warning: campaigns/oil-change.yaml:4:20: nothing can go by alert: sapa.yaml has no account for it
   4 | channels: [letter, alert]
     |                    ^^^^^
     in sapa.yaml, below channels:, write  alert: {desks: {front-desk: {name: Front desk}}}
1 campaign is in order.
`, "validate")
}

// A preview says where the HTML part went.
func TestPreviewSaysWhereTheHTMLIs(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.file("campaigns/hello.yaml", "campaign: hello\ntopic: service\naudience: {where: 'true'}\ncontent: {email: {subject: Halo, html: '<p>Halo</p>'}}\n")
	file := filepath.Join(w.dir, "hello.html")
	_, printed := w.sapa("preview", "hello", "--html", file)
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "<p>Halo</p>") || !strings.Contains(printed, "bytes, which is in ") {
		t.Errorf("%v\n%s\n%s", err, text, printed)
	}
	if _, printed := w.sapa("preview", "hello"); !strings.Contains(printed, "bytes; see it with --html FILE)\n") {
		t.Error(printed)
	}
}

// A mistake in a colleague's file keeps nobody from looking at another campaign.
func TestPreviewBesideABrokenCampaign(t *testing.T) {
	t.Parallel()
	w := newClub(t)
	w.file("campaigns/hello.yaml", "campaign: hello\ntopic: service\naudience: {where: 'true'}\ncontent: {email: {subject: Halo, text: Halo}}\n")
	w.file("campaigns/broken.yaml", "campaign: broken\ntopik: service\naudience: {where: 'true'}\ncontent: {email: {subject: Halo, text: Halo}}\n")
	if code, printed := w.sapa("preview", "hello"); code != exitOK || !strings.HasPrefix(printed, "note: in other files there is something wrong: sapa validate\n") || !strings.Contains(printed, "\nsubject: Halo\n") {
		t.Errorf("%d\n%s", code, printed)
	}
	if code, printed := w.sapa("preview", "broken"); code != exitFailed || !strings.Contains(printed, `did you mean "topic"?`) {
		t.Errorf("%d\n%s", code, printed)
	}
}
