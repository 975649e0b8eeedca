package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/sandbox"
)

// visits is a public listener that notes who came.
type visits struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]int // method, first part of the path, token
}

func newVisits(t *testing.T) *visits {
	v := &visits{seen: map[string]int{}}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		v.mu.Lock()
		v.seen[strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body))]++
		v.mu.Unlock()
		switch {
		case strings.HasPrefix(r.URL.Path, "/c/"):
			http.Redirect(w, r, "https://bengkel.example/booking", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/gone/"):
			http.Error(w, "gone", http.StatusGone)
		case r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/x-www-form-urlencoded":
			http.Error(w, "no form", http.StatusUnsupportedMediaType)
		}
		if !strings.Contains(r.UserAgent(), "simulated customer") {
			t.Errorf("agent %q", r.UserAgent())
		}
	}))
	t.Cleanup(v.Close)
	return v
}

// count is how many paths begin so, and how many visits they had.
func (v *visits) count(prefix string) (paths, visits int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for path, n := range v.seen {
		if strings.HasPrefix(path, prefix) {
			paths++
			visits += n
		}
	}
	return paths, visits
}

func letter(base, token string) []byte {
	return []byte(strings.NewReplacer("\n", "\r\n", "BASE", base, "TOKEN", token).Replace(
		"From: halo@bengkel.example\nTo: a@surel.example\nMessage-ID: <TOKEN@bengkel.example>\n" +
			"List-Unsubscribe: <mailto:stop@bengkel.example>, <BASE/u/TOKEN>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n" +
			"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nHalo BASE/c/text-TOKEN\n--b\n" +
			"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n" +
			"<a href=3D\"BASE/c/one-TOKEN\">satu</a> <a href=3D\"BASE/c/two-TOKEN\">d=\nua</a> <a href=3D\"BASE/u/TOKEN\">berhenti</a>\n" +
			"<a href=3D\"https://bengkel.example/\">luar</a> <a href=3D\"mailto:x@y\">surat</a>\n" +
			"<img src=3D\"BASE/o/TOKEN\"><img src=3D\"https://cdn.example/logo.png\">\n--b--\n"))
}

func letters(base string, n int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range n {
			if !yield(letter(base, fmt.Sprint("token", i)), nil) {
				return
			}
		}
	}
}

func TestRatesAreKeptAndTheServerSeesTheSame(t *testing.T) {
	t.Parallel()
	v := newVisits(t)
	const n = 1000
	s, err := Play(t.Context(), Config{Mail: letters(v.URL, n), Rates: Rates{Open: 0.6, Again: 0.5, Click: 0.4, Unsubscribe: 0.1}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if s.Failed != 0 || s.Mails != n {
		t.Errorf("%+v", s)
	}
	for what, c := range map[string]struct {
		got  int
		want float64
	}{
		"opened": {s.Opened, 600}, "opens": {s.Opens, 900}, "clicked": {s.Clicked, 216}, "unsubscribed": {s.Unsubscribed, 60},
	} {
		if got := float64(c.got); got < c.want*0.75 || got > c.want*1.25 {
			t.Errorf("%s %d, want about %.0f", what, c.got, c.want)
		}
	}
	opened, opens := v.count("GET /o/")
	clicked, clicks := v.count("GET /c/")
	left, posts := v.count("POST /u/")
	want := []int{s.Opened, s.Opens, s.Clicked, s.Clicked, s.Unsubscribed, s.Unsubscribed}
	if diff := cmp.Diff(want, []int{opened, opens, clicked, clicks, left, posts}); diff != "" {
		t.Errorf("the server saw something else: %s", diff)
	}
	if _, pages := v.count("GET /u/"); pages != 0 {
		t.Errorf("%d unsubscribe pages were visited by clicks", pages)
	}
	if one, _ := v.count("GET /c/one-"); one == 0 || one == clicked {
		t.Errorf("all clicks went to one link (%d of %d)", one, clicked)
	}
	if _, text := v.count("GET /c/text-"); text != 0 {
		t.Error("links of the text part were followed")
	}
}

func TestTheSameSeedDoesTheSame(t *testing.T) {
	t.Parallel()
	play := func(seed uint64, concurrency int) map[string]int {
		v := newVisits(t)
		if _, err := Play(t.Context(), Config{Mail: letters(v.URL, 200), Rates: Typical(), Seed: seed, Concurrency: concurrency}); err != nil {
			t.Fatal(err)
		}
		return v.seen
	}
	first := play(1, 1)
	if diff := cmp.Diff(first, play(1, 8)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(first, play(2, 8)) {
		t.Error("another seed makes no difference")
	}
}

func TestOneMail(t *testing.T) {
	t.Parallel()
	v := newVisits(t)
	everything := Rates{Open: 1, Again: 1, Click: 1}
	leave := Rates{Open: 1, Unsubscribe: 1}
	html := func(body string, header ...string) string {
		return strings.Join(header, "") + "Message-ID: <t@x>\r\nContent-Type: text/html\r\n\r\n" + body
	}
	for name, test := range map[string]struct {
		mail  string
		rates Rates
		want  Summary
		fails string
	}{
		"nobody opens": {string(letter(v.URL, "a")), Rates{}, Summary{Mails: 1}, ""},
		"everything":   {string(letter(v.URL, "b")), everything, Summary{Mails: 1, Opened: 1, Opens: 2, Clicked: 1, Elsewhere: 3}, ""},
		"leaves":       {string(letter(v.URL, "c")), leave, Summary{Mails: 1, Opened: 1, Opens: 1, Unsubscribed: 1, Elsewhere: 1}, ""},
		"text only":    {"Message-ID: <t@x>\r\n\r\nhttp://127.0.0.1/", everything, Summary{Mails: 1}, ""},
		"other machines": {
			html(`<img src="http://10.0.0.1/x"><img src="https://localhost.evil.example/"><img src="http://127.0.0.1.evil.example/">` +
				`<a href="http://evil.example/">x</a><a href="//evil.example">x</a><a href="file:///etc/passwd">x</a><a href="http://[::ffff:10.0.0.1]/">`),
			everything,
			Summary{Mails: 1, Elsewhere: 5},
			"",
		},
		"other machine to leave": {
			html("", "List-Unsubscribe: <https://evil.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"),
			leave,
			Summary{Mails: 1, Elsewhere: 1},
			"",
		},
		"no one-click": {html("", "List-Unsubscribe: <"+v.URL+"/u/never>\r\n"), leave, Summary{Mails: 1}, ""},
		"an error page": {
			html(`<a href="` + v.URL + `/gone/x">`), everything,
			Summary{Mails: 1, Failed: 1},
			"GET " + v.URL + "/…: 410 Gone",
		},
		"no mail at all": {"\x00", everything, Summary{Mails: 1, Failed: 1}, "read mail: message: malformed MIME header line: \x00\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mail := func(yield func([]byte, error) bool) { yield([]byte(test.mail), nil) }
			got, err := Play(t.Context(), Config{Mail: mail, Rates: test.rates})
			if err != nil {
				t.Fatal(err)
			}
			fails := ""
			if got.FirstFailure != nil {
				fails, got.FirstFailure = got.FirstFailure.Error(), nil
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if fails != test.fails {
				t.Errorf("failure %q, want %q", fails, test.fails)
			}
		})
	}
}

func TestNothingElsewhereIsDialled(t *testing.T) {
	t.Parallel()
	for address, here := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "10.0.0.1:80": false, "[2001:db8::1]:80": false, "0.0.0.0:80": false,
	} {
		err := loopbackOnly("tcp", address, nil)
		if (err == nil) != here || err != nil && !errors.Is(err, errElsewhere) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestARedirectOnThisMachineIsFollowed(t *testing.T) {
	t.Parallel()
	v := newVisits(t)
	door := httptest.NewServer(http.RedirectHandler(v.URL+"/landing", http.StatusFound))
	t.Cleanup(door.Close)
	mail := func(yield func([]byte, error) bool) {
		yield([]byte("Content-Type: text/html\r\n\r\n<a href=\""+door.URL+"/c/x\">"), nil)
	}
	s, err := Play(t.Context(), Config{Mail: mail, Rates: Rates{Open: 1, Click: 1}})
	if err != nil || s.Clicked != 1 || s.Failed != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if diff := cmp.Diff(map[string]int{"GET /landing": 1}, v.seen); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsOfTheMailAndTheContext(t *testing.T) {
	t.Parallel()
	v := newVisits(t)
	broken := errors.New("read 00000001.mail: input/output error")
	_, err := Play(t.Context(), Config{Mail: func(yield func([]byte, error) bool) { yield(nil, broken) }})
	if !errors.Is(err, broken) || err.Error() != "play the customers: "+broken.Error() {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, err = Play(ctx, Config{Concurrency: 1, Mail: func(yield func([]byte, error) bool) {
		for n = 0; n < 1000 && yield(letter(v.URL, fmt.Sprint(n)), nil); n++ {
			if n == 10 {
				cancel()
			}
		}
	}})
	if !errors.Is(err, context.Canceled) || n > 20 {
		t.Errorf("after %d mails: %v", n, err)
	}
}

// TestThroughTheSandbox is the demo's way: mail over SMTP, caught, read by the crowd.
func TestThroughTheSandbox(t *testing.T) {
	t.Parallel()
	v := newVisits(t)
	box, err := sandbox.Start(t.Context(), sandbox.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	for i := range 20 {
		err := smtp.SendMail(box.SMTPAddr(), nil, "halo@bengkel.example", []string{"a@surel.example"}, letter(v.URL, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := Play(t.Context(), Config{Mail: box.EachRaw(), Rates: Rates{Open: 1, Click: 1}})
	if err != nil {
		t.Fatal(err)
	}
	want := Summary{Mails: 20, Opened: 20, Opens: 20, Clicked: 20, Elsewhere: 40}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}
