package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/sandbox"
)

// scrape asks the private listener for its metrics as Prometheus does.
func (w *world) scrape(base, token string) (status int, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, base+"/metrics", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// public is the address of the process's public listener.
func (p *process) public() string {
	p.private()
	return regexp.MustCompile(`public listener on (http://\S+);`).FindStringSubmatch(p.out.String())[1]
}

// TestMetricsOfServe runs a campaign with all sorts of recipients, and looks at it as an operator does.
func TestMetricsOfServe(t *testing.T) {
	t.Parallel()
	w := newShop(t, 30, ", rate: 1000/s, connections: 3")
	for id, word := range map[int]string{3: "bounce", 4: "later", 5: "spam", 6: "silent"} {
		w.exec(`update public.customers set email = 'ani'||id||'+`+word+`@example.com' where id = $1`, id)
	}
	p := w.start("serve", "--public", "127.0.0.1:0")
	base, public := p.private(), p.public()
	for _, listener := range []string{base, public} {
		w.until("it is ready", func() bool {
			status, _, _ := w.fetch(http.MethodGet, listener+"/readyz", program, nil)
			return status == 200
		})
		if status, _, body := w.fetch(http.MethodGet, listener+"/healthz", program, nil); status != 200 || body != "ok\n" {
			t.Errorf("healthz: %d %q", status, body)
		}
	}
	if status, _, _ := w.fetch(http.MethodGet, base+"/metrics", program, nil); status != http.StatusUnauthorized {
		t.Errorf("metrics without a token: %d", status)
	}
	if status, _, _ := w.fetch(http.MethodGet, public+"/metrics", program, nil); status != http.StatusNotFound {
		t.Errorf("metrics on the public listener: %d", status)
	}
	w.call("POST", base+"/v1/campaigns/hello/runs", w.token("shop", "marketer"), "")
	w.until("the run rests", func() bool {
		a := w.status(1)
		return a.Sent == 26 && a.Failed == 2 && a.Unknown == 1 && a.Claimed == 0 &&
			w.number(`select count(*) from sapa.river_job where queue = 'email' and state = 'completed'`) > 0
	})
	l := w.letters("Halo")["ani1@example.com"]
	leave := public + strings.TrimPrefix(strings.Trim(l.Get("List-Unsubscribe"), "<>"), w.public)
	w.fetch(http.MethodGet, leave, browser, nil)
	scraper := w.token("prometheus", "analyst")
	var body string
	w.until("the ledger was asked afterwards", func() bool {
		var status int
		if status, body = w.scrape(base, scraper); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		return strings.Contains(body, "sapa_ledger_messages{state=\"sent\"} 26\n")
	})
	for _, sample := range []string{
		`sapa_attempts_total{channel="email",verdict="accepted"} 26`, `sapa_attempts_total{channel="email",verdict="suppress"} 1`,
		`sapa_attempts_total{channel="email",verdict="permanent"} 1`, `sapa_attempts_total{channel="email",verdict="retry"} 1`,
		`sapa_attempts_total{channel="email",verdict="unknown"} 1`, `sapa_answer_seconds_count{channel="email"} 27`, `sapa_handed_over_total{channel="email"} 28`,
		`sapa_claimed_messages_total{channel="email"} `, `sapa_breaker_open{channel="email"} 0`, `sapa_rate_limit{channel="email"} 1000`,
		`sapa_sessions_max{channel="email"} 3`, `sapa_ledger_messages{state="unknown"} 1`, `sapa_open_run_messages{channel="email",state="planned"} 1`,
		`sapa_batches{channel="email",state="later"} 1`, `sapa_runs{state="sending"} 1`, `sapa_workers 1`, `sapa_working 1`, `sapa_ledger_up 1`,
		`sapa_hits_total{result="recorded"} 1`, `sapa_http_requests_total{listener="public",route="/u/{token}",status="2xx"} 1`,
		`sapa_river_jobs{queue="email",state="completed"}`, `sapa_db_connections{pool="shared",state="used"}`, `sapa_heartbeat_age_seconds`,
	} {
		if !strings.Contains(body, "\n"+sample) {
			t.Errorf("no %s", sample)
		}
	}
	if t.Failed() {
		t.Log(regexp.MustCompile(`(?m)^sapa_.*`).FindAllString(body, -1))
	}
	for _, secret := range []string{"example.com", "hello", "Ani", "127.0.0.1", leave[strings.LastIndexByte(leave, '/')+1:]} {
		if strings.Contains(body, secret) {
			t.Errorf("the metrics name %s", secret)
		}
	}
}

// TestLogsNameNobody has everything go wrong that can, and looks for the customers in what is logged about it.
func TestLogsNameNobody(t *testing.T) {
	t.Parallel()
	w := newShop(t, 40, "", sandbox.Rule{Name: "named", To: "named", Stage: sandbox.AtDot, Reply: sandbox.Reply{Code: 550, Enhanced: [3]int{5, 7, 1}, Words: "{to} wants no mail from you"}})
	w.env["SAPA_LOG"], w.env["SAPA_LOG_FORMAT"] = "debug", "json"
	words := []string{"bounce", "later", "full", "spam", "drop", "silent", "named"}
	for i, word := range words {
		w.exec(`update public.customers set email = 'ani'||id||'+`+word+`@example.com' where id = $1`, i+1)
	}
	w.exec(`update public.customers set email = 'not an address of Ani', city = 'Kota Rahasia' where id = 20`)
	w.exec(`update public.customers set city = null where id = 21`)
	p := w.start("serve", "--public", "127.0.0.1:0")
	base, public := p.private(), p.public()
	token := w.token("shop", "marketer")
	w.call("POST", base+"/v1/campaigns/hello/runs", token, "")
	w.until("most were sent", func() bool { return w.status(1).Sent >= 30 })
	l := w.letters("Halo")["ani30@example.com"]
	leave := public + strings.TrimPrefix(strings.Trim(l.Get("List-Unsubscribe"), "<>"), w.public)
	w.fetch(http.MethodGet, leave, browser, nil)
	w.fetch(http.MethodPost, leave, browser, url.Values{"List-Unsubscribe": {"One-Click"}})
	w.fetch(http.MethodGet, leave+"x", browser, nil)
	w.fetch(http.MethodGet, base+"/login?next=/runs/1", browser, nil)
	w.call("GET", base+"/v1/runs", "sapa_wrong", "")
	w.until("a session broke", func() bool { return strings.Contains(p.out.String(), `"session broke"`) })
	p.stop()
	_, printed := p.wait()
	printed = p.out.String() + printed
	lines := 0
	for line := range strings.Lines(p.out.String()) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		lines++
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["msg"] == nil || entry["level"] == nil {
			t.Errorf("no log entry: %s", line)
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines were logged", lines)
	}
	secrets := []string{"example.com", "Ani ", "ani30", "Halo", "Apa kabar", "Solo", "Rahasia", "not an address", leave[strings.LastIndexByte(leave, '/')+1:], token, "sapa_wrong", "wants no mail"}
	for _, secret := range secrets {
		if i := strings.Index(printed, secret); i >= 0 {
			t.Errorf("the log has %q: …%s…", secret, printed[max(0, i-200):min(len(printed), i+100)])
		}
	}
}
