package web

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/response"
)

// The codes of a text message lead where its links and pages are, also with the punctuation that follows them there.
func TestShortLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(d *PublicDeps) { d.PublicURL = "https://bengkel.example/sapa" })
	ledgertest.Exec(t, s.pool, `insert into links (version_id, part, position, url) values ($1, 'sms', 0, 'https://bengkel.example/booking')`, s.run.Campaign.Version)
	codes, err := response.KeepShortLinks(t.Context(), s.pool, []response.ShortLink{
		{Code: response.NewCode(), MessageID: s.run.Base + 2, Query: "plate=H%201"},
		{Code: response.NewCode(), MessageID: s.run.Base + 2, Page: response.Unsubscribe},
	}, ledgertest.Tick)
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	for _, after := range []string{"", ".", ").", "!", ",", "%E2%80%9D", "*"} {
		a := s.do("GET", base+"/sapa/s/"+codes[0]+after, "")
		if a.StatusCode != 302 || a.Header.Get("Location") != "https://bengkel.example/booking?plate=H%201" {
			t.Errorf("%q: %s %v", after, a.Status, a.Header)
		}
	}
	link, err := s.urls.Click(s.run.Base+3, response.HTML, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	if a := s.do("GET", link+").", ""); a.StatusCode != 302 {
		t.Errorf("a long link with punctuation: %s", a.Status)
	}
	short := base + "/sapa/s/" + codes[1]
	a := s.do("GET", short, "")
	at, err := url.Parse(short)
	if err != nil {
		t.Fatal(err)
	}
	page, err := at.Parse(a.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(page.String(), base+"/sapa/u/") {
		t.Fatalf("the page to unsubscribe: %v %v", page, err)
	}
	if a := s.do("GET", page.String(), "", "Accept-Language", "en"); a.StatusCode != 200 {
		t.Errorf("the page to unsubscribe: %s\n%s", a.Status, a.body)
	}
	hits := s.hits()
	if d := cmp.Diff([]string{"click 2", "click 3", "page 2"}, unique(hits)); d != "" || len(hits) != 9 {
		t.Errorf("%d hits: %s", len(hits), d)
	}
}

// A code that nobody made is no link, whatever it looks like; neither is one with other signs behind it.
func TestUnknownCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	base, _, _ := strings.Cut(s.urls.Open(1), "/o/")
	for _, code := range []string{"Ab3dE9xZ", "x", "%2e%2e%2fo", "Ab3dE9xZ0", "''''''''"} {
		a := s.do("GET", base+"/s/"+code, "")
		if a.StatusCode != 404 || a.Header.Get("Location") != "" {
			t.Errorf("%s: %s %v", code, a.Status, a.Header)
		}
	}
	if a := s.do("POST", base+"/s/Ab3dE9xZ", ""); a.StatusCode != 405 {
		t.Errorf("POST: %s", a.Status)
	}
}

// unique are the kinds of hits and their messages.
func unique(list []string) []string {
	var short []string
	seen := map[string]bool{}
	for _, s := range list {
		s, _, _ = strings.Cut(s, " 127.") // so many in a moment pass for a machine's
		if !seen[s] {
			short, seen[s] = append(short, s), true
		}
	}
	return short
}
