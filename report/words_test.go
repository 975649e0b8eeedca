package report

import "testing"

// What came of letters has numbers that only Sapa knows; of texts the provider's codes are what people look up.
func TestCauseNames(t *testing.T) {
	t.Parallel()
	code := func(n int) *int { return &n }
	moved, gone := "the customer has moved", "no such number"
	for want, c := range map[string]Cause{
		"the customer has moved": {code(1), &moved, 1},
		"30005 no such number":   {code(30005), &gone, 1},
		"30007":                  {code(30007), nil, 1},
		"2":                      {code(2), nil, 1},
		"without a code":         {nil, nil, 1},
	} {
		if got := causeName(c); got != want {
			t.Errorf("causeName = %q, want %q", got, want)
		}
	}
}

// Estimates are short where they are whole.
func TestShortAmounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"60000": "60000", "0.5": "0.50", "97.34": "97.34", "0.007": "0.007", "0": "0"} {
		var a Amount
		a.rat.SetString(text)
		if got := a.short(); got != want {
			t.Errorf("short of %s = %q, want %q", text, got, want)
		}
	}
}
