package response

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ring is a keyring without a database: keys 1 … n.
func ring(n int) *Keyring {
	r := &keys{byID: map[uint64]*key{}}
	for id := 1; id <= n; id++ {
		r.newest = newKey(uint64(id), []byte(strings.Repeat(string(rune('a'+id)), 32)))
		r.byID[r.newest.id] = r.newest
	}
	r.oldest = r.byID[1]
	k := new(Keyring)
	k.keys.Store(r)
	return k
}

func mustSign(t testing.TB, k *Keyring, tok Token) string {
	t.Helper()
	s, err := k.Sign(tok)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const someMessage = 10<<44 | 7<<28 | 123456 // of November 2026, run 7

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	k := ring(3)
	for _, tok := range []Token{
		{Kind: Open, MessageID: someMessage},
		{Kind: Click, MessageID: someMessage, Part: HTML, Link: 0},
		{Kind: Click, MessageID: someMessage, Part: Text, Link: maxLink, Query: "name=Siti%20Nurhaliza&plate=H+1234+AB"},
		{Kind: Click, MessageID: 1<<63 - 1, Part: HTML, Link: 12, Query: strings.Repeat("q", 100)},
		{Kind: Unsubscribe, MessageID: 1},
		{Kind: Message, MessageID: someMessage},
	} {
		text := mustSign(t, k, tok)
		if len(text) > MaxToken || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("token %q is too long or has letters that a URL or a Message-ID can't take", text)
		}
		got, err := k.Verify(text)
		if err != nil {
			t.Errorf("verify %+v: %v", tok, err)
		}
		if diff := cmp.Diff(tok, got); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	}
}

// Tokens are in mails that were sent: their bytes never change.
func TestTokensAreFrozen(t *testing.T) {
	t.Parallel()
	k := ring(2)
	for text, tok := range map[string]Token{
		"EQLAxIeAh4AoUc6UTGh5swJi64R_DEZDHQ":                       {Kind: Open, MessageID: someMessage},
		"EgLAxIeAh4AoAQJwbGF0ZT1IKzEyMzQrQUIcjggaRsbxTIFB8HN-JH1T": {Kind: Click, MessageID: someMessage, Part: Text, Link: 2, Query: "plate=H+1234+AB"},
		"EwLAxIeAh4AorVq0JG8hhVY6n2-9rJxMVw":                       {Kind: Unsubscribe, MessageID: someMessage},
		"FAHAxIeAh4AoJhtAO_2vZiMT6VI-qim5Ng":                       {Kind: Message, MessageID: someMessage},
	} {
		if got := mustSign(t, k, tok); got != text {
			t.Errorf("%+v is %q, was %q", tok, got, text)
		}
	}
}

func TestNewestKeySignsAllVerify(t *testing.T) {
	t.Parallel()
	old, now := ring(1), ring(2)
	tok := Token{Kind: Open, MessageID: someMessage}
	if _, err := now.Verify(mustSign(t, old, tok)); err != nil {
		t.Errorf("a token of the older key: %v", err)
	}
	_, err := old.Verify(mustSign(t, now, tok))
	if !errors.Is(err, ErrUnknownKey) || !errors.Is(err, ErrToken) {
		t.Errorf("a token of a key added later: %v", err)
	}
	msg := Token{Kind: Message, MessageID: someMessage}
	if a, b := mustSign(t, old, msg), mustSign(t, now, msg); a != b {
		t.Errorf("a new key changed the Message-ID from %s to %s", a, b)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	k := ring(1)
	good := mustSign(t, k, Token{Kind: Click, MessageID: someMessage, Query: "a=b"})
	for name, text := range map[string]string{
		"empty":           "",
		"short":           "EQ",
		"no base64":       "!!!" + good[3:],
		"line end":        good[:4] + "\n" + good[4:],
		"padding":         good + "=",
		"one byte more":   good + "AAAA",
		"one byte less":   good[:len(good)-4],
		"too long":        strings.Repeat("A", MaxToken+4),
		"other version":   "I" + good[1:],
		"other kind":      "EQ" + good[2:],
		"standard base64": strings.NewReplacer("-", "+", "_", "/").Replace(mustSign(t, k, Token{Kind: Open, MessageID: 62})) + "+",
	} {
		if _, err := k.Verify(text); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %q verifies: %v", name, text, err)
		}
	}
}

// Every change of a single letter must be noticed, also of the last one, which has unused bits.
func TestNoSecondEncodingVerifies(t *testing.T) {
	t.Parallel()
	k := ring(1)
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for id := int64(1); id < 1<<22; id *= 3 { // of all lengths modulo 3
		text := mustSign(t, k, Token{Kind: Open, MessageID: id})
		for i := range text {
			for _, c := range letters {
				changed := text[:i] + string(c) + text[i+1:]
				if _, err := k.Verify(changed); changed != text && err == nil {
					t.Fatalf("%q verifies like %q", changed, text)
				}
			}
		}
	}
}

func TestQueryTooLong(t *testing.T) {
	t.Parallel()
	k := ring(1)
	tok := Token{Kind: Click, MessageID: someMessage, Part: Text, Link: 3, Query: strings.Repeat("x", 123)}
	if got := mustSign(t, k, tok); len(got) != MaxToken {
		t.Errorf("the longest query makes a token of %d bytes", len(got))
	}
	tok.Query += "x"
	_, err := k.Sign(tok)
	if !errors.Is(err, ErrQueryTooLong) {
		t.Fatalf("error is %v", err)
	}
	want := "link 3 of the text part: the link's personal part is too long: 124 bytes, and 123 fit"
	if err.Error() != want {
		t.Errorf("message is %q, want %q", err, want)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	u, err := NewURLs("https://bengkel.example/sapa/", ring(1))
	if err != nil {
		t.Fatal(err)
	}
	click, err := u.Click(5, HTML, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, prefix string }{
		{u.Open(5), "https://bengkel.example/sapa/o/E"},
		{click, "https://bengkel.example/sapa/c/E"},
		{u.Unsubscribe(5), "https://bengkel.example/sapa/u/E"},
		{u.MessageToken(5), "FAE"},
	} {
		if !strings.HasPrefix(c.got, c.prefix) {
			t.Errorf("%q does not begin with %q", c.got, c.prefix)
		}
	}
	for _, bad := range []string{"", "bengkel.example", "ftp://x", "https://x?a=b", "https://me:pw@x", "https://x/" + strings.Repeat("a", 250)} {
		if _, err := NewURLs(bad, ring(1)); err == nil {
			t.Errorf("public_url %q is taken", bad)
		}
	}
}

func FuzzVerify(f *testing.F) {
	k := ring(2)
	for _, tok := range []Token{
		{Kind: Open, MessageID: someMessage}, {Kind: Click, MessageID: 1, Query: "a=b"}, {Kind: Message, MessageID: 1 << 40},
	} {
		text, err := k.Sign(tok)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := k.Verify(text)
		if err != nil {
			if !errors.Is(err, ErrToken) {
				t.Fatalf("error is no ErrToken: %v", err)
			}
			return
		}
		again, err := k.Sign(tok)
		if err == nil && again != text {
			if old, _ := ring(1).Sign(tok); old != text { // signed by the older key
				t.Fatalf("%q verifies, and is not %q", text, again)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	u, err := NewURLs("https://sapa.bengkel.example", ring(1))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := u.Click(someMessage, HTML, 1, "plate=H+1234+AB"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	k := ring(1)
	text := mustSign(b, k, Token{Kind: Click, MessageID: someMessage, Link: 1, Query: "plate=H+1234+AB"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Verify(text); err != nil {
			b.Fatal(err)
		}
	}
}
