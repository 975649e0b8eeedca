package letter

import (
	"fmt"
	"image/color"

	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/qr"
)

// quietQR and quietBars are the empty modules around the symbols (ISO/IEC 18004 and 15417).
const (
	quietQR   = 4
	quietBars = 10
)

// codeModule is the width of the thinnest bar of a piece's code in mm: within the 0.25 mm that scanners of the post read,
// and what office printers still print.
const codeModule = 0.25

// codeWidth is how wide a piece's code is, without its quiet zones: start, eight characters, check, and the longer stop.
const codeWidth = (11*(codeLength+2) + 13) * codeModule

// bars paints a code as Code 128 (ISO/IEC 15417).
func (c *canvas) bars(x, y, height float64, code string) error {
	symbol, err := code128.Encode(code)
	if err != nil {
		return fmt.Errorf("make the bar code: %w", err)
	}
	width := symbol.Bounds().Dx()
	dark := func(i int) bool { return i < width && isDark(symbol.At(i, 0)) }
	for i := 0; i < width; i++ {
		from := i
		for dark(i) {
			i++
		}
		if i > from {
			c.bar(x+float64(from)*codeModule, y, float64(i-from)*codeModule, height)
		}
	}
	c.fill()
	return nil
}

// qr paints an address as a QR code (ISO/IEC 18004) in a square with its quiet zone. Level M bears 15 % of dirt.
func (c *canvas) qr(x, y, side float64, address string) error {
	symbol, err := qr.Encode(address, qr.M, qr.Auto)
	if err != nil {
		return fmt.Errorf("make the QR code: %w", err)
	}
	n := symbol.Bounds().Dx()
	module := side / float64(n+2*quietQR)
	for row := range n {
		for i := 0; i < n; i++ {
			from := i
			for i < n && isDark(symbol.At(i, row)) {
				i++
			}
			if i > from {
				c.bar(x+float64(from+quietQR)*module, y+float64(row+quietQR)*module, float64(i-from)*module, module)
			}
		}
	}
	c.fill()
	return nil
}

func isDark(c color.Color) bool {
	r, _, _, _ := c.RGBA()
	return r < 0x8000
}
