package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Letters is the folder for letters on paper, made when it is absent: the page shows each PDF in it.
func (s *Server) Letters() (string, error) {
	dir := s.lettersDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of letters: %w", err)
	}
	return dir, nil
}

func (s *Server) lettersDir() string { return filepath.Join(s.config.Dir, "letters") }

// printed is a PDF of letters.
type printed struct {
	Name string
	Size int
	At   time.Time
}

// letters is the page with the PDFs, the newest first.
func (p *pages) letters(w http.ResponseWriter, _ *http.Request) {
	entries, err := os.ReadDir(p.server.lettersDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.fail(w, http.StatusInternalServerError, "The folder of letters could not be read.")
		return
	}
	var list []printed
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && isLetterFile(e.Name()) && info.Mode().IsRegular() {
			list = append(list, printed{e.Name(), int(info.Size()), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b printed) int { return b.At.Compare(a.At) })
	p.show(w, http.StatusOK, "letters", "Letters", list)
}

func isLetterFile(name string) bool {
	return strings.HasSuffix(name, ".pdf") && !strings.HasPrefix(name, ".")
}

// printedLetters answers with one of the PDFs.
func (p *pages) printedLetters(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	root, err := os.OpenRoot(p.server.lettersDir())
	if err != nil || !isLetterFile(name) {
		p.fail(w, http.StatusNotFound, "There are no such letters.")
		return
	}
	defer func() { _ = root.Close() }()
	f, err := root.Open(name)
	if err != nil {
		p.fail(w, http.StatusNotFound, "There are no such letters.")
		return
	}
	defer func() { _ = f.Close() }()
	w.Header().Del("Content-Security-Policy") // browsers show PDFs by pages of their own, which it would bind
	w.Header().Set("Content-Type", "application/pdf")
	http.ServeContent(w, r, name, time.Time{}, f)
}
