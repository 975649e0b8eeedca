package letter

import (
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

//go:embed fonts/NotoSans-Regular.ttf fonts/NotoSans-Bold.ttf
var fontFiles embed.FS

// font is a TrueType font (ISO/IEC 14496-22) whose glyphs are 1000 units high.
type font struct {
	name   string // PostScript's
	data   []byte
	glyphs map[rune]uint16
	widths []uint16 // by glyph
	bounds [4]int16 // xMin, yMin, xMax, yMax
	ascent, descent,
	capHeight int
}

// typeface is what pieces are printed in.
type typeface struct{ regular, bold *font }

// loadTypeface reads the embedded fonts, once.
var loadTypeface = sync.OnceValue(func() typeface {
	return typeface{mustFont("NotoSans-Regular"), mustFont("NotoSans-Bold")}
})

func mustFont(name string) *font {
	data, err := fontFiles.ReadFile("fonts/" + name + ".ttf")
	if err != nil {
		panic(err) // it is embedded
	}
	f, err := parseFont(name, data)
	if err != nil {
		panic(err)
	}
	return f
}

func parseFont(name string, data []byte) (*font, error) {
	tables := map[string][]byte{}
	for i := range int(binary.BigEndian.Uint16(data[4:])) {
		entry := data[12+16*i:]
		offset, length := binary.BigEndian.Uint32(entry[8:]), binary.BigEndian.Uint32(entry[12:])
		tables[string(entry[:4])] = data[offset : offset+length]
	}
	head, hhea, os2 := tables["head"], tables["hhea"], tables["OS/2"]
	if u := binary.BigEndian.Uint16(head[18:]); u != 1000 {
		return nil, fmt.Errorf("font %s: %d units per em, and 1000 are expected", name, u)
	}
	f := &font{name: name, data: data, capHeight: int(signed(os2, 88))}
	f.ascent, f.descent = int(signed(hhea, 4)), int(signed(hhea, 6))
	for i := range f.bounds {
		f.bounds[i] = signed(head, 36+2*i)
	}
	f.widths = advances(tables["hmtx"], int(binary.BigEndian.Uint16(hhea[34:])), int(binary.BigEndian.Uint16(tables["maxp"][4:])))
	var err error
	if f.glyphs, err = characterMap(tables["cmap"]); err != nil {
		return nil, fmt.Errorf("font %s: %w", name, err)
	}
	return f, nil
}

func signed(table []byte, at int) int16 {
	return int16(binary.BigEndian.Uint16(table[at:])) //nolint:gosec // FWORD is two's complement
}

// advances are the glyphs' widths; after the first metrics, all others have the last one's.
func advances(hmtx []byte, metrics, glyphs int) []uint16 {
	widths := make([]uint16, glyphs)
	for i := range widths {
		widths[i] = binary.BigEndian.Uint16(hmtx[4*min(i, metrics-1):])
	}
	return widths
}

// characterMap reads the subtable of Windows' Unicode characters, format 4.
func characterMap(cmap []byte) (map[rune]uint16, error) {
	for i := range int(binary.BigEndian.Uint16(cmap[2:])) {
		record := cmap[4+8*i:]
		platform, encoding := binary.BigEndian.Uint16(record), binary.BigEndian.Uint16(record[2:])
		table := cmap[binary.BigEndian.Uint32(record[4:]):]
		if platform == 3 && encoding == 1 && binary.BigEndian.Uint16(table) == 4 {
			return segments(table), nil
		}
	}
	return nil, errors.New("no character map of format 4")
}

func segments(table []byte) map[rune]uint16 {
	glyphs := map[rune]uint16{}
	twice := int(binary.BigEndian.Uint16(table[6:])) // two bytes for each segment
	ends, starts := table[14:], table[16+twice:]
	deltas, offsets := table[16+2*twice:], table[16+3*twice:]
	for s := 0; s < twice; s += 2 {
		first, last := int(binary.BigEndian.Uint16(starts[s:])), int(binary.BigEndian.Uint16(ends[s:]))
		delta, offset := int(binary.BigEndian.Uint16(deltas[s:])), int(binary.BigEndian.Uint16(offsets[s:]))
		for c := first; c <= last && c < 0xFFFF; c++ {
			glyph := c
			if offset != 0 {
				if glyph = int(binary.BigEndian.Uint16(offsets[s+offset+2*(c-first):])); glyph == 0 {
					continue
				}
			}
			glyphs[rune(c)] = uint16(glyph + delta) //nolint:gosec // modulo 65536, as the format says
		}
	}
	return glyphs
}

// width is a text's in points at a size.
func (f *font) width(text string, size float64) float64 {
	sum := 0
	for _, r := range text {
		sum += int(f.widths[f.glyphs[r]])
	}
	return float64(sum) * size / 1000
}

// unprintable finds the first character that the fonts do not have; both have the same.
func unprintable(text string) (rune, bool) {
	f := loadTypeface().regular
	for _, r := range text {
		if r == '\n' {
			continue
		}
		if _, ok := f.glyphs[r]; !ok {
			return r, true
		}
	}
	return 0, false
}

// printable is a text in composed characters (NFC) with marks taken out that print nothing: soft hyphens, joiners, variation
// selectors, and other invisible ones. Blanks of all kinds but the no-break space become the plain one.
func printable(text string) string {
	out := make([]rune, 0, len(text))
	for _, r := range norm.NFC.String(text) {
		switch {
		case r == '\n', r == '\u00a0':
		case r == '\u202f', r == '\u2007':
			r = '\u00a0'
		case unicode.IsSpace(r):
			r = ' '
		case r == '\u00ad', unicode.Is(unicode.Cf, r), r >= '\ufe00' && r <= '\ufe0f':
			continue
		}
		out = append(out, r)
	}
	return string(out)
}
