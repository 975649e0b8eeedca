package letter

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// booklet prints one piece of each size and window.
func booklet(t testing.TB) []byte {
	t.Helper()
	picture, err := readPicture(sunset(t))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	s := company()
	s.Bleed = 3
	p := newPress(&b, s)
	for _, size := range sizeNames() {
		for _, w := range []string{"left", "right"} {
			piece := &Piece{Code: "K3F92XQ9", Size: size, front: picture, Content: Content{
				Address: "Budi Santoso\nJl. Merdeka 17\nSemarang 50241\nID", Text: "# Ganti oli\n\nHalo **Budi**, naïve façade.", Window: w, Link: "https://sapa.bengkel.example/l/aB3dE6gH",
			}}
			if _, err := p.print(piece); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := p.finish("Letters 7-1", noon()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestStructure follows the file as a reader does: the cross-reference table leads to every object, every reference to one
// that is there, streams are as long as they say, and the tree has all pages.
func TestStructure(t *testing.T) {
	t.Parallel()
	pdf := booklet(t)
	end := regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`).FindSubmatch(pdf)
	if end == nil {
		t.Fatal("no end")
	}
	start, _ := strconv.Atoi(string(end[1]))
	table := strings.Split(string(pdf[start:]), "\n")
	if table[0] != "xref" || table[2] != "0000000000 65535 f " {
		t.Fatalf("no table at %d: %q", start, table[:3])
	}
	var count int
	if _, err := fmt.Sscanf(table[1], "0 %d", &count); err != nil {
		t.Fatal(err)
	}
	pages := 0
	for i := 1; i < count; i++ {
		at, err := strconv.Atoi(table[i+2][:10])
		if err != nil || !bytes.HasPrefix(pdf[at:], fmt.Appendf(nil, "%d 0 obj\n", i)) {
			t.Fatalf("object %d is not at %d", i, at)
		}
		body, _, _ := bytes.Cut(pdf[at:], []byte("endobj"))
		head, stream, isStream := bytes.Cut(body, []byte("\nstream\n"))
		if isStream {
			length := regexp.MustCompile(`/Length (\d+)`).FindSubmatch(head)
			n, _ := strconv.Atoi(string(length[1]))
			if !bytes.Equal(pdf[at+len(head)+8+n:][:11], []byte("\nendstream\n")) {
				t.Errorf("stream %d of %d is not so long as it says: %d", i, len(stream), n)
			}
		}
		if bytes.Contains(head, []byte("/Type/Page/")) {
			pages++
		}
		for _, ref := range regexp.MustCompile(`(\d+) 0 R`).FindAllSubmatch(head, -1) {
			if n, _ := strconv.Atoi(string(ref[1])); n < 1 || n >= count {
				t.Errorf("object %d refers to %d", i, n)
			}
		}
	}
	if !bytes.Contains(pdf, fmt.Appendf(nil, "/Type/Pages/Count %d/", pages)) || pages != 12 {
		t.Errorf("%d pages", pages)
	}
	if n := bytes.Count(pdf, []byte("/FontFile2")); n != 2 {
		t.Errorf("%d fonts are in it", n)
	}
	if !bytes.Equal(pdf, booklet(t)) {
		t.Error("the same pieces give other bytes")
	}
}

// tool runs a program of the machine on the booklet; without it, the test is skipped.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(name + " is not installed")
	}
	file := filepath.Join(t.TempDir(), "booklet.pdf")
	if err := os.WriteFile(file, booklet(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "FILE", file)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestQPDF(t *testing.T) {
	t.Parallel()
	if out := tool(t, "qpdf", "--check", "FILE"); !strings.Contains(out, "No syntax or stream encoding errors found") {
		t.Error(out)
	}
}

func TestFontsAreEmbedded(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(tool(t, "pdffonts", "FILE")), "\n")[2:]
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l)[:7], " ")
	}
	want := []string{"SAPALT+NotoSans-Regular CID TrueType Identity-H yes yes yes", "SAPALT+NotoSans-Bold CID TrueType Identity-H yes yes yes"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

func TestBoxes(t *testing.T) {
	t.Parallel()
	out := tool(t, "pdfinfo", "-box", "-f", "5", "-l", "5", "FILE") // the picture side of the first postcard, 3 mm of bleed
	for _, want := range []string{`MediaBox: +0.00 +0.00 +436.53 +314.65`, `BleedBox: +0.00 +0.00 +436.53 +314.65`, `TrimBox: +8.50 +8.50 +428.03 +306.14`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestTextCanBeCopied(t *testing.T) {
	t.Parallel()
	out := tool(t, "pdftotext", "-f", "1", "-l", "1", "FILE", "-")
	for _, want := range []string{"Bengkel Maju · Jl. Pemuda 12 · Semarang 50132\n", "Budi Santoso\nJl. Merdeka 17\nSemarang 50241\n", "Halo Budi, naïve façade.", "K3F9-2XQ9", "sapa.bengkel.example/l/aB3dE6gH"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestCodesAreRead has the page seen by a scanner.
func TestCodesAreRead(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Skip("zbarimg is not installed")
	}
	for page, size := range map[string]string{"1": "a4", "6": "a card"} {
		image := filepath.Join(t.TempDir(), "page")
		tool(t, "pdftoppm", "-r", "200", "-png", "-singlefile", "-f", page, "-l", page, "FILE", image)
		out, err := exec.CommandContext(t.Context(), "zbarimg", "-q", image+".png").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"CODE-128:K3F92XQ9\n", "QR-Code:https://sapa.bengkel.example/l/aB3dE6gH\n"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: no %q in %q", size, want, out)
			}
		}
	}
}
