package templates

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dop251/goja"
	"github.com/google/go-cmp/cmp"
)

// The bundle is npm's, byte for byte, and our hook into its loader has its place.
func TestMJMLBundle(t *testing.T) {
	t.Parallel()
	z, err := gzip.NewReader(bytes.NewReader(mjmlBundle))
	if err != nil {
		t.Fatal(err)
	}
	source, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(source)
	if got := hex.EncodeToString(sum[:]); got != "648c976d7494ec9275da2aab12a9c9a2d29897950bf831f5fb816bf48b5353b8" {
		t.Errorf("mjml-browser 4.18.0's lib/index.js has another sum: %s", got)
	}
	if n := strings.Count(string(source), require); n != 1 {
		t.Errorf("%q is there %d times", require, n)
	}
}

// mail is MJML with a text.
func mail(text string) string {
	return "<mjml><mj-body><mj-section><mj-column><mj-text>" + text + "</mj-text></mj-column></mj-section></mj-body></mjml>"
}

// Many may compile at the same time, and each gets their own.
func TestMJMLConcurrently(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			word := fmt.Sprintf("kata%d", i)
			c, problems := CompileMJML(Source{Text: mail(word + " {{ customer.first_name }}")})
			if len(problems) > 0 || !strings.Contains(c.HTML, ">"+word+" {{ customer.first_name }}<") || strings.Count(c.HTML, "kata") != 1 {
				t.Errorf("%s: %v", word, problems)
			}
		})
	}
	wg.Wait()
}

// What is the author's own is told apart from what the compiler wrote, byte for byte.
func TestMJMLPieces(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/mjml-mail.txt")
	if err != nil {
		t.Fatal(err)
	}
	mjml := strings.Split(string(data), caseLine)[1]
	c, problems := CompileMJML(Source{Text: mjml})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	pieces, err := readPieces(c.Places, len(c.HTML), len(mjml))
	if err != nil || len(pieces) < 10 {
		t.Fatalf("%d pieces, %v", len(pieces), err)
	}
	for _, p := range pieces {
		if d := cmp.Diff(mjml[p.src:p.src+p.len], c.HTML[p.out:p.out+p.len]); d != "" {
			t.Error(d)
		}
	}
	if got := writePieces(pieces); got != c.Places {
		t.Errorf("written as %s, not %s", got, c.Places)
	}
	for _, bad := range []string{"x", "1:2", "1:2:-3", "0:0:9999999", "1:2:3:4"} {
		if _, err := (&Compiled{HTML: "0123456789", Places: bad}).Source(Source{Text: "0123456789"}); err == nil {
			t.Errorf("the places %q are read", bad)
		}
	}
}

// Files that are too large for a mail are refused before the compiler sees them.
func TestMJMLLimits(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"size":      {mail(strings.Repeat("x", maxMJML)), "1:1: the MJML has 256 kB, and 256 are the most"},
		"elements":  {"<mjml><mj-body>" + strings.Repeat("<mj-section />", maxElements), "there are more than 1000 tags"},
		"depth":     {"<mjml><mj-body>" + strings.Repeat("<mj-section>", maxMJMLDepth), "tags are nested too deep"},
		"attribute": {`<mjml><mj-body css-class="` + strings.Repeat("a", maxAttribute+1) + `"></mj-body></mjml>`, "1:16: the value of css-class has more than 4000 bytes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := CompileMJML(Source{Text: c.text})
			if len(problems) != 1 || !strings.Contains(problems[0].String(), c.want) {
				t.Errorf("got %v, want %s", problems, c.want)
			}
		})
	}
}

// A compiler that does not come to an end, or falls into itself, is stopped, thrown away, and made anew.
func TestMJMLIsStopped(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`(function () { for (;;) {} })`:                                 errMJMLSlow.Error(),
		`(function () { var a = [], i; for (;;) a.push(["x" + i++]) })`: errMJMLLarge.Error(),
		`(function f(x) { return f(x) + 1 })`:                           errMJMLDeep.Error(),
		`(function () { throw new Error("Malformed") })`:                "MJML: Error: Malformed",
		`(function () { return undefined.x })`:                          "MJML: TypeError: Cannot read property 'x' of undefined",
		`(function () { return [1].map(function () { [][0]() }) })`:     "MJML: TypeError: ",
	} {
		vm := goja.New()
		vm.SetMaxCallStackSize(maxCalls)
		value, err := vm.RunString(script)
		if err != nil {
			t.Fatal(err)
		}
		r := &mjmlRunner{limit: time.Minute, memory: 8 << 20, vm: vm}
		if want == errMJMLSlow.Error() {
			r.limit = time.Millisecond
		}
		r.run, _ = goja.AssertFunction(value)
		if _, err = r.call("<mjml>"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
		if r.vm != nil {
			t.Errorf("%s: the compiler is used again", script)
		}
	}
}

// A person's value stays a value wherever the compiler has written it: also within Outlook's comments, and in styles.
func TestMJMLEscapes(t *testing.T) {
	t.Parallel()
	const v, plain = "{{ customer.first_name }}", "x;b-d:1" // which harms in styles only
	text := `<mjml lang="` + v + `"><mj-head><mj-title>` + v + `</mj-title><mj-preview>` + v + `</mj-preview></mj-head><mj-body css-class="` + v + `">
		<mj-section background-url="https://x.example/` + v + `" background-size="` + v + `" border="` + v + `" css-class="` + v + `"><mj-column>
			<mj-text font-family="` + v + `"><p title="` + v + `" style="color:` + v + `">` + v + `</p><!-- ` + v + ` --></mj-text>
			<mj-image src="` + v + `" alt="` + v + `" /><mj-button href="https://x.example/?a=` + v + `" title="` + v + `">` + v + `</mj-button>
			<mj-raw><!--[if mso]><p title="` + v + `">` + v + `</p><![endif]--></mj-raw>
		</mj-column></mj-section></mj-body></mjml>`
	src := Source{Text: text}
	made, problems := CompileMJML(src)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	compiled, err := made.Source(src)
	if err != nil {
		t.Fatal(err)
	}
	tpl, problems := Parse(compiled, HTML, testScope(""))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	vars := testVars()
	for _, evil := range []string{`"><b-d>`, `' b-d=1`, `--><b-d>`, `<![endif]--><b-d>`, `</style></title><b-d>`, `');b-d:url('`, plain} {
		vars["customer"].(map[string]any)["first_name"] = evil
		out, err := tpl.Render(vars, testLink)
		if err != nil {
			t.Fatal(err)
		}
		if evil != plain && strings.Contains(out, evil) {
			t.Errorf("%s is in the mail as it is", evil)
		}
		for style := range strings.SplitSeq(out, ` style="`) {
			if style, _, _ = strings.Cut(style, `"`); strings.Contains(style, "b-d:") {
				t.Errorf("%s: the style is %s", evil, style)
			}
		}
	}
}

// Notes are left out, blanks that are shown stay, all others go; and the compiler looks into HTML where it is asked to.
func TestMJMLRewrites(t *testing.T) {
	t.Parallel()
	const inline = `<mj-head><mj-style inline="inline">p{color:red}</mj-style></mj-head>`
	const attributes = `<mj-head><mj-html-attributes><mj-selector path="p"><mj-html-attribute name="data-x">1</mj-html-attribute></mj-selector></mj-html-attributes></mj-head>`
	for name, test := range map[string]struct{ head, text, has, lacks string }{
		"note":             {"", `</mj-text><!-- note --><mj-text>x`, ">x<", "note"},
		"shown blanks":     {"", "<pre>a\n   b</pre>", "a\n   b", "\n  <"},
		"shown and inline": {inline, "<pre>a\n   b</pre>", "a\n   b", "note"},
		"inline":           {inline, "<p>a</p>", `<p style="color: red;">a</p>`, "\n  <"},
		"attributes":       {attributes, "<p>a</p>", `<p data-x="1">a</p>`, "\n  <"},
	} {
		c, problems := CompileMJML(Source{Text: strings.Replace(mail(test.text), "<mjml>", "<mjml>"+test.head, 1)})
		if len(problems) > 0 {
			t.Fatal(name, problems)
		}
		if !strings.Contains(c.HTML, test.has) || strings.Contains(c.HTML, test.lacks) {
			t.Errorf("%s: %s", name, c.HTML)
		}
	}
}

func TestIsMJML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"<mjml>": true, " <!-- note -->\n<mjml lang='id'>": true, "<mjml/>": true, "<mjml\n>": true,
		"<mjmlx>": false, "<p><mjml></p>": false, "": false, "<!-- <mjml>": false, "mjml": false,
	} {
		if got := IsMJML(text); got != want {
			t.Errorf("IsMJML(%q) = %v", text, got)
		}
	}
}
