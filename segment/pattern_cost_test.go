package segment

import "testing"

func TestNestedRepetitionsAreBounded(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		`^(?:(?:(?:[a-z]{0,5}){0,5}){0,5}){0,2}$`: "the pattern repeats what is repeated, more than 200 times",
		`^(?:(?:[a-z]{0,30}){0,16})$`:             "the pattern repeats what is repeated, more than 200 times",
		`^(?:[0-9]{1,3}[.]){3}[0-9]{1,3}$`:        "",
		`^[a-z]{0,250}$`:                          "",
		`^(?:a{2,14}){0,14}b{0,100}$`:             "",
	} {
		_, message := visitsOf(t, `customer.name matches "`+pattern+`"`, NewScope(testSchema()))
		if message != want {
			t.Errorf("%s: %q, want %q", pattern, message, want)
		}
	}
}
