package letter

import (
	"fmt"
	"slices"
	"strings"
)

// subsetTag marks the fonts as subsets (ISO 32000-1 section 9.6.4): they have the glyphs of Latin scripts only.
const subsetTag = "SAPALT+"

// font writes a font: its characters are its glyphs (Identity-H), and a table says what they mean, so that text can be
// searched and copied.
func (p *pdfWriter) font(f *font) int {
	file := p.stream(fmt.Sprintf("/Length1 %d", len(f.data)), f.data)
	name := subsetTag + f.name
	descriptor := p.object(fmt.Sprintf(
		"<</Type/FontDescriptor/FontName/%s/Flags 32/FontBBox[%d %d %d %d]/ItalicAngle 0/Ascent %d/Descent %d/CapHeight %d/StemV 80/FontFile2 %d 0 R>>",
		name, f.bounds[0], f.bounds[1], f.bounds[2], f.bounds[3], f.ascent, f.descent, f.capHeight, file))
	descendant := p.object(fmt.Sprintf(
		"<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"+
			"/FontDescriptor %d 0 R/CIDToGIDMap/Identity/DW 1000/W[0[%s]]>>",
		name, descriptor, strings.Trim(fmt.Sprint(f.widths), "[]")))
	meanings := p.stream("", []byte(toUnicode(f)))
	return p.object(fmt.Sprintf("<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/Identity-H/DescendantFonts[%d 0 R]/ToUnicode %d 0 R>>",
		name, descendant, meanings))
}

// toUnicode is the font's character map turned round, as a CMap; of several characters with one glyph, the first counts.
func toUnicode(f *font) string {
	meaning := map[uint16]rune{}
	for r, glyph := range f.glyphs {
		if known, ok := meaning[glyph]; !ok || r < known {
			meaning[glyph] = r
		}
	}
	var lines []string
	for glyph, r := range meaning {
		lines = append(lines, fmt.Sprintf("<%04X> <%04X>", glyph, r))
	}
	slices.Sort(lines)
	var b strings.Builder
	b.WriteString("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n" +
		"/CIDSystemInfo <</Registry(Adobe)/Ordering(UCS)/Supplement 0>> def\n/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n" +
		"1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n")
	for part := range slices.Chunk(lines, 100) { // the most that an operator takes
		fmt.Fprintf(&b, "%d beginbfchar\n%s\nendbfchar\n", len(part), strings.Join(part, "\n"))
	}
	b.WriteString("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n")
	return b.String()
}
