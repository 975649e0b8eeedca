package letter

import (
	"strings"
	"unicode/utf8"
)

// style is how a text is set. Sizes are points, other lengths millimetres.
type style struct {
	size    float64
	width   float64
	leading float64 // from baseline to baseline, in sizes
}

// line is a line of set text.
type line struct {
	pieces []piece
	size   float64
	above  float64 // from the top of the line's box to where the box before it ended
	height float64
	keep   bool // it does not stand last on a page: what follows belongs to it
}

// piece is a part of a line.
type piece struct {
	x    float64 // from the left edge of the text
	text string
	bold bool
}

// baseline is where a line's letters stand below the top of its box.
func (l *line) baseline() float64 { return l.height*0.5 + l.size/perMM*0.36 }

// set breaks blocks into lines.
func (s style) set(blocks []block) []line {
	var lines []line
	for i, b := range blocks {
		size, indent, mark := s.size, 0.0, ""
		gap := 0.55 * s.leading * s.size / perMM
		switch {
		case b.kind == heading:
			size = s.size * 1.3
			gap *= 1.5
		case b.kind == item:
			indent, mark = s.size/perMM*1.1, "•"
			if i > 0 && blocks[i-1].kind == item {
				gap *= 0.3
			}
		}
		if i == 0 {
			gap = 0
		}
		set := s.paragraph(b, size, indent)
		if mark != "" && len(set) > 0 {
			set[0].pieces = append([]piece{{0, mark, false}}, set[0].pieces...)
		}
		for j := range set {
			set[j].keep = b.kind == heading
		}
		if len(set) > 0 {
			set[0].above = gap
		}
		lines = append(lines, set...)
	}
	return lines
}

// paragraph sets the lines of one block.
func (s style) paragraph(b block, size, indent float64) []line {
	var lines []line
	for _, runs := range b.lines {
		w := wrapper{size: size, room: s.width - indent, indent: indent, height: s.leading * size / perMM}
		for _, r := range runs {
			w.add(r)
		}
		lines = append(lines, w.done()...)
	}
	return lines
}

// wrapper fills lines with words.
type wrapper struct {
	size, room, indent, height float64
	lines                      []line
	now                        []piece
	at                         float64
	blank                      float64 // before the next word
}

func (w *wrapper) add(r run) {
	f := loadTypeface().regular
	if r.bold {
		f = loadTypeface().bold
	}
	space := f.width(" ", w.size) / perMM
	for i, word := range strings.Split(r.text, " ") {
		if i > 0 {
			w.blank += space
		}
		if word != "" {
			w.word(word, r.bold, f)
			w.blank = 0
		}
	}
}

func (w *wrapper) word(word string, bold bool, f *font) {
	width := f.width(word, w.size) / perMM
	if w.at > 0 && w.at+w.blank+width > w.room && w.blank > 0 {
		w.flush()
	}
	if w.at == 0 {
		w.blank = 0
	}
	for w.at+w.blank+width > w.room && utf8.RuneCountInString(word) > 1 { // longer than a line
		n := w.fitting(word, f)
		w.put(word[:n], bold, f.width(word[:n], w.size)/perMM)
		w.flush()
		word = word[n:]
		width, w.blank = f.width(word, w.size)/perMM, 0
	}
	w.put(word, bold, width)
}

// fitting is how many bytes of a word still go on the line, at least one character's.
func (w *wrapper) fitting(word string, f *font) int {
	_, n := utf8.DecodeRuneInString(word)
	for n < len(word) {
		_, more := utf8.DecodeRuneInString(word[n:])
		if w.at+w.blank+f.width(word[:n+more], w.size)/perMM > w.room {
			break
		}
		n += more
	}
	return n
}

func (w *wrapper) put(text string, bold bool, width float64) {
	if text == "" {
		return
	}
	last := len(w.now) - 1
	if last >= 0 && w.now[last].bold == bold {
		if w.blank > 0 {
			text = " " + text
		}
		w.now[last].text += text
	} else {
		w.now = append(w.now, piece{w.indent + w.at + w.blank, text, bold})
	}
	w.at += w.blank + width
}

func (w *wrapper) flush() {
	w.lines = append(w.lines, line{pieces: w.now, size: w.size, height: w.height})
	w.now, w.at, w.blank = nil, 0, 0
}

func (w *wrapper) done() []line {
	if len(w.now) > 0 {
		w.flush()
	}
	return w.lines
}

// height is how much room lines take, the first at the top.
func height(lines []line) float64 {
	sum := 0.0
	for i, l := range lines {
		if i > 0 {
			sum += l.above
		}
		sum += l.height
	}
	return sum
}

// lines writes lines from y downwards, as many as there is room for above bottom, and returns the rest and where the last
// one ended. A line that must not stand last goes with the rest.
func (c *canvas) lines(x, y, bottom float64, lines []line) (rest []line, end float64) {
	n, at := 0, y
	for ; n < len(lines); n++ {
		next := at + lines[n].height
		if n > 0 {
			next += lines[n].above
		}
		if next > bottom+0.01 {
			break
		}
		at = next
	}
	for n > 0 && n < len(lines) && lines[n-1].keep {
		n--
	}
	for i := range lines[:n] {
		l := &lines[i]
		if i > 0 {
			y += l.above
		}
		for _, p := range l.pieces {
			c.text(x+p.x, y+l.baseline(), l.size, p.bold, p.text)
		}
		y += l.height
	}
	return lines[n:], y
}
