package importer

import (
	"fmt"
	"testing"
)

func TestScanNumber(t *testing.T) {
	t.Parallel()
	styles := map[numberStyle]string{plainNumber: "plain", provesDot: "dot", provesComma: "comma", ambiguousDot: "1.500", ambiguousComma: "1,500"}
	tests := map[string]string{ // value: style, [code], [fraction], [currency], as 1,234.56, as 1.234,56
		"0":                   "plain 0 0",
		"42":                  "plain 42 42",
		"-42":                 "plain -42 -42",
		"12.5":                "dot fraction 12.5 no",
		"12,5":                "comma fraction no 12.5",
		"0.500":               "dot fraction 0.500 no",
		"0,500":               "comma fraction no 0.500",
		".5":                  "dot fraction 0.5 no",
		"1234.500":            "dot fraction 1234.500 no",
		"1.500":               "1.500 1.500 1500",
		"1,500":               "1,500 1500 1.500",
		"1,234,567":           "dot 1234567 no",
		"1.234.567":           "comma no 1234567",
		"1,234.5":             "dot fraction 1234.5 no",
		"1.234,567":           "comma fraction no 1234.567",
		"1'234'567":           "plain 1234567 1234567",
		"1\u00a0234,5":        "comma fraction no 1234.5",
		"1'234.567":           "dot fraction 1234.567 no",
		"007":                 "plain code 007 007",
		"00.5":                "dot code fraction 00.5 no",
		"+62811":              "plain code 62811 62811",
		"12345678901234":      "plain 12345678901234 12345678901234",
		"1234567890123456789": "plain code 1234567890123456789 1234567890123456789",
		"$90,000":             "dot $ 90000 no",
		"$3.459":              "1.500 $ 3.459 3459",
		"-$5":                 "plain $ -5 -5",
		"$-5":                 "plain $ -5 -5",
		"($1,234.50)":         "dot fraction $ -1234.50 no",
		"US$ 5":               "plain $ 5 5",
		"5 USD":               "plain $ 5 5",
		"Rp 1.500":            "comma Rp no 1500",
		"Rp. 1.500.000,-":     "comma Rp no 1500000",
		"IDR 1,500":           "dot Rp 1500 no",
		"€1.500":              "1.500 € 1.500 1500",
		"1.500,00 €":          "comma fraction € no 1500.00",
	}
	for value, want := range tests {
		n, ok := scanNumber([]byte(value), false)
		if !ok {
			t.Errorf("%q is no number, want %s", value, want)
			continue
		}
		got := styles[n.style]
		if n.code {
			got += " code"
		}
		if n.fraction {
			got += " fraction"
		}
		if n.currency != "" {
			got += " " + n.currency
		}
		for _, in := range []notation{dotDecimal, commaDecimal} {
			text, ok := n.appendTo(nil, in)
			if !ok {
				text = []byte("no")
			}
			got += fmt.Sprintf(" %s", text)
		}
		if got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
}

func TestScanNoNumber(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "-", "abc", "1.2.3", "12,34,567", "1,23.5", "1234,567.8", "5.", "1.234.56", "1,234.567,8", "45%", "$", "(11)", "1 234", "555-0162", "1e5", "12a", "0,123,456", "1..5", "--5", "$$5", "NaN"} {
		if n, ok := scanNumber([]byte(value), false); ok {
			t.Errorf("%q is a number %+v, want none", value, n)
		}
	}
	if _, ok := scanNumber([]byte("1 234,5"), true); !ok {
		t.Error("1 234,5 is no number where spaces group")
	}
}
