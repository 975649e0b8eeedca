package letter

import (
	"errors"
	"fmt"
	"strings"
)

// Content is what a piece says, as it was composed for one customer.
type Content struct {
	Address string `json:"address"` // lines; the last one is the country by ISO 3166, or its name
	Text    string `json:"text"`
	Window  string `json:"window,omitempty"`
	Link    string `json:"link,omitempty"`
}

// Piece is one letter or postcard.
type Piece struct {
	Code string
	Size string
	Content
	front *picture // nil: none
}

// mostPages is how many pages a letter has at most: more do not go into an ordinary envelope.
const mostPages = 10

// Sizes of type in points.
const (
	bodySize     = 10.5
	leading      = 1.36
	addressSize  = 10
	senderSize   = 6.5
	codeSize     = 7
	postcardSize = 9.5 // what postcards begin with
	postcardLow  = 7.5 // and what still is readable
)

// drawing lays a piece out, page after page.
type drawing struct {
	canvas   *canvas
	settings *Settings
	piece    *Piece
	emit     func(withPicture bool) error // the canvas is a page
}

// draw calls emit for each page of a piece. The error is about this piece alone: what can't be printed, or does not fit.
func (d *drawing) draw() error {
	f, err := formatOf(d.piece.Size)
	if err != nil {
		return err
	}
	for what, text := range map[string]string{"text": d.piece.Text, "address": d.piece.Address, "link": d.piece.Link} {
		if r, ok := unprintable(printable(text)); ok {
			return fmt.Errorf("the %s has a character that the font does not have: %q (%U)", what, r, r)
		}
	}
	if f.postcard {
		return d.postcard(&f)
	}
	w, ok := f.windows[d.piece.Window]
	if !ok {
		w = f.windows["left"]
	}
	return d.letter(&f, &w)
}

// addressLines are the lines of the address as they are printed: the country in capitals, and none within the country.
func (d *drawing) addressLines() []string {
	lines := strings.Split(printable(d.piece.Address), "\n")
	last := len(lines) - 1
	country := lines[last]
	switch {
	case country == "" || country == d.settings.Country:
		return lines[:last]
	case len(country) == 2:
		lines[last] = countryName(country)
	}
	return lines
}

// address writes the address into a place, in smaller type where a line is too long for it.
func (d *drawing) address(x, y, width float64, most int) error {
	lines := d.addressLines()
	if len(lines) > most {
		return fmt.Errorf("the address has %d lines, and %d show", len(lines), most)
	}
	size, f := float64(addressSize), loadTypeface().regular
	for _, l := range lines {
		for size > 7.5 && f.width(l, size)/perMM > width {
			size -= 0.5
		}
		if f.width(l, size)/perMM > width {
			return errors.New("a line of the address is too long to be printed")
		}
	}
	const step = addressSize * 1.2 / perMM
	for i, l := range lines {
		d.canvas.text(x, y+float64(i+1)*step-1, size, false, l)
	}
	return nil
}

// code writes the piece's code for people and for scanners.
func (d *drawing) code(x, y, height float64) error {
	if err := d.canvas.bars(x, y, height, d.piece.Code); err != nil {
		return err
	}
	d.canvas.text(x+codeWidth+quietBars*codeModule, y+height/2+0.9, codeSize, false, shownCode(d.piece.Code))
	return nil
}

// sender writes the sender in a line, as large as there is room for.
func (d *drawing) sender(x, y, width float64) {
	text, f := printable(d.settings.returnLine()), loadTypeface().regular
	size := float64(senderSize)
	if w := f.width(text, size) / perMM; w > width {
		size *= width / w
	}
	d.canvas.text(x, y, size, false, text)
}

// qrSide is the side of a QR code with its quiet zone: with the length of our links, modules are 0.5 mm and more.
const qrSide = 22

// link writes the QR code, and the address beside it for those who type.
func (d *drawing) link(x, y, width float64) error {
	if err := d.canvas.qr(x, y, qrSide, d.piece.Link); err != nil {
		return err
	}
	_, address, _ := strings.Cut(d.piece.Link, "://")
	s := style{size: 8.5, width: width - qrSide - 1, leading: 1.25}
	typed := [][]run{{{text: address}}}
	if i := strings.LastIndexByte(address, '/') + 1; i > 0 && loadTypeface().regular.width(address, s.size)/perMM > s.width {
		typed = [][]run{{{text: address[:i]}}, {{text: address[i:]}}}
	}
	lines := s.set([]block{{lines: typed}})
	if height(lines) > qrSide {
		return fmt.Errorf("the link is too long to be printed: %d characters", len(address))
	}
	d.canvas.lines(x+qrSide+1, y+(qrSide-height(lines))/2, y+qrSide, lines)
	return nil
}
