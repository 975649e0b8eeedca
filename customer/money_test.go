package customer

import "testing"

func TestMoney(t *testing.T) {
	t.Parallel()
	const (
		expected  = `expected an amount and a currency, such as "350 IDR" or "0.0079 USD"`
		thousands = "expected an amount without separators of thousands: write 1500 or 1_500; and 1.5 for one and a half"
	)
	for text, want := range map[string]string{
		"350 IDR":          "350 IDR",
		"500_000 IDR":      "500000 IDR",
		"0.0079 USD":       "0.0079 USD",
		"0.005 USD":        "0.005 USD",
		"1.50 EUR":         "1.5 EUR",
		"0 IDR":            "0 IDR",
		"007 IDR":          "7 IDR",
		"1.500 IDR":        thousands,
		"1,500 IDR":        thousands,
		"1.500.000 IDR":    thousands,
		"1,5 EUR":          expected,
		"350":              expected,
		"350 idr":          expected,
		"IDR 350":          expected,
		"-1 IDR":           expected,
		"0.00000001 IDR":   expected,
		"350 IDR per text": expected,
	} {
		var m Money
		got := ""
		if err := m.UnmarshalScalar(text); err != nil {
			got = err.Error()
		} else {
			got = m.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
