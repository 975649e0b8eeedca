package letter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseText(t *testing.T) {
	t.Parallel()
	text := "# Halo **Budi** #\nSelamat  pagi,\r\nini **tebal dan\nterus** biasa\n\n- satu\n- dua **2**\nSalam *hangat* ** dan #1\n\n\nAkhir\u00ad nya\u200b."
	var got []string
	for _, b := range parseText(text) {
		var lines []string
		for _, l := range b.lines {
			line := ""
			for _, r := range l {
				mark := map[bool]string{true: "_"}[r.bold]
				line += mark + r.text + mark
			}
			lines = append(lines, line)
		}
		got = append(got, fmt.Sprintf("%d %s", b.kind, strings.Join(lines, " / ")))
	}
	want := []string{
		"1 _Halo __Budi_",
		"0 Selamat  pagi, / ini **tebal dan / terus** biasa",
		"2 satu",
		"2 dua _2_",
		"0 Salam *hangat* ** dan #1",
		"0 Akhir nya.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// set gives the lines of a text as they are set.
func set(text string, width float64) []string {
	var got []string
	for _, l := range (style{size: 10, width: width, leading: 1.2}).set(parseText(text)) {
		line := ""
		for _, p := range l.pieces {
			line += "|" + p.text
		}
		got = append(got, line)
	}
	return got
}

func TestLinesAreAsWideAsTheyMayBe(t *testing.T) {
	t.Parallel()
	text := "Mobil **B 1234 XY** sudah waktunya ganti oli, Kecuali-yang-sangat-panjang-sekali-namanya ya"
	want := []string{"|Mobil|B 1234 XY|sudah", "|waktunya ganti oli,", "|Kecuali-yang-sangat-pa", "|njang-sekali-namanya", "|ya"}
	if diff := cmp.Diff(want, set(text, 40)); diff != "" {
		t.Error(diff)
	}
	for _, l := range (style{size: 10, width: 40, leading: 1.2}).set(parseText(strings.Repeat(text+" ", 5))) {
		last := l.pieces[len(l.pieces)-1]
		f := loadTypeface().regular
		if last.bold {
			f = loadTypeface().bold
		}
		if end := last.x + f.width(last.text, 10)/perMM; end > 40.01 {
			t.Errorf("%v ends at %.2f mm", l.pieces, end)
		}
	}
}

// pages lays a piece out and says how many pages it has.
func pages(s *Settings, p *Piece) (n int, err error) {
	d := drawing{canvas: &canvas{}, settings: s, piece: p, emit: func(bool) error { n++; return nil }}
	return n, d.draw()
}

func TestPages(t *testing.T) {
	t.Parallel()
	home, abroad := "Budi\nJl. Merdeka 17\nSemarang 50241\nID", "Ann\n1 Road\nFlat 2\nBlock 3\nLondon\nW1A 1AA\nGB"
	long := strings.Repeat("Satu baris saja.\n", 60)
	picture, err := readPicture(sunset(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		piece  Piece
		duplex bool
		pages  int
		err    string
	}{
		"letter":           {piece: Piece{Size: "a4", Content: Content{Address: home, Text: "Halo"}}, pages: 1},
		"duplex":           {piece: Piece{Size: "a4", Content: Content{Address: home, Text: "Halo"}}, duplex: true, pages: 2},
		"two pages":        {piece: Piece{Size: "a4", Content: Content{Address: home, Text: long}}, duplex: true, pages: 2},
		"link on the next": {piece: Piece{Size: "a4", Content: Content{Address: home, Text: strings.Repeat("x\n", 34), Link: "https://a.example/l/1"}}, pages: 2},
		"letterhead":       {piece: Piece{Size: "letter", Content: Content{Address: home, Text: "Halo"}, front: picture}, pages: 1},
		"postcard":         {piece: Piece{Size: "postcard-a6", Content: Content{Address: home, Text: "Halo"}}, pages: 1},
		"picture side":     {piece: Piece{Size: "postcard-4x6", Content: Content{Address: home, Text: "Halo"}, front: picture}, pages: 2},
		"address too high": {piece: Piece{Size: "letter", Content: Content{Address: abroad, Text: "Halo"}}, err: "the address has 7 lines, and 4 show"},
		"address too wide": {
			piece: Piece{Size: "a4", Content: Content{Address: strings.Repeat("W", 60) + "\nx\nID", Text: "Halo"}}, err: "a line of the address is too long to be printed",
		},
	} {
		tt.piece.Code = "K3F92XQ9"
		s := company()
		s.Duplex = tt.duplex
		n, err := pages(s, &tt.piece)
		if err != nil && err.Error() != tt.err || err == nil && (tt.err != "" || n != tt.pages) {
			t.Errorf("%s: %d pages, %v", name, n, err)
		}
	}
}

func TestAddressLines(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{
		"Budi\nJl. Merdeka 17\nSemarang 50241\nID": {"Budi", "Jl. Merdeka 17", "Semarang 50241"},
		"Jörg\nAm Markt 1\n10117 Berlin\nDE":       {"Jörg", "Am Markt 1", "10117 Berlin", "GERMANY"},
	} {
		d := drawing{settings: company(), piece: &Piece{Content: Content{Address: address}}}
		if diff := cmp.Diff(want, d.addressLines()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFontsHaveWhatLettersNeed(t *testing.T) {
	t.Parallel()
	text := "AaZz09 .,;:!?()[]{}<>@#$%&*+-=/\\|~^_`\"' Çç Ğğ Şş İı Éé è ñ ß Øø Åå Ææ Œœ Łł Žž Čč Řř Ůů Őő Űű Ắằ ẽ ợ „“” ‘’ ‚ – — … • · € £ ¥ ₹ ₫ № ™ © ® ° ² ½ × ÷ Rp10.000"
	if r, missing := unprintable(text); missing {
		t.Errorf("the fonts have no %q", r)
	}
	if diff := cmp.Diff("Café a\u00a0b c", printable("Cafe\u0301 a\u202fb\u2003c\ufeff\u200d")); diff != "" {
		t.Error(diff)
	}
	face := loadTypeface()
	if len(face.regular.glyphs) != len(face.bold.glyphs) {
		t.Errorf("%d characters in regular, %d in bold", len(face.regular.glyphs), len(face.bold.glyphs))
	}
	// As pdftotext and rulers say: NotoSans' M is 907 units wide.
	if w := face.regular.width("M", 1000); w != 907 {
		t.Errorf("M is %g wide", w)
	}
}

func TestCheckFront(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"card.jpg": "", "fall/Card.JPEG": "", "card.png": "",
		"../card.png": "expected the name of a file in templates/, such as card.jpg", "/etc/card.png": "expected the name of a file in templates/, such as card.jpg",
		"card.gif": "expected a PNG or JPEG file, such as card.jpg",
	} {
		got := ""
		if err := CheckFront(name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
