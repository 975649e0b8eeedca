package letter

import (
	"fmt"
	"math"
)

// Places on the address side of a postcard. The post reads the address in the right half, puts its mark above it (an area of
// 74 × 40 mm in the upper right corner) and its own bar codes below; UPU Letter Post Manual, USPS DMM 202.
const (
	cardMargin  = 7
	cardDivider = 74 // where the right half begins
	cardAddress = 80
	cardBars    = 42.5
	cardSender  = 50
	cardLines   = 6
)

// postcard lays a postcard out: the picture side, when there is a picture, and the address side.
func (d *drawing) postcard(f *format) error {
	if p := d.piece.front; p != nil {
		c := d.canvas
		c.start(f.width, f.height, d.settings.Bleed)
		side := rect{-c.bleed, -c.bleed, f.width + 2*c.bleed, f.height + 2*c.bleed}
		c.picture("P", side, side.cover(p.ratio()))
		if err := d.emit(true); err != nil {
			return err
		}
	}
	if err := d.addressSide(f); err != nil {
		return err
	}
	return d.emit(false)
}

func (d *drawing) addressSide(f *format) error {
	c := d.canvas
	c.start(f.width, f.height, d.settings.Bleed)
	bottom := f.height - f.clear - 1
	if err := d.message(cardDivider-cardMargin-4, bottom); err != nil {
		return err
	}
	c.line(cardDivider, cardMargin, cardDivider, bottom)
	for i, l := range d.settings.Permit {
		l = printable(l)
		c.text(f.width-cardMargin-loadTypeface().regular.width(l, 8)/perMM, 11+3.6*float64(i), 8, false, l)
	}
	if err := d.code(cardAddress, cardBars, 4); err != nil {
		return err
	}
	width := f.width - cardAddress - cardMargin
	d.sender(cardAddress, cardSender, width)
	return d.address(cardAddress, cardSender+1.6, width, cardLines)
}

// message writes the text and the link into the left half, in smaller type where there is much of it.
func (d *drawing) message(width, bottom float64) error {
	if d.piece.Link != "" {
		bottom -= qrSide
		if err := d.link(cardMargin-2, bottom, width+2); err != nil {
			return err
		}
		bottom -= 1.5
	}
	blocks, need := parseText(d.piece.Text), 0.0
	for size := float64(postcardSize); size >= postcardLow; size -= 0.5 {
		lines := style{size: size, width: width, leading: 1.28}.set(blocks)
		if need = height(lines); need <= bottom-cardMargin {
			d.canvas.lines(cardMargin, cardMargin, bottom, lines)
			return nil
		}
	}
	return fmt.Errorf("the text does not fit on the postcard: at %g points it needs %.0f mm, and there are %.0f",
		postcardLow, math.Ceil(need), math.Floor(bottom-cardMargin))
}
