package sandbox

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestLettersPage(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, body := get(t, s, "/letters")
	mustContain(t, body, "No letters were printed yet.")
	dir, err := s.Letters()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cards.pdf": "%PDF-1.7\n", ".half.pdf": "%PDF", "secret.txt": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, body = get(t, s, "/letters")
	mustContain(t, body, `<a href="/letters/cards.pdf">cards.pdf</a>`)
	mustLack(t, body, "half.pdf", "secret")
	answer, body := get(t, s, "/letters/cards.pdf")
	if body != "%PDF-1.7\n" || answer.Header.Get("Content-Type") != "application/pdf" || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%q %v", body, answer.Header)
	}
	for _, path := range []string{"/letters/secret.txt", "/letters/.half.pdf", "/letters/gone.pdf", "/letters/..%2F..%2Fx.pdf"} {
		if answer, _ := get(t, s, path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
}
