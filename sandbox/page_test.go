package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// get fetches a path of the sandbox's page.
func get(t *testing.T, s *Server, path string) (*http.Response, string) {
	t.Helper()
	return getAs(t, s, path, s.HTTPAddr())
}

func getAs(t *testing.T, s *Server, path, host string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.HTTPAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func mustContain(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in\n%s", part, body)
		}
	}
}

func mustLack(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(body, part) {
			t.Errorf("%s in\n%s", part, body)
		}
	}
}

const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`

// hostileMail has markup in every place that a page shows.
func hostileMail() string {
	return crlf("From: " + hostile + " <a@b>\nTo: " + hostile + "\nSubject: " + hostile + "\nMessage-ID: <" + hostile + "@x>\n" +
		"X-Evil: " + hostile + "\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n" + hostile +
		"\n--b\nContent-Type: text/html\n\n" + hostile + "\n--b\nContent-Type: x/y; name=x\n" +
		"Content-Disposition: attachment; filename=\"=?utf-8?q?=3Cscript=3Ealert(2)?=\"\n\nx\n--b--\n")
}

func TestMarkupInMailIsShownAsText(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	mustSend(t, s, `"<script>alert(3)</script>"@surel.example`, hostileMail())
	for _, path := range []string{
		"/", "/?q=" + "%3Cscript%3Ealert(1)", "/messages/1", "/messages/1?view=text",
		"/messages/1?view=headers", "/messages/1?view=source",
	} {
		answer, body := get(t, s, path)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
		mustLack(t, body, "<script", "onerror=alert(1)>", "<img")
		csp := answer.Header.Get("Content-Security-Policy")
		mustContain(t, csp, "default-src 'none'; style-src 'self';", "frame-ancestors 'none'")
		mustLack(t, csp, "unsafe", "script-src")
	}
}

func TestTheFrameOfHostileHTML(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	mustSend(t, s, "a@surel.example", hostileMail())
	answer, body := get(t, s, "/messages/1/html")
	mustContain(t, body, "<script>alert(1)</script>") // it is the mail; the policy disarms it
	want := "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; " +
		"style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
	if got := answer.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy\ngot  %s\nwant %s", got, want)
	}
	answer, _ = get(t, s, "/messages/1/html?images=1")
	mustContain(t, answer.Header.Get("Content-Security-Policy"), "img-src data: http: https:;", "sandbox allow-popups")
	_, body = get(t, s, "/messages/1")
	mustContain(t, body, `sandbox="allow-popups allow-popups-to-escape-sandbox"`, `src="/messages/1/html"`)

	answer, body = get(t, s, "/messages/1/raw")
	if body != hostileMail() {
		t.Errorf("raw mail differs: %s", cmp.Diff(hostileMail(), body))
	}
	mustContain(t, answer.Header.Get("Content-Type"), "text/plain")
	mustContain(t, answer.Header.Get("X-Content-Type-Options"), "nosniff")
	mustContain(t, answer.Header.Get("Content-Security-Policy"), "sandbox;")
	answer, _ = get(t, s, "/messages/1/raw?download=1")
	if got := answer.Header.Get("Content-Disposition"); got != "attachment; filename=message-1.eml" {
		t.Errorf("disposition %q", got)
	}
}

func TestRemoteImagesAreOffered(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	mustSend(t, s, "a@surel.example", "Content-Type: text/html\r\n\r\n<img src=\"https://x.example/p.gif\"><img src=\"data:,\">")
	mustSend(t, s, "b@surel.example", "Content-Type: text/html\r\n\r\n<p>Halo</p>")
	_, body := get(t, s, "/messages/1")
	mustContain(t, body, "1 remote image not loaded", `href="/messages/1?view=html&amp;images=1"`)
	_, body = get(t, s, "/messages/1?view=html&images=1")
	mustContain(t, body, "Remote images are shown.", `src="/messages/1/html?images=1"`)
	_, body = get(t, s, "/messages/2")
	mustLack(t, body, "remote image")
}

func TestImagesInTheMailAreEmbedded(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	mustSend(t, s, "a@surel.example", crlf("Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n"+
		"<!DOCTYPE html><html><head><title>x</title></head><img src=\"cid:logo@x\"></html>\n--b\n"+
		"Content-Type: image/png\nContent-ID: <logo@x>\n\npng\n--b--\n"))
	_, body := get(t, s, "/messages/1/html")
	want := "<!DOCTYPE html><html><head><base target=\"_blank\"><title>x</title></head><img src=\"data:image/png;base64,cG5n\"></html>"
	if strings.TrimSpace(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestOnlyItsOwnNameIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for host, want := range map[string]int{
		"127.0.0.1:80": 200, "localhost": 200, "localhost:8025": 200, "[::1]:8025": 200, "127.9.9.9": 200,
		"evil.example": 421, "localhost.evil.example": 421, "192.168.1.5": 421, "127.0.0.1.evil.example:8025": 421,
	} {
		for _, path := range []string{"/", "/api/messages", "/messages/1/html"} {
			answer, _ := getAs(t, s, path, host)
			if got := answer.StatusCode; (got == 421) != (want == 421) {
				t.Errorf("Host %s, %s: %d", host, path, got)
			}
		}
	}
	s = start(t, Config{Expose: true})
	for host, want := range map[string]int{"192.168.1.5:8025": 200, "evil.example": 421} {
		if answer, _ := getAs(t, s, "/", host); answer.StatusCode != want {
			t.Errorf("exposed, Host %s: %d, want %d", host, answer.StatusCode, want)
		}
	}
}

func TestListSearchAndPages(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for i := range 7 {
		mustSend(t, s, fmt.Sprintf("Pelanggan%d@surel.example", i), mailText(fmt.Sprint("token", i), fmt.Sprintf("Oli %d", i%2), ""))
	}
	_ = send(s, "halo@bengkel.example", "hilang+bounce@surel.example", mailText("gone", "Oli", ""))

	for path, want := range map[string]Listing{
		"/api/messages?per_page=3":                  {Total: 7, Page: 1, Pages: 3},
		"/api/messages?per_page=3&page=3":           {Total: 7, Page: 3, Pages: 3},
		"/api/messages?per_page=3&page=4":           {Total: 7, Page: 4, Pages: 3},
		"/api/messages?to=PELANGGAN3@":              {Total: 1, Page: 1, Pages: 1},
		"/api/messages?subject=oli+1":               {Total: 3, Page: 1, Pages: 1},
		"/api/messages?q=token5":                    {Total: 1, Page: 1, Pages: 1},
		"/api/messages?q=halo@bengkel":              {Total: 7, Page: 1, Pages: 1},
		"/api/messages?which=refused":               {Total: 1, Page: 1, Pages: 1},
		"/api/messages?which=all":                   {Total: 8, Page: 1, Pages: 1},
		"/api/messages?which=martian":               {Total: 7, Page: 1, Pages: 1},
		"/api/messages?page=-1":                     {Total: 7, Page: 1, Pages: 1},
		"/api/messages?page=9223372036854775807":    {Total: 7, Page: 1 << 31 / 50, Pages: 1},
		"/api/messages?to=pelanggan3&subject=oli+0": {Total: 0, Page: 1, Pages: 1},
	} {
		_, body := get(t, s, path)
		var got Listing
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		got.Messages = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}

	_, body := get(t, s, "/?per_page=3&page=2&which=all&q=oli")
	mustContain(t, body, "4–6 of 7, newest first", "Page 2 of 3",
		`href="/?page=1&amp;per_page=3&amp;q=oli&amp;which=all"`, `href="/?page=3&amp;per_page=3&amp;q=oli&amp;which=all"`, `value="oli"`,
		"Pelanggan3@surel.example", "7 caught · 1 refused")
	mustLack(t, body, "Pelanggan6@surel.example", "Pelanggan0@surel.example")
	_, body = get(t, s, "/?which=refused")
	mustContain(t, body, "Refused at RCPT TO", "550 5.1.1")
	_, body = get(t, s, "/?q=nobody")
	mustContain(t, body, "Nothing matches.")
	_, body = get(t, s, "/?page=9&per_page=3")
	mustContain(t, body, `There are only 3 pages. <a href="/?page=3&amp;per_page=3">Go to the last one</a>`)
	_, body = get(t, start(t, Config{}), "/")
	mustContain(t, body, "No mail yet.")
}

func TestOneMessage(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	text := crlf("From: a@bengkel.example\nDate: Sun, 22 Nov 2026 08:00:00 +0700\nSubject: =?utf-8?q?Selamat,_Jos=C3=A9?=\n" +
		"Message-ID: <tok@x>\nX-Long: satu\n dua\nContent-Type: text/html\n\n<p>Halo <b>José</b></p>\n")
	mustSend(t, s, "jose@surel.example", text)
	_ = send(s, "halo@bengkel.example", "hilang+bounce@surel.example", text)

	for path, parts := range map[string][]string{
		"/messages/1":              {"<h1>Selamat, José</h1>", "&lt;halo@bengkel.example&gt; → &lt;jose@surel.example&gt;", "tok@x", "250 2.0.0", "<iframe", `href="/messages/2"`},
		"/messages/1?view=text":    {"This message has no text part."},
		"/messages/1?view=headers": {"<th scope=\"row\">X-Long</th><td>satu dua</td>"},
		"/messages/1?view=source":  {"&lt;p&gt;Halo &lt;b&gt;José", "X-Long: satu\r\n dua"},
		"/messages/2":              {"(no subject)", "550 5.1.1", "No such mailbox here (rule: bounce)", "The message was refused"},
		"/help":                    {"bounce@…", "550 5.1.1 No such mailbox here", "None beside these addresses and numbers."},
		"/style.css":               {"prefers-color-scheme"},
	} {
		answer, body := get(t, s, path)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
		mustContain(t, body, parts...)
	}
	for _, path := range []string{
		"/messages/0", "/messages/3", "/messages/-1", "/messages/x", "/nothing", "/messages/3/html", "/messages/2/html",
		"/messages/99999999999999999999/raw", "/api/messages/3", "/api/messages/x",
	} {
		if answer, _ := get(t, s, path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}

func TestAPIMessage(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	mustSend(t, s, "b@surel.example", crlf("From: a@bengkel.example\nDate: Sun, 22 Nov 2026 08:00:00 +0700\nMessage-ID: <tok@x>\n\nHalo & <b>\n"))
	_, body := get(t, s, "/api/messages/1")
	var got struct {
		Message
		Mail
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Token != "tok" || got.Mail.Text != "Halo & <b>\r\n" || got.Mail.Header[0].Value != "a@bengkel.example" || !got.Verdict.Accepted {
		t.Errorf("got %s", body)
	}
	_, body = get(t, s, "/api/counts")
	if want := "{\"accepted\":1,\"refused\":0,\"bytes\":" + fmt.Sprint(got.Size) + "}\n"; body != want {
		t.Errorf("got %s want %s", body, want)
	}
}

func TestNothingCanBeChanged(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	mustSend(t, s, "b@surel.example", mailText("t", "Halo", ""))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTPAddr()+"/messages/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode < 400 {
			t.Errorf("%s: %s", method, answer.Status)
		}
	}
}
