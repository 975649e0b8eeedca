package letter

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// codeLetters are Crockford's base 32: no I, L, O and U, which are misread.
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeLength is how many characters the code of a piece has; the last one is computed from the others.
const codeLength = 8

// newCode draws a code: 32⁷, or 3 × 10¹⁰, are possible.
func newCode() string {
	var drawn [codeLength - 1]byte
	_, _ = rand.Read(drawn[:]) // it never fails
	for i, b := range drawn {
		drawn[i] = codeLetters[b%32]
	}
	return string(drawn[:]) + string(checkLetter(string(drawn[:])))
}

// checkLetter is Luhn's algorithm modulo 32: it finds every single wrong character, and nearly every pair that was swapped.
func checkLetter(text string) byte {
	sum, factor := 0, 2
	for i := len(text) - 1; i >= 0; i-- {
		add := factor * strings.IndexByte(codeLetters, text[i])
		sum += add/32 + add%32
		factor = 3 - factor
	}
	return codeLetters[(32-sum%32)%32]
}

// shownCode is a code as people read it.
func shownCode(code string) string { return code[:4] + "-" + code[4:] }

// ReadCode reads a code as it was scanned or typed: capitals, blanks and hyphens do not count, O is 0, I and L are 1.
func ReadCode(text string) (string, error) {
	code := strings.NewReplacer(" ", "", "-", "", "\t", "", "\r", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
	for _, r := range code {
		if !strings.ContainsRune(codeLetters, r) {
			return "", fmt.Errorf("%q is no code: %q is in none", text, r)
		}
	}
	switch {
	case len(code) != codeLength:
		return "", fmt.Errorf("%q is no code: it has %d characters, and codes have %d", text, len(code), codeLength)
	case checkLetter(code[:codeLength-1]) != code[codeLength-1]:
		return "", fmt.Errorf("%q is no code: a character is wrong; it was misread or mistyped", text)
	}
	return code, nil
}
