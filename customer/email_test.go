package customer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNormaliseEmail(t *testing.T) {
	t.Parallel()
	good := func(addr string) Address {
		return Address{Normalised: addr, Domain: addr[strings.LastIndexByte(addr, '@')+1:]}
	}
	bad := func(reason string) Address { return Address{Reason: reason} }
	long := strings.Repeat("a", 63)
	cases := []struct {
		raw  string
		want Address
	}{
		{"budi@example.com", good("budi@example.com")},
		{"  Budi.Santoso+promo@Example.COM \t", good("Budi.Santoso+promo@example.com")},
		{"\u00a0budi@example.com\u200b", good("budi@example.com")},
		{"budi@example.com.", good("budi@example.com")},
		{"Budi Santoso <budi@example.com>", good("budi@example.com")},
		{"<budi@example.com>", good("budi@example.com")},
		{"o'neil_2@mail.co.id", good("o'neil_2@mail.co.id")},
		{"josé@müller.de", good("josé@xn--mller-kva.de")},
		{"a@faß.de", good("a@xn--fa-hia.de")},
		{"a@例え.jp", good("a@xn--r8jz45g.jp")},
		{"a@MÜLLER.de", good("a@xn--mller-kva.de")},
		{"", bad("empty")},
		{"  ", bad("empty")},
		{"budi", bad("no @")},
		{"-", bad("no @")},
		{"@example.com", bad("nothing before the @")},
		{"budi@", bad("nothing after the @")},
		{"budi@gmail", bad("an incomplete domain after the @")},
		{"budi@1.2.3.4", bad("an incomplete domain after the @")},
		{"budi@[1.2.3.4]", bad("not a valid domain after the @")},
		{"budi@exa mple.com", bad("not a valid domain after the @")},
		{"budi@-example.com", bad("not a valid domain after the @")},
		{"budi@example..com", bad("not a valid domain after the @")},
		{"budi@.example.com", bad("not a valid domain after the @")},
		{"budi@exam_ple.com", bad("not a valid domain after the @")},
		{"budi@" + long + "a.com", bad("not a valid domain after the @")},
		{"budi@@example.com", bad("more than one @")},
		{"budi@home@example.com", bad("more than one @")},
		{"a@example.com, b@example.com", bad("more than one address")},
		{"a@example.com;b@example.com", bad("more than one address")},
		{"budi santoso@example.com", bad("a blank before the @")},
		{".budi@example.com", bad("a dot in the wrong place before the @")},
		{"budi.@example.com", bad("a dot in the wrong place before the @")},
		{"bu..di@example.com", bad("a dot in the wrong place before the @")},
		{"budi(home)@example.com", bad("a character before the @ that is not allowed there")},
		{`"budi"@example.com`, bad("a character before the @ that is not allowed there")},
		{"budi\r\nBcc: x@example.com", bad("a blank before the @")},
		{"bu\x00di@example.com", bad("a character before the @ that is not allowed there")},
		{"\xffbudi@example.com", bad("not valid text")},
		{long + "ab@example.com", bad("more than 64 characters before the @")},
		{"a@" + long + "." + long + "." + long + "." + long[:60] + ".com", bad("not a valid domain after the @")},
		{"aaa@" + long + "." + long + "." + long + "." + long[:55] + ".com", bad("longer than 254 characters")},
	}
	for _, c := range cases {
		if d := cmp.Diff(c.want, NormaliseEmail(c.raw)); d != "" {
			t.Errorf("%q: %s", c.raw, d)
		}
	}
}

// What was normalised once is left alone, whatever comes in.
func FuzzNormaliseEmail(f *testing.F) {
	for _, seed := range []string{"Budi@Example.com", "josé@müller.de", "a <b@c.de>", "a@b.c.", "@", "a@xn--a.de", "a@ß.de."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a := NormaliseEmail(raw)
		if a.Usable() != (a.Normalised != "") || strings.ContainsAny(a.Normalised, "\r\n\x00 <>") {
			t.Fatalf("%q: %+v", raw, a)
		}
		if a.Usable() {
			if d := cmp.Diff(a, NormaliseEmail(a.Normalised)); d != "" {
				t.Fatalf("%q: %s", raw, d)
			}
		}
	})
}
