package crowd

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/sandbox"
)

// counter counts the requests by the first part of their path.
type counter struct {
	sync.Mutex
	seen map[string]int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if first == "hooks" {
		first += " " + r.FormValue("Body")
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write([]byte("<Response/>"))
	}
	c.Lock()
	defer c.Unlock()
	c.seen[first]++
}

// texting is a sandbox with n texts, each with a link to the counter and one to another machine.
func texting(t *testing.T, n int) (*sandbox.Server, *counter) {
	t.Helper()
	c := &counter{seen: map[string]int{}}
	here := httptest.NewServer(c)
	t.Cleanup(here.Close)
	s, err := sandbox.Start(t.Context(), sandbox.Config{Dir: t.TempDir(), InboundURL: here.URL + "/hooks"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for i := range n {
		send(t, s, fmt.Sprintf("+6281200%06d", i), "Halo, "+here.URL+"/s/Ab3dE6gh atau https://bengkel.example/x")
	}
	return s, c
}

func send(t *testing.T, s *sandbox.Server, to, body string) {
	t.Helper()
	form := url.Values{"To": {to}, "From": {"+6281100000001"}, "Body": {body}}
	answer, err := http.PostForm(s.TwilioURL()+"/2010-04-01/Accounts/"+sandbox.DefaultAccountSID+"/Messages.json", form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusCreated {
		t.Fatal(answer.Status)
	}
}

func TestReceiversOfTexts(t *testing.T) {
	t.Parallel()
	const n = 300
	s, c := texting(t, n)
	sum, err := PlayTexts(t.Context(), Phones{Sandbox: s, Rates: TextRates{Click: 0.5, Reply: 0.2, Stop: 0.1}, Seed: 1})
	if err != nil || sum.Failed > 0 || sum.Texts != n {
		t.Fatalf("%+v, %v", sum, err)
	}
	for what, share := range map[string][2]float64{"stopped": {float64(sum.Stopped), 0.1}, "replied": {float64(sum.Replied), 0.18}, "clicked": {float64(sum.Clicked), 0.36}} {
		if got, want := share[0], share[1]*n; got < want*0.6 || got > want*1.4 {
			t.Errorf("%v %s, want about %.0f", got, what, want)
		}
	}
	replies := 0
	for path, n := range c.seen {
		if strings.HasPrefix(path, "hooks ") && path != "hooks STOP" {
			replies += n
		}
	}
	if d := cmp.Diff([]int{sum.Clicked, sum.Stopped, sum.Replied}, []int{c.seen["s"], c.seen["hooks STOP"], replies}); d != "" {
		t.Error("others were seen than told of:", d)
	}
}

func TestNobodyMinds(t *testing.T) {
	t.Parallel()
	s, c := texting(t, 20)
	sum, err := PlayTexts(t.Context(), Phones{Sandbox: s, Seed: 1})
	if d := cmp.Diff(TextSummary{Texts: 20}, sum); d != "" || err != nil || len(c.seen) > 0 {
		t.Error(d, err, c.seen)
	}
}
