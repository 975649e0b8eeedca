package letter

import (
	"bytes"
	"fmt"
	"strconv"
)

// perMM is how many points a millimetre has.
const perMM = 72 / 25.4

// canvas is the content of one page in the making. Its lengths are millimetres, and its y goes down from the paper's upper
// edge where it is cut, as rulers do; sizes of type are points.
type canvas struct {
	body          bytes.Buffer
	width, height float64
	bleed         float64
}

func (c *canvas) start(width, height, bleed float64) {
	c.body.Reset()
	c.width, c.height, c.bleed = width, height, bleed
}

func (c *canvas) x(mm float64) float64 { return (mm + c.bleed) * perMM }
func (c *canvas) y(mm float64) float64 { return (c.height - mm + c.bleed) * perMM }

// boxes are the paper and where it is cut.
func (c *canvas) boxes() (media, trim box) {
	b := c.bleed * perMM
	return box{0, 0, (c.width + 2*c.bleed) * perMM, (c.height + 2*c.bleed) * perMM},
		box{b, b, b + c.width*perMM, b + c.height*perMM}
}

func (c *canvas) op(operator string, operands ...float64) {
	for _, v := range operands {
		c.body.WriteString(number(v))
		c.body.WriteByte(' ')
	}
	c.body.WriteString(operator)
	c.body.WriteByte('\n')
}

// text writes a line whose baseline is at y.
func (c *canvas) text(x, y, size float64, bold bool, text string) {
	if text == "" {
		return
	}
	face, f := "/R ", loadTypeface().regular
	if bold {
		face, f = "/B ", loadTypeface().bold
	}
	c.body.WriteString("BT " + face)
	c.op("Tf", size)
	c.op("Td", c.x(x), c.y(y))
	c.body.WriteByte('<')
	for _, r := range text {
		digits := strconv.FormatUint(uint64(f.glyphs[r])|1<<16, 16)
		c.body.WriteString(digits[1:])
	}
	c.body.WriteString("> Tj ET\n")
}

// line is a thin line.
func (c *canvas) line(x0, y0, x1, y1 float64) {
	c.op("w", 0.3)
	c.op("m", c.x(x0), c.y(y0))
	c.op("l", c.x(x1), c.y(y1))
	c.op("S")
}

// bar adds a black rectangle whose upper left corner is given; fill paints those that were added.
func (c *canvas) bar(x, y, width, height float64) {
	c.op("re", c.x(x), c.y(y+height), width*perMM, height*perMM)
}

func (c *canvas) fill() { c.op("f") }

// picture paints a picture of the page's resources over a rectangle; what reaches beyond it is cut off.
func (c *canvas) picture(name string, frame, placed rect) {
	c.op("q")
	c.op("re", c.x(frame.x), c.y(frame.y+frame.h), frame.w*perMM, frame.h*perMM)
	c.body.WriteString("W n\n")
	c.op("cm", placed.w*perMM, 0, 0, placed.h*perMM, c.x(placed.x), c.y(placed.y+placed.h))
	fmt.Fprintf(&c.body, "/%s Do\nQ\n", name)
}

// rect is a rectangle in millimetres by its upper left corner.
type rect struct{ x, y, w, h float64 }

// cover is where a picture of a width to height ratio goes so that it covers the rectangle; contain, so that it fits in, at
// its left edge.
func (r rect) cover(ratio float64) rect {
	w, h := r.w, r.w/ratio
	if h < r.h {
		w, h = r.h*ratio, r.h
	}
	return rect{r.x + (r.w-w)/2, r.y + (r.h-h)/2, w, h}
}

func (r rect) contain(ratio float64) rect {
	w, h := r.w, r.w/ratio
	if h > r.h {
		w, h = r.h*ratio, r.h
	}
	return rect{r.x, r.y, w, h}
}
