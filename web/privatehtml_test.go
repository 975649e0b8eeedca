package web

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/ledgertest"
)

// TestPrivatePagesAreAccessible holds what can be held without a browser: language, titles, headings, labels, names, order.
func TestPrivatePagesAreAccessible(t *testing.T) {
	t.Parallel()
	s := newInside(t, nil)
	s.run.Campaign.Run(t, "again", 3)
	ledgertest.Exec(t, s.pool, `update runs set state = 'paused', reason = 'wrong credentials' where id = 2`)
	ledgertest.Exec(t, s.pool, `insert into inbound (at, channel, provider_id, sender_hash, recipient, body, kind) values (now(), 'sms', 'SM1', '\x00', '+6281', 'Besok?', 'reply')`)
	cookie := s.as(access.Operator)
	pages := map[string]string{"the login that failed": ""}
	a, _ := s.login("analyst", "wrong")
	pages["the login that failed"] = a.body
	for _, path := range []string{"/", "/runs/1", "/runs/2?done=pause", "/runs/1/cancel", "/log", "/log?since=x", "/log?actor=nobody", "/users", "/replies", "/replies?all=true", "/nothing"} {
		pages[path] = s.get(path, cookie).body
	}
	pages["/login"] = s.get("/login", "").body
	pages["forbidden"] = s.get("/users", s.as(access.Agent)).body
	for path, text := range pages {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			doc, err := html.Parse(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range structureFaults(doc) {
				t.Errorf("%s\n%s", fault, text)
			}
		})
	}
}

// A page with every fault, so that the test above can't be blind.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	doc, err := html.Parse(strings.NewReader(`<html><head></head><body><h2>x</h2><p id=a></p><p id=a></p><label for=nobody>x</label>
		<input name=x aria-describedby=nobody><button></button><a href=/></a><table><tr><th>x</th></tr></table><div style="x" tabindex=1 onclick=x></div><script></script></body></html>`))
	if err != nil {
		t.Fatal(err)
	}
	got := structureFaults(doc)
	for _, want := range []string{
		"html has no lang", "there is no title", "0 main, want 1", "0 h1, want 1", "h2 follows level 0", "id a is there twice", "a label is for nobody",
		"input x has no label", "aria-describedby names nobody", "a button has no name", "a link has no name", "a th has no scope", "a div has style", "a div has onclick", "tabindex 1", "there is a script",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("not found: %s, in %q", want, got)
		}
	}
}

// structureFaults lists what is wrong with a page.
func structureFaults(doc *html.Node) []string {
	f := &finder{ids: map[string]bool{}, labelled: map[string]bool{}, count: map[string]int{}}
	f.walk(doc)
	for _, ref := range f.refs {
		if !f.ids[ref.id] {
			f.fault("%s%s", ref.what, ref.id)
		}
	}
	for _, in := range f.inputs {
		if !f.labelled[attribute(in, "id")] && (in.Parent.Data != "label" || strings.TrimSpace(spoken(in.Parent)) == "") {
			f.fault("input %s has no label", attribute(in, "name"))
		}
	}
	for _, name := range []string{"main", "h1"} {
		if n := f.count[name]; n != 1 {
			f.fault("%d %s, want 1", n, name)
		}
	}
	if f.count["title"] == 0 {
		f.fault("there is no title")
	}
	return f.list
}

type finder struct {
	list          []string
	ids, labelled map[string]bool
	count         map[string]int
	inputs        []*html.Node
	refs          []struct{ what, id string }
	level         int
}

func (f *finder) fault(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

func (f *finder) walk(n *html.Node) {
	if n.Type == html.ElementNode {
		f.element(n)
	}
	for c := range n.ChildNodes() {
		f.walk(c)
	}
}

func (f *finder) element(n *html.Node) {
	f.attributes(n)
	name := strings.TrimSpace(spoken(n) + attribute(n, "aria-label"))
	switch n.Data {
	case "html":
		if attribute(n, "lang") == "" {
			f.fault("html has no lang")
		}
	case "script":
		f.fault("there is a script")
	case "title":
		if name != "" {
			f.count["title"]++
		}
	case "main", "h1":
		f.count[n.Data]++
	case "label":
		if id := attribute(n, "for"); id != "" {
			f.labelled[id] = name != ""
			f.refs = append(f.refs, struct{ what, id string }{"a label is for ", id})
		}
	case "input", "select", "textarea":
		if attribute(n, "type") != "hidden" {
			f.inputs = append(f.inputs, n)
		}
	case "button":
		if name == "" {
			f.fault("a button has no name")
		}
	case "a":
		if name == "" {
			f.fault("a link has no name")
		}
	case "th":
		if attribute(n, "scope") == "" {
			f.fault("a th has no scope")
		}
	}
	if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
		level := int(n.Data[1] - '0')
		if level > f.level+1 {
			f.fault("h%d follows level %d", level, f.level)
		}
		f.level = level
	}
}

func (f *finder) attributes(n *html.Node) {
	for _, a := range n.Attr {
		switch {
		case a.Key == "id" && f.ids[a.Val]:
			f.fault("id %s is there twice", a.Val)
		case a.Key == "id":
			f.ids[a.Val] = true
		case a.Key == "style", strings.HasPrefix(a.Key, "on"):
			f.fault("a %s has %s", n.Data, a.Key)
		case a.Key == "tabindex" && a.Val != "0" && a.Val != "-1":
			f.fault("tabindex %s", a.Val)
		case a.Key == "aria-describedby":
			for _, id := range strings.Fields(a.Val) {
				f.refs = append(f.refs, struct{ what, id string }{"aria-describedby names ", id})
			}
		}
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func spoken(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(spoken(c))
	}
	return b.String()
}

// TestPrivateContrast holds WCAG 2.2: 4.5 to 1 for text (1.4.3), 3 to 1 for the edges of fields (1.4.11), in both schemes.
func TestPrivateContrast(t *testing.T) {
	t.Parallel()
	css, err := privateFiles.ReadFile("private/private.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := strings.Split(string(css), ":root {")
	if len(schemes) != 3 {
		t.Fatalf("%d schemes, want light and dark", len(schemes)-1)
	}
	for i, scheme := range []string{"light", "dark"} {
		block, _, _ := strings.Cut(schemes[i+1], "}")
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]+)`).FindAllStringSubmatch(block, -1) {
			colour[m[1]] = brightness(t, m[2])
		}
		for pair, least := range map[string]float64{
			"ink/paper": 4.5, "ink/ground": 4.5, "soft/paper": 4.5, "soft/ground": 4.5, "act/paper": 4.5, "act/ground": 4.5, "on-act/act": 4.5,
			"bad/paper": 4.5, "bad/ground": 4.5, "on-bad/bad": 4.5, "good/paper": 4.5, "good/ground": 4.5, "field/paper": 3,
		} {
			a, b, _ := strings.Cut(pair, "/")
			x, ok := colour[a]
			y, ok2 := colour[b]
			if got := (max(x, y) + 0.05) / (min(x, y) + 0.05); !ok || !ok2 || got < least {
				t.Errorf("%s, %s: contrast %.2f, want %.1f", scheme, pair, got, least)
			}
		}
	}
}

// brightness is the relative luminance of a colour, as WCAG defines it.
func brightness(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(c uint64) float64 {
		v := float64(c&255) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}
