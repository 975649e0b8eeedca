package letter

import (
	"fmt"
)

// letter lays a letter out: the head with the address for the window, the text, the link.
func (d *drawing) letter(f *format, w *window) error {
	c := d.canvas
	c.start(f.width, f.height, 0)
	if err := d.head(f, w); err != nil {
		return err
	}
	width := f.width - w.left - 20
	rest := style{size: bodySize, width: width, leading: leading}.set(parseText(d.piece.Text))
	y, bottom := w.body, f.height-w.foot
	for page := 1; ; page++ {
		var end float64
		rest, end = c.lines(w.left, y, bottom, rest)
		linked := d.piece.Link == ""
		if len(rest) == 0 && !linked && end+5+qrSide <= bottom+0.01 {
			if err := d.link(w.left-2, end+5, width+2); err != nil {
				return err
			}
			linked = true
		}
		d.footer(f, w, page)
		if err := d.emit(page == 1 && d.piece.front != nil); err != nil {
			return err
		}
		switch {
		case len(rest) == 0 && linked:
			return d.blank(f, page)
		case page == mostPages:
			return fmt.Errorf("the letter has more than %d pages", mostPages)
		}
		y = 25
		c.start(f.width, f.height, 0)
	}
}

// blank adds an empty page where sheets are printed on both sides and the next letter would begin on a back.
func (d *drawing) blank(f *format, pages int) error {
	if !d.settings.Duplex || pages%2 == 0 {
		return nil
	}
	d.canvas.start(f.width, f.height, 0)
	return d.emit(false)
}

// head is what stands above the text of the first page.
func (d *drawing) head(f *format, w *window) error {
	c := d.canvas
	if p := d.piece.front; p != nil {
		place := rect{w.left, 10, f.width - w.left - 20, 24}
		c.picture("P", place, place.contain(p.ratio()))
	} else {
		c.text(w.left, 18, 12, true, printable(d.settings.Sender))
		for i, l := range d.settings.Return {
			c.text(w.left, 23+4*float64(i), 8.5, false, printable(l))
		}
	}
	if err := d.code(w.x, w.bars, 4); err != nil {
		return err
	}
	if w.sender > 0 {
		d.sender(w.x, w.sender, w.width)
	}
	if err := d.address(w.x, w.address, w.width, w.lines); err != nil {
		return err
	}
	for _, y := range w.folds {
		c.line(4, y, 8, y)
	}
	return nil
}

// footer names the piece on each page, so that sheets which fell apart are found again.
func (d *drawing) footer(f *format, w *window, page int) {
	d.canvas.text(w.left, f.height-10, codeSize, false, fmt.Sprintf("%s · %d", shownCode(d.piece.Code), page))
}
