package letter

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"testing"
	"time"
)

func company() *Settings {
	return &Settings{Sender: "Bengkel Maju", Return: []string{"Jl. Pemuda 12", "Semarang 50132"}, Country: "ID"}
}

func sunset(t testing.TB) *picture {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 740, 525))
	for y := range 525 {
		for x := range 740 {
			m.Set(x, y, color.RGBA{uint8(250 - y/4), uint8(120 + x/8), uint8(60 + y/3), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	p, err := readPicture(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLook(t *testing.T) {
	dir := os.Getenv("LOOK")
	if dir == "" {
		t.Skip()
	}
	f, _ := os.Create(dir + "/look.pdf")
	p := newPress(f, company())
	text := "# Waktunya ganti oli\n\nHalo Bapak **Budi Santoso**, B 1234 XY sudah waktunya ganti oli.\n- hemat 20 %\n- gratis cuci\nSalam hangat,\nBengkel Maju — Žluťoučký kůň, façade, naïve, “kutip”"
	addr := "Budi Santoso\nJl. Merdeka Barat No. 17 RT 02/RW 03\nKel. Sekayu, Kec. Semarang Tengah\nSemarang 50132\nJawa Tengah\nID"
	for _, size := range sizeNames() {
		for _, w := range []string{"left", "right"} {
			a := addr
			if size == "letter" || w == "right" {
				a = "Budi Santoso\n350 Fifth Avenue, Suite 21\nNew York NY 10118\nUS"
			}
			pc := &Piece{Code: newCode(), Size: size, Content: Content{Address: a, Text: text, Window: w, Link: "https://sapa.bengkel.example/l/aB3dE6gH"}}
			if size[0] == 'p' {
				pc.front = sunset(t)
			}
			n, err := p.print(pc)
			t.Log(size, w, n, err)
		}
	}
	if err := p.finish("run 7, batch 1", time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	f.Close()
}
