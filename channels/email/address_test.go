package email

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseMailbox(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("d", 63)
	for in, want := range map[string]string{
		"ani@example.org":                "ani@example.org",
		"Ani.Wijaya+oli@Example.ORG":     "Ani.Wijaya+oli@example.org",
		`"a b\"c"@example.org`:           `"a b\"c"@example.org`,
		"ani@bücher.example":             "ani@xn--bcher-kva.example",
		"ani@例え.テスト":                     "ani@xn--r8jz45g.xn--zckzah",
		"ani@xn--bcher-kva.example":      "ani@xn--bcher-kva.example",
		"josé@example.org":               "josé@example.org, needs SMTPUTF8",
		"":                               "the address is empty",
		"ani":                            "the address has no @",
		"@example.org":                   "the part before the @ is not a valid name",
		".ani@example.org":               "the part before the @ is not a valid name",
		"a..b@example.org":               "the part before the @ is not a valid name",
		"a b@example.org":                "the part before the @ is not a valid name",
		"a@b@example.org":                "the part before the @ is not a valid name",
		"ani\r\nRCPT TO:<b@example.org":  "the part before the @ is not a valid name",
		`"a"b"@example.org`:              "the part before the @ is not a valid name",
		`"a\"@example.org`:               "the part before the @ is not a valid name",
		"Ani <ani@example.org>":          "the part before the @ is not a valid name",
		"ani@":                           "the address has nothing after the @",
		"ani@example..org":               "the part after the @ is not a valid domain",
		"ani@-example.org":               "the part after the @ is not a valid domain",
		"ani@exa mple.org":               "the part after the @ is not a valid domain",
		"ani@example.org>":               "the part after the @ is not a valid domain",
		"ani@exa_mple.org":               "the part after the @ is not a valid domain",
		"ani@example.org\r\nDATA":        "the part after the @ is not a valid domain",
		"an\xff@example.org":             "the address is not valid UTF-8",
		strings.Repeat("a", 65) + "@b.c": "the part before the @ is longer than 64 octets",
		"a@" + long + "." + long + "." + long + "." + strings.Repeat("d", 61): "the address is longer than 254 octets",
	} {
		box, err := parseMailbox(in)
		got := box.addr
		if box.utf8 {
			got += ", needs SMTPUTF8"
		}
		if err != nil {
			got = fmt.Sprint(err)
		}
		if got != want {
			t.Errorf("parseMailbox(%q): %s; want %s", in, got, want)
		}
	}
}
