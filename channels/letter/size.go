package letter

import (
	"fmt"
	"strings"
)

// format is a size of paper with the places on it, in millimetres from the upper left corner.
type format struct {
	name          string
	width, height float64
	postcard      bool
	clear         float64 // of a postcard: at the foot of the address side, for the post's own bar codes
	windows       map[string]window
}

// window is where the parts of a letter's head stand for a kind of window envelope.
type window struct {
	x, width   float64 // of what shows in the window
	bars       float64 // the upper edge of the piece's code
	sender     float64 // the baseline of the line with the sender; 0: there is no room for it
	address    float64 // the upper edge of the address
	lines      int     // of the address: so many show however the letter lies in its envelope
	body       float64 // the upper edge of the text
	folds      []float64
	left, foot float64 // margins
}

// a4Left is DIN 5008:2020, form B: the address field begins 45 mm from the top and 20 mm from the left, is 85 mm wide and 45 mm
// high, of which the lower 27.3 mm are the address; folds at 105 and 210 mm. Envelopes DL and C6/C5 have their window (90 ×
// 45 mm) 20 mm from the left and 15 mm from the bottom. A folded sheet has 9 mm of play in them, so that 54 to 90 mm of it
// always show.
func a4Left() window {
	return window{x: 25, width: 78, bars: 54.6, sender: 61.4, address: 63, lines: 6, body: 103.4, folds: []float64{105, 210}, left: 25, foot: 22}
}

// a4Right is SN 010130 (Switzerland; the window of 90 × 40 mm stands 30 mm from the bottom and 15 to 17 mm from the right of
// C5/6 envelopes of 229 × 114 mm): folded in thirds, 44 to 69 mm from the top and 122 to 195 mm from the left always show.
func a4Right() window {
	return window{x: 125, width: 70, bars: 43.9, address: 48.9, lines: 5, body: 100, folds: []float64{99, 198}, left: 25, foot: 22}
}

// letterLeft is for the window of #10 envelopes (4⅛ × 9½ in): 4½ × 1⅛ in, ⅞ in from the left and ½ in from the bottom, the
// place that the USPS names in DMM 601.6.3 and Quick Service Guide 201. Folded in thirds, 2.5 to 3.16 in from the top and ⅞ to 4⅜ in from the left
// always show; a sheet that lies at the bottom, as it mostly does, shows from 2.05 in on.
func letterLeft() window {
	return window{x: 24, width: 84, bars: 57.6, address: 63.5, lines: 4, body: 97, folds: nil, left: 25.4, foot: 22}
}

// letterRight is the same window as far from the right.
func letterRight() window {
	w := letterLeft()
	w.x = 215.9 - 22.2 - 84
	return w
}

func formats() []format {
	return []format{
		{name: "a4", width: 210, height: 297, windows: map[string]window{"left": a4Left(), "right": a4Right()}},
		{name: "letter", width: 215.9, height: 279.4, windows: map[string]window{"left": letterLeft(), "right": letterRight()}},
		{name: "postcard-a6", width: 148, height: 105, postcard: true, clear: 15},
		{name: "postcard-4x6", width: 152.4, height: 101.6, postcard: true, clear: 16}, // ⅝ in: DMM 202.5.1
	}
}

func sizeNames() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

func formatOf(name string) (format, error) {
	if name == "" {
		name = formats()[0].name
	}
	for _, f := range formats() {
		if f.name == name {
			return f, nil
		}
	}
	return format{}, fmt.Errorf("no size %q; known here: %s", name, strings.Join(sizeNames(), ", "))
}
