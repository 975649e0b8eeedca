package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// noon is a moment.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const clubYAML = `customers:
  table: public.people
  key: id
  email: email
  phone: phone
  region: {default: ID}
  timezone: {default: Asia/Jakarta}
  consent: {default: granted, sms: sms_ok}
topics:
  service-reminders: {title: {id: Pengingat servis, en: Service reminders}, about: {id: Saat mobil perlu diservis., en: When your car is due.}}
  newsletter: {title: {id: Kabar bulanan, en: Monthly news}, opt_in: double, channels: [email]}
`

// newClub is a site with a page of preferences for its customers c1 … c4; c2's row says no to texts.
func newClub(t *testing.T, channels ...string) *site {
	t.Helper()
	pool := pgtest.Pool(t)
	ledgertest.Exec(t, pool, `create table public.people (id text primary key, email text, phone text, sms_ok boolean)`)
	ledgertest.Exec(t, pool, `insert into public.people values ('c1', 'ani@example.com', '0811 234 5671', null), ('c2', 'budi@example.com', '0811 234 5672', false),
		('c3', 'citra@example.com', null, true), ('c4', 'dewi@example.com', '0811 234 5674', true)`)
	cfg, problems := customer.LoadConfig("sapa.yaml", clubYAML, func(string) string { return "" })
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	schema, problems, err := customer.Resolve(t.Context(), pool, cfg)
	if err != nil || problems.Err() != nil {
		t.Fatal(err, problems.Err())
	}
	return newSiteOn(t, pool, func(d *PublicDeps) { d.Tracker.Offer(schema, channels) })
}

// boxes are the checkboxes of a page: name, whether ticked, whether it can be.
func boxes(body string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`<input type="checkbox"[^>]*>`).FindAllString(body, -1) {
		value := regexp.MustCompile(`value="([^"]*)"`).FindStringSubmatch(m)[1]
		state := "off"
		if strings.Contains(m, " checked") {
			state = "on"
		}
		if strings.Contains(m, " disabled") {
			state += " fixed"
		}
		list = append(list, value+" "+state)
	}
	return list
}

func heading(body string) string {
	m := regexp.MustCompile(`<h1>([^<]*)</h1>`).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return m[1]
}

func statusOf(body string) string {
	m := regexp.MustCompile(`role="status"[^>]*>([^<]*)<`).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return m[1]
}

// form is what a browser would send of the page, with some boxes turned.
func form(body, do string, turned ...string) string {
	f := url.Values{"do": {do}, "shown": {regexp.MustCompile(`name="shown" value="([^"]*)"`).FindStringSubmatch(body)[1]}}
	for _, b := range boxes(body) {
		name, state, _ := strings.Cut(strings.Replace(b, " ", "\x00", 1), " ")
		name = strings.Replace(name, "\x00", " ", 1)
		on := strings.HasPrefix(state, "on")
		for _, t := range turned {
			if t == name {
				on = !on
			}
		}
		if on && !strings.Contains(state, "fixed") {
			f.Add("on", name)
		}
	}
	return f.Encode()
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	s := newClub(t, "email", "sms")
	address := s.urls.Preferences(s.run.Base + 1)
	a := s.do("GET", address, "", "Accept-Language", "en")
	step := func(what, want string, ticked ...string) {
		t.Helper()
		if got := statusOf(a.body); a.StatusCode != 200 || got != want {
			t.Fatalf("%s: %s, %q, want %q\n%s", what, a.Status, got, want, a.body)
		}
		if diff := cmp.Diff(ticked, boxes(a.body)); diff != "" {
			t.Errorf("%s: boxes (-want +got):\n%s", what, diff)
		}
	}
	post := func(body string) { a = s.do("POST", address, body, "Accept-Language", "en") }
	step("page", "", "email service-reminders on", "sms service-reminders on", "email newsletter off")
	if got := s.consents(); len(got) > 0 {
		t.Fatalf("a GET changed consent: %q", got)
	}
	first := a.body
	post(form(a.body, "saved", "email newsletter", "sms service-reminders"))
	step("saved", "Your choices are saved.", "email service-reminders on", "sms service-reminders off", "email newsletter on")
	post(form(first, "saved", "email newsletter", "sms service-reminders"))
	step("the same form again", "Your choices are saved.", "email service-reminders on", "sms service-reminders off", "email newsletter on")
	post(form(first, "saved"))
	step("an old form", "Nothing was saved: your choices have changed since this page was opened. This is what applies now.",
		"email service-reminders on", "sms service-reminders off", "email newsletter on")
	post(form(a.body, "pause"))
	step("pause", "The pause has begun.", "email service-reminders on", "sms service-reminders off", "email newsletter on")
	if !strings.Contains(a.body, "We send you nothing until 22 December 2026.") {
		t.Errorf("no end of the pause in\n%s", a.body)
	}
	paused := a.body
	post(form(paused, "pause"))
	step("pause again", "The pause has begun.", "email service-reminders on", "sms service-reminders off", "email newsletter on")
	post(form(a.body, "saved", "sms service-reminders"))
	step("saved in the pause", "Your choices are saved.", "email service-reminders on", "sms service-reminders on", "email newsletter on")
	if !strings.Contains(a.body, "We send you nothing until 22 December 2026.") {
		t.Errorf("saving ended the pause\n%s", a.body)
	}
	post(form(a.body, "resume"))
	step("resume", "The pause is over.", "email service-reminders on", "sms service-reminders on", "email newsletter on")
	post(form(paused, "pause"))
	step("an old pause", "Nothing was saved: your choices have changed since this page was opened. This is what applies now.",
		"email service-reminders on", "sms service-reminders on", "email newsletter on")
	post(form(a.body, "everything"))
	step("everything", "You are unsubscribed from everything.", "email service-reminders off", "sms service-reminders off", "email newsletter off")
	post(form(a.body, "saved", "email newsletter"))
	step("one comes back", "Your choices are saved.", "email service-reminders off", "sms service-reminders off", "email newsletter on")
	want := []string{
		"c1 sms service-reminders f preference page", "c1 email newsletter t preference page",
		"c1 * * f preference page",
		"c1 sms service-reminders t preference page", "c1 * * f preference page",
		"c1 * * t preference page",
		"c1 * * f preference page", "c1 email newsletter t preference page",
	}
	if diff := cmp.Diff(want, s.consents()); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	proof := s.lines(`select distinct concat_ws(' ', (evidence->>'message')::bigint - $1, evidence->>'ip', evidence->>'user_agent') from consents`, s.run.Base)
	if diff := cmp.Diff([]string{"1 127.0.0.1 " + browser}, proof); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	if got := s.lines(`select sum(total) || ' ' || sum(uniq) from response_totals where kind = 'unsubscribe'`); !cmp.Equal(got, []string{"1 1"}) {
		t.Errorf("unsubscribed: %q", got)
	}
}

// What the company's column refuses can't be chosen, and the page says so.
func TestFixedChoice(t *testing.T) {
	t.Parallel()
	s := newClub(t, "email", "sms")
	address := s.urls.Preferences(s.run.Base + 2)
	a := s.do("GET", address+"?lang=id", "")
	if diff := cmp.Diff([]string{"email service-reminders on", "sms service-reminders off fixed", "email newsletter off"}, boxes(a.body)); diff != "" {
		t.Errorf("boxes (-want +got):\n%s", diff)
	}
	if !strings.Contains(a.body, "di data Bengkel Maju tercatat bahwa Anda tidak mau menerimanya") {
		t.Errorf("not explained:\n%s", a.body)
	}
	s.do("POST", address, form(a.body, "saved")+"&on=sms+service-reminders&on=fax+nothing")
	if got := s.consents(); len(got) > 0 {
		t.Errorf("changed %q", got)
	}
}

// Suppressed addresses are named by their channel, with what lifts them.
func TestBlockedChannels(t *testing.T) {
	t.Parallel()
	s := newClub(t, "email", "sms", "whatsapp", "voice")
	const number = "+628112345671"
	for channel, one := range map[string][2]string{
		"sms": {number, "stop"}, "whatsapp": {number, "stop"}, "voice": {number, "stop"}, "email": {"ani@example.com", "hard bounce"},
	} {
		if err := customer.Suppress(t.Context(), s.pool, channel, one[0], customer.Suppression{Reason: one[1], Source: "test", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	a := s.do("GET", s.urls.Preferences(s.run.Base+1), "", "Accept-Language", "en")
	for _, want := range []string{
		"reply START to one of our texts", "E-mail: we no longer use your address or number", "WhatsApp: you once replied STOP", "you once pressed the key",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q in\n%s", want, a.body)
		}
	}
	for _, secret := range []string{"ani@example.com", "8112345671", "811 234", "Ani"} {
		if strings.Contains(a.body, secret) {
			t.Errorf("the page says who it is: %s", secret)
		}
	}
	if a = s.do("GET", s.urls.Preferences(s.run.Base+4), "", "Accept-Language", "en"); strings.Contains(a.body, "class=\"notice\"") {
		t.Errorf("somebody else's is blocked:\n%s", a.body)
	}
}

// Nobody is left of whom is erased, or whose row has gone.
func TestPreferencesOfNobody(t *testing.T) {
	t.Parallel()
	s := newClub(t, "email")
	ledgertest.Exec(t, s.pool, `insert into erasures (customer_key, key_hash, at, actor, row_present) values ('c1', '\x00', now(), 'test', true)`)
	for _, message := range []int64{1, 9} {
		address := s.urls.Preferences(s.run.Base + message)
		for method, body := range map[string]string{"GET": "", "POST": "do=everything&shown=x"} {
			a := s.do(method, address, body, "Accept-Language", "en")
			if a.StatusCode != 200 || heading(a.body) != "There is nothing to choose" || strings.Contains(a.body, "<form") {
				t.Errorf("%s of message %d: %s\n%s", method, message, a.Status, a.body)
			}
		}
	}
	if got := s.consents(); len(got) > 0 {
		t.Errorf("changed %q", got)
	}
}

func TestPreferencesRefuse(t *testing.T) {
	t.Parallel()
	s := newClub(t, "email")
	address := s.urls.Preferences(s.run.Base + 1)
	for _, body := range []string{"", "do=nothing", "do=stale", "scope=everything", "a=%zz"} {
		if a := s.do("POST", address, body); a.StatusCode != 400 {
			t.Errorf("POST %q: %s", body, a.Status)
		}
	}
	if a := s.do("POST", address+"?do=everything", ""); a.StatusCode != 400 {
		t.Errorf("a POST whose field is in the URL: %s", a.Status)
	}
	for _, other := range []string{
		strings.Replace(s.urls.Unsubscribe(s.run.Base+1), "/u/", "/p/", 1), strings.Replace(s.urls.Confirm(s.run.Base+1), "/k/", "/p/", 1),
		strings.Replace(address, "/p/", "/k/", 1), strings.Replace(address, "/p/", "/u/", 1),
	} {
		if a := s.do("GET", other, ""); a.StatusCode != 404 {
			t.Errorf("a token of another kind: %s", a.Status)
		}
	}
	if a := s.do("PUT", address, ""); a.StatusCode != 405 {
		t.Errorf("PUT: %s", a.Status)
	}
	ledgertest.Exec(t, s.pool, `alter table public.people rename to people_away`)
	if a := s.do("GET", address, "", "Accept-Language", "en"); a.StatusCode != 503 || heading(a.body) != "Something is not working" {
		t.Errorf("without the company's table: %s", a.Status)
	}
	if got := s.consents(); len(got) > 0 {
		t.Errorf("changed %q", got)
	}
}

// The unsubscribe page leads to the preferences, and knows a pause from an end.
func TestUnsubscribeDuringAPause(t *testing.T) {
	t.Parallel()
	s := newClub(t, "email")
	leave := s.urls.Unsubscribe(s.run.Base + 4)
	preferences := s.urls.Preferences(s.run.Base + 4)
	a := s.do("GET", leave, "", "Accept-Language", "en")
	link := regexp.MustCompile(`<a href="\.\.(/p/[^"?]*)\?lang=en">Choose what you get</a>`).FindStringSubmatch(a.body)
	if link == nil || !strings.HasSuffix(preferences, link[1]) {
		t.Fatalf("no way to the preferences in\n%s", a.body)
	}
	s.do("POST", preferences, form(s.do("GET", preferences, "").body, "pause"))
	a = s.do("GET", leave, "", "Accept-Language", "en")
	if heading(a.body) != "You have paused our messages" || !strings.Contains(a.body, "until 22 December 2026. After that you will get e-mail about “Service reminders” again.") {
		t.Errorf("paused:\n%s", a.body)
	}
	a = s.do("POST", leave, "List-Unsubscribe=One-Click")
	a = s.do("GET", leave, "", "Accept-Language", "en")
	if heading(a.body) != "You are unsubscribed" {
		t.Errorf("after one click:\n%s", a.body)
	}
	a = s.do("POST", leave, "scope=back", "Accept-Language", "en")
	if heading(a.body) != "You are subscribed again" {
		t.Errorf("back:\n%s", a.body)
	}
	want := []string{"c4 * * f preference page", "c4 email service-reminders f one-click", "c4 email service-reminders t unsubscribe page"}
	if diff := cmp.Diff(want, s.consents()); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	granted, said, err := customer.LatestConsent(t.Context(), s.pool, "c4", "email", "service-reminders", time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	if !granted || !said || err != nil {
		t.Errorf("the latest word does not win: %v %v %v", granted, said, err)
	}
}
