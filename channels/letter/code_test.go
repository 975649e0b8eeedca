package letter

import (
	"strings"
	"testing"
)

func TestCodes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		code := newCode()
		typed := strings.NewReplacer("0", "o", "1", "l").Replace(strings.ToLower(shownCode(code)))
		if read, err := ReadCode(" " + typed + "\r"); err != nil || read != code {
			t.Fatalf("%s was read as %s: %v", typed, read, err)
		}
		seen[code] = true
	}
	if len(seen) < 999 {
		t.Errorf("%d different codes of 1000", len(seen))
	}
}

func TestEveryWrongCharacterIsFound(t *testing.T) {
	t.Parallel()
	code := "K3F92XQ" + string(checkLetter("K3F92XQ"))
	for i := range code {
		for _, other := range codeLetters {
			wrong := code[:i] + string(other) + code[i+1:]
			if _, err := ReadCode(wrong); (err == nil) != (wrong == code) {
				t.Errorf("%s: %v", wrong, err)
			}
		}
	}
}

func TestReadCodeRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"K3F9":      `"K3F9" is no code: it has 4 characters, and codes have 8`,
		"K3F9-2XQU": `"K3F9-2XQU" is no code: 'U' is in none`,
		"K3F9-2XQ0": `"K3F9-2XQ0" is no code: a character is wrong; it was misread or mistyped`,
	} {
		if _, err := ReadCode(text); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
