package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// private waits until the process says where its private listener is.
func (p *process) private() string {
	p.w.t.Helper()
	said := regexp.MustCompile(`private listener on (https?://\S+);`)
	p.w.until("it serves", func() bool {
		if p.ended() {
			p.w.t.Fatalf("sapa %s ended:\n%s", p.args, p.printed())
		}
		return said.MatchString(p.out.String())
	})
	return said.FindStringSubmatch(p.out.String())[1]
}

// call is a request to the API.
func (w *world) call(method, address, token, body string) (status int, answer map[string]any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		w.t.Fatalf("%s %s: %s: %v", method, address, res.Status, err)
	}
	return res.StatusCode, answer
}

func (w *world) token(user, role string) string {
	w.t.Helper()
	w.ok("user", "add", user, "--role", role, "--no-password")
	lines := strings.Split(w.ok("user", "token", "add", user), "\n")
	return lines[len(lines)-2]
}

// TestProgramsRunCampaigns starts a campaign as another program does, and follows it to its end.
func TestProgramsRunCampaigns(t *testing.T) {
	t.Parallel()
	w := newShop(t, 5, "")
	p := w.start("serve", "--public", "127.0.0.1:0")
	base := p.private()
	w.until("it says how to make the first user", func() bool {
		return strings.Contains(p.out.String(), "nobody can log in yet; make the first user with: sapa user add NAME --role operator\n")
	})
	token := w.token("shop", "marketer")
	status, run := w.call("POST", base+"/v1/campaigns/hello/runs", token, "")
	if status != http.StatusAccepted || run["run"] != 1.0 || run["actor"] != "shop" {
		t.Fatalf("start: %d %v", status, run)
	}
	w.until("the run is done", func() bool {
		_, run = w.call("GET", base+"/v1/runs/1", token, "")
		return run["state"] == "done"
	})
	if run["sent"] != 5.0 || run["adds_up"] != true {
		t.Errorf("run 1: %v", run)
	}
	w.everybodyOnce(5)
	status, run = w.call("POST", base+"/v1/campaigns/hello/runs", token, `{"again": "x", "as_of": "2026-11-22 08:00"}`)
	if status != http.StatusAccepted || run["label"] != "x" || run["tick"] != "2026-11-22 08:00" {
		t.Errorf("again: %d %v", status, run)
	}
	status, answer := w.call("POST", base+"/v1/campaigns/helo/runs", token, "")
	if status != http.StatusNotFound || answer["code"] != "not_found" {
		t.Errorf("an unknown campaign: %d %v", status, answer)
	}
	status, answer = w.call("POST", base+"/v1/campaigns/hello/runs", token, `{"as_of": "tomorrow"}`)
	if status != http.StatusUnprocessableEntity || answer["code"] != "invalid_parameter" {
		t.Errorf("a strange time: %d %v", status, answer)
	}
	want := []string{"shop run 1 hello", "shop run 2 hello"}
	if diff := cmp.Diff(want, w.texts(`select concat_ws(' ', actor, subject, detail ->> 'campaign') from sapa.audit_log where action = 'run' order by id`)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	// What can't be planned is cancelled, and says why.
	w.until("the second run is done", func() bool { return w.status(2).State == "done" })
	w.exec(`alter table public.customers rename to guests`)
	w.call("POST", base+"/v1/campaigns/hello/runs", token, `{"again": "y"}`)
	w.until("the third run is cancelled", func() bool {
		return w.number(`select count(*) from sapa.runs where id = 3 and state = 'cancelled' and reason is not null`) == 1
	})
	_, run = w.call("GET", base+"/v1/runs/3", token, "")
	if reason, _ := run["reason"].(string); !strings.Contains(reason, "customers") {
		t.Errorf("run 3: %v", run)
	}
	if got := w.texts(`select concat_ws(' ', actor, action) from sapa.audit_log where subject = 'run 3' order by id`); cmp.Diff([]string{"shop run", "sapa cancel"}, got) != "" {
		t.Errorf("audit log of run 3: %q", got)
	}
	p.stop()
	if code, printed := p.wait(); code != exitOK {
		t.Errorf("serve ends with %d:\n%s", code, printed)
	}
}

// TestPeopleLogIn drives the pages as a browser does, with TLS.
func TestPeopleLogIn(t *testing.T) {
	t.Parallel()
	w := newShop(t, 2, "")
	w.ok("run", "hello")
	w.wantIn(passphrase+"\n", exitOK, "user ani is added, role operator\n", "user", "add", "ani", "--role", "operator", "--password-stdin")
	cert, pool := w.certificate()
	p := w.start("serve", "--public", "127.0.0.1:0", "--private", "127.0.0.1:0", "--private-tls-cert", cert, "--private-tls-key", cert)
	base := p.private()
	if strings.Contains(p.out.String(), "nobody can log in") || !strings.HasPrefix(base, "https://") {
		t.Errorf("it says\n%s", p.out.String())
	}
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	get := func(path string) (string, string) {
		t.Helper()
		res, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var text bytes.Buffer
		_, _ = io.Copy(&text, res.Body)
		return res.Request.URL.Path, text.String()
	}
	if path, _ := get("/runs/1"); path != "/login" {
		t.Errorf("without login at %s", path)
	}
	res, err := client.PostForm(base+"/login", url.Values{"name": {"ani"}, "password": {passphrase}, "next": {"/runs/1"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if path := res.Request.URL.Path; path != "/runs/1" {
		t.Errorf("after the login at %s", path)
	}
	if _, page := get("/"); !strings.Contains(page, "<h1>Campaigns</h1>") || !strings.Contains(page, `<a href="/runs/1">1 hello</a>`) || !strings.Contains(page, "Toko") {
		t.Errorf("home:\n%s", page)
	}
	w.wantIn("hujan sore di surabaya\n", exitOK, "user ani has a new password; their sessions are ended\n", "user", "password", "ani", "--password-stdin")
	if path, _ := get("/"); path != "/login" {
		t.Errorf("after the password changed at %s", path)
	}
}

// certificate makes one for 127.0.0.1, in a file with its key.
func (w *world) certificate() (file string, pool *x509.CertPool) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	shape := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, shape, shape, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	w.file("tls.pem", string(text))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return filepath.Join(w.dir, "tls.pem"), pool
}

// What would carry passwords in the clear is refused before anything starts.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	w := newShop(t, 1, "")
	clear := "sapa: --private %s: passwords would cross the network in the clear\n" +
		"  give --private-tls-cert and --private-tls-key, or --behind-proxy where a proxy in front has TLS, or stay on 127.0.0.1\n"
	for _, address := range []string{"0.0.0.0:8081", ":8081", "[::]:8081", "192.0.2.1:8081", "sapa.example:8081"} {
		w.want(exitUsage, fmt.Sprintf(clear, address), "serve", "--private", address)
	}
	w.want(exitUsage, "sapa: --private 8081: write HOST:PORT, such as 127.0.0.1:8081, or none\n", "serve", "--private", "8081")
	w.want(exitUsage, "sapa: --private-tls-cert and --private-tls-key belong together; give both\n", "serve", "--private-tls-cert", "x.pem")
	w.want(exitUsage, "sapa: --trusted-proxy here: write an address such as 10.0.0.2, or a network such as 10.0.0.0/24\n", "serve", "--trusted-proxy", "here")
	w.want(exitFailed, "sapa: the private listener's certificate: open no.pem: no such file or directory\n", "serve", "--public", "127.0.0.1:0", "--private-tls-cert", "no.pem", "--private-tls-key", "no.pem")
	p := w.start("serve", "--public", "127.0.0.1:0", "--private", "0.0.0.0:0", "--behind-proxy", "--trusted-proxy", "10.0.0.0/24")
	p.private()
	none := w.start("serve", "--public", "127.0.0.1:0", "--private", "none")
	w.until("it serves", func() bool { return strings.Contains(none.out.String(), "; no private listener; stop with Ctrl-C\n") })
	taken := strings.TrimPrefix(p.private(), "http://")
	taken = strings.Replace(taken, "[::]", "127.0.0.1", 1)
	busy := w.start("serve", "--public", "127.0.0.1:0", "--private", taken)
	if code, printed := busy.wait(); code != exitFailed || !strings.Contains(printed, "sapa: private listener: listen on "+taken+": another process uses it\n") || !strings.HasSuffix(printed, "\n  --private names another address, or none\n") {
		t.Errorf("a taken address ends with %d:\n%s", code, printed)
	}
	for _, listening := range []*process{p, none} {
		listening.stop()
		if code, printed := listening.wait(); code != exitOK {
			t.Errorf("serve ends with %d:\n%s", code, printed)
		}
	}
}
