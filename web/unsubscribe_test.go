package web

import (
	"errors"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/ledgertest"
)

func TestUnsubscribePage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	url := s.urls.Unsubscribe(s.run.Base + 3)
	step := func(method, body, lang, want string, buttons ...string) {
		t.Helper()
		a := s.do(method, url, body, "Accept-Language", lang)
		if a.StatusCode != 200 || !strings.Contains(a.body, "<h1>"+want+"</h1>") {
			t.Fatalf("%s %q: %s\n%s", method, body, a.Status, a.body)
		}
		var got []string
		for _, part := range strings.Split(a.body, `value="`)[1:] {
			scope, _, _ := strings.Cut(part, `"`)
			got = append(got, scope)
		}
		if diff := cmp.Diff(buttons, got); diff != "" {
			t.Errorf("%s %q, buttons (-want +got):\n%s", method, body, diff)
		}
	}
	step("GET", "", "id-ID,id;q=0.9,en;q=0.8", "Berhenti berlangganan?", "topic", "everything")
	step("GET", "", "en-GB", "Unsubscribe?", "topic", "everything")
	step("GET", "", "", "Berhenti berlangganan?", "topic", "everything")
	if got := s.consents(); len(got) > 0 {
		t.Fatalf("a GET changed consent: %q", got)
	}
	step("POST", "scope=topic", "en", "You are unsubscribed", "everything", "back")
	step("POST", "scope=topic", "id", "Anda sudah berhenti berlangganan", "everything", "back")
	step("POST", "scope=everything", "en", "You are unsubscribed", "back")
	step("GET", "", "en", "You are unsubscribed", "back")
	step("POST", "scope=back", "en", "You are subscribed again", "topic", "everything")
	step("GET", "", "en", "Unsubscribe?", "topic", "everything")
	want := []string{
		"c3 email service-reminders f unsubscribe page",
		"c3 * * f unsubscribe page",
		"c3 email service-reminders t unsubscribe page",
	}
	if diff := cmp.Diff(want, s.consents()); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	got := s.lines(`select sum(total) || ' ' || sum(uniq) from response_totals where kind = 'unsubscribe'`)
	if diff := cmp.Diff([]string{"3 1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPageIsGuarded(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := s.do("GET", s.urls.Unsubscribe(s.run.Base+3), "", "Accept-Language", "de,en;q=0.5")
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow",
		"X-Content-Type-Options": "nosniff", "Content-Language": "en", "Set-Cookie": "",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	policy := a.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy is %s", policy)
	}
	if strings.Contains(a.body, "<script") || !strings.Contains(a.body, `<html lang="en">`) || !strings.Contains(a.body, "“service reminders”") {
		t.Errorf("body is\n%s", a.body)
	}
	if !strings.Contains(a.body, "<style>"+pageCSS+"</style>") {
		t.Error("the style is not the one whose hash is in the policy")
	}
	if a := s.do("GET", s.urls.Unsubscribe(s.run.Base+3)+"?lang=id", "", "Accept-Language", "en"); a.Header.Get("Content-Language") != "id" {
		t.Errorf("?lang=id is in %s", a.Header.Get("Content-Language"))
	}
}

// RFC 8058 section 3.1: a POST with this one field, urlencoded or multipart, without cookies; no redirect.
func TestOneClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := s.do("POST", s.urls.Unsubscribe(s.run.Base+4), "List-Unsubscribe=One-Click", "User-Agent", "")
	if a.StatusCode != 200 || a.body != "unsubscribed\n" || len(a.Cookies()) > 0 {
		t.Errorf("%s %q", a.Status, a.body)
	}
	var form strings.Builder
	m := multipart.NewWriter(&form)
	if err := errors.Join(m.WriteField("List-Unsubscribe", "One-Click"), m.Close()); err != nil {
		t.Fatal(err)
	}
	a = s.do("POST", s.urls.Unsubscribe(s.run.Base+5), form.String(), "Content-Type", m.FormDataContentType())
	if a.StatusCode != 200 || a.body != "unsubscribed\n" {
		t.Errorf("%s %q", a.Status, a.body)
	}
	want := []string{"c4 email service-reminders f one-click", "c5 email service-reminders f one-click"}
	if diff := cmp.Diff(want, s.consents()); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"unsubscribe 4 127.0.0.1 human", "unsubscribe 5 127.0.0.1 human"}, s.hits()); diff != "" {
		t.Error(diff)
	}
}

func TestBadForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	url := s.urls.Unsubscribe(s.run.Base + 4)
	for body, status := range map[string]int{
		"": 400, "scope=nothing": 400, "List-Unsubscribe=Maybe": 400, "a=%zz": 400,
		"scope=topic&x=" + strings.Repeat("x", maxForm): 400,
	} {
		if a := s.do("POST", url, body); a.StatusCode != status {
			t.Errorf("POST of %d bytes %.20q: %s", len(body), body, a.Status)
		}
	}
	if a := s.do("POST", url+"?scope=topic", ""); a.StatusCode != 400 {
		t.Errorf("a POST whose field is in the URL: %s", a.Status)
	}
	if got := s.consents(); len(got) > 0 {
		t.Errorf("changed consent: %q", got)
	}
}

// When the decision can't be recorded, the page says so and nothing is confirmed.
func TestTroubleIsNotConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ledgertest.Exec(t, s.pool, `alter table consents rename to consents_away`)
	for _, body := range []string{"scope=topic", "List-Unsubscribe=One-Click"} {
		a := s.do("POST", s.urls.Unsubscribe(s.run.Base+4), body, "Accept-Language", "en")
		if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "Your request has not been recorded.") {
			t.Errorf("%s: %s\n%s", body, a.Status, a.body)
		}
	}
}
