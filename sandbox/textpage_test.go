package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// postForm posts a form of the page as a browser does.
func postForm(t *testing.T, s *Server, path, origin string, form url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.HTTPAddr()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	response, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestTextsOnThePage(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{InboundURL: h.URL + "/in"})
	mustSend(t, s, "budi@surel.example", mailText("t", "Surat", "isi\r\n"))
	mustText(t, s, textTo(customer, "Halo <b>Budi</b> & "+strings.Repeat("panjang ", 30), h.URL+"/hooks/sms/report/tok").SetValidityPeriod(60))
	mustText(t, s, textTo("+6281255553005", "Halo 🎂", h.URL+"/r/tok2"))
	_, _ = twilioClient(t, s).CreateMessage(textTo("+6281255551614", "Rumah", ""))
	settle(t, s)

	for path, parts := range map[string][]string{
		"/":                         {"3 caught · 1 refused", "Surat", "Halo &lt;b&gt;Budi", "2 segments", `<span class="tag good">delivered</span>`, `<span class="tag bad">undelivered · 30005</span>`},
		"/?channel=sms":             {"1–2 of 2", `<option value="sms" selected>`},
		"/?channel=email":           {"1–1 of 1", "Surat"},
		"/?which=refused&channel=x": {"1–1 of 1", "400 21614", "Rumah"},
		"/messages/2": {
			"<h1>Text to &#43;6281234567890</h1>", "Halo &lt;b&gt;Budi&lt;/b&gt; &amp; panjang", "259 characters, 2 segments, GSM-7, -0.01500 USD",
			`<span class="tag good">201</span>`, "/hooks/sms/report/tok</dd>", "60 s", "told: queued", "became delivered", `<span class="tag good">204</span>`,
			`action="/messages/2/reply" method="post"`, h.URL + "/in</code>", `href="/messages/1"`, `href="/messages/3"`,
		},
		"/messages/3": {"6 characters, 1 segment, UCS-2", "Halo 🎂", "undelivered · 30005"},
		"/messages/4": {"The text was refused", "Rumah", "400 · error 21614", "not a valid mobile number", "rule: 5551614"},
		"/help":       {"…5551408", "sms-timeout-after", "callbacks-never", DefaultAccountSID, h.URL + "/in", "&#43;15005550009"},
	} {
		answer, body := get(t, s, path)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
		mustContain(t, body, parts...)
		mustLack(t, body, "<b>Budi", ":"+DefaultAuthToken+"@")
	}
	_, body := get(t, s, "/messages/4")
	mustLack(t, body, "<form", "Conversation")
	if answer, _ := get(t, s, "/messages/2/html"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a text as HTML: %s", answer.Status)
	}
	if answer, body := get(t, s, "/messages/2/raw?download=1"); answer.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(body, "&To=%2B6281234567890&ValidityPeriod=60") {
		t.Errorf("raw: %s %s", answer.Header.Get("Content-Type"), body)
	}
	_, body = get(t, s, "/api/messages/2")
	var text Text
	if err := json.Unmarshal([]byte(body), &text); err != nil || text.Token != "tok" || len(text.Events) != 5 || text.Form.Get("ValidityPeriod") != "60" {
		t.Errorf("%v %s", err, body)
	}
}

func TestAnsweringOnThePage(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	s := start(t, Config{InboundURL: h.URL + "/in"})
	mustText(t, s, textTo(customer, "Servis?", ""))
	_, _ = twilioClient(t, s).CreateMessage(textTo("+6281255551614", "Rumah", ""))
	mustSend(t, s, "budi@surel.example", mailText("t", "Surat", "isi\r\n"))
	settle(t, s)
	own := "http://" + s.HTTPAddr()
	h.answerWith(xmlAnswer("<Response><Message>Terima <![CDATA[<i>]]>kasih</Message></Response>"))
	answer, _ := postForm(t, s, "/messages/1/reply", own, url.Values{"body": {"Besok <u>bisa</u>?"}})
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/messages/1#conversation" {
		t.Errorf("%s to %s", answer.Status, answer.Header.Get("Location"))
	}
	_, body := get(t, s, "/messages/1")
	mustContain(t, body, "Servis?", "Besok &lt;u&gt;bisa&lt;/u&gt;?", "Terima &lt;i&gt;kasih")
	mustLack(t, body, "<u>", "<i>")
	_, body = get(t, s, "/?which=conversation")
	mustContain(t, body, "1–2 of 2", "from &#43;6281234567890")
	_, body = get(t, s, "/messages/4")
	mustContain(t, body, "<h1>Text from &#43;6281234567890</h1>", `action="/messages/4/reply"`)
	_, body = get(t, s, "/messages/5")
	mustContain(t, body, "<h1>Answer to &#43;6281234567890</h1>")

	h.answerWith(func(url.Values) (int, string, string) { return http.StatusForbidden, "", "" })
	postForm(t, s, "/messages/4/reply", own, url.Values{"body": {"STOP"}})
	_, body = get(t, s, "/messages/1")
	mustContain(t, body, "the webhook answered 403 Forbidden", `<span class="tag bad">stopped</span>`, "You have successfully been unsubscribed")

	for path, want := range map[string]int{
		"/messages/2/reply": http.StatusNotFound, "/messages/3/reply": http.StatusNotFound, "/messages/99/reply": http.StatusNotFound,
	} {
		if answer, _ := postForm(t, s, path, own, url.Values{"body": {"x"}}); answer.StatusCode != want {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	if answer, body := postForm(t, s, "/messages/1/reply", own, url.Values{"body": {" "}}); answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, "it is empty: write something") {
		t.Errorf("empty: %s %s", answer.Status, body)
	}
	before := s.Counts().Inbound
	if answer, _ := postForm(t, s, "/messages/1/reply", "https://evil.example", url.Values{"body": {"STOP"}}); answer.StatusCode != http.StatusForbidden || s.Counts().Inbound != before {
		t.Errorf("from another site: %s", answer.Status)
	}
}
