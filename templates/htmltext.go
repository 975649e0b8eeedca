package templates

import "strings"

// text passes literal text: it follows the HTML, and takes the addresses of links out of it.
func (h *htmlPass) text(n *textNode) {
	s := htmlScan{htmlPass: h, n: n, src: n.text}
	for s.i < len(s.src) {
		s.step()
	}
	s.flush(len(s.src))
}

// htmlScan reads one literal text.
type htmlScan struct {
	*htmlPass
	n     *textNode
	src   string
	i     int // the next byte
	start int // of what was not added yet
	tag   int // the last < in this text
}

// flush adds the text that was read, up to end.
func (s *htmlScan) flush(end int) {
	if s.start < end {
		s.add(&textNode{pos{s.n.at.off + s.start, end - s.start}, s.src[s.start:end]})
	}
	s.start = end
}

func (s *htmlScan) at(i int) pos { return pos{s.n.at.off + i, 1} }

func (s *htmlScan) step() {
	c := s.src[s.i]
	switch s.state.mode {
	case inText:
		s.plain()
		return
	case inOpen:
		s.open(c)
		return
	case inComment:
		s.until("-->", inText)
		return
	case inDeclaration:
		s.until(">", inText)
		return
	case inRaw:
		s.raw()
		return
	case inValue:
		s.value(c)
		return
	case inTagName:
		switch {
		case isSpace(c) || c == '/':
			s.state.mode = inTag
		case c == '>':
			s.endTag()
		default:
			s.state.tag += string(c | lower(c))
		}
	case inTag:
		s.between(c)
	case inAttrName:
		s.name(c)
	case afterName:
		switch {
		case isSpace(c):
		case c == '=':
			s.state.mode = beforeValue
		default:
			s.state.mode = inTag
			s.between(c)
		}
	case beforeValue:
		if isSpace(c) {
			break
		}
		s.beginValue(c)
		return
	}
	s.i++
}

// plain goes to the next tag.
func (s *htmlScan) plain() {
	i := strings.IndexByte(s.src[s.i:], '<')
	if i < 0 {
		s.i = len(s.src)
		return
	}
	s.tag = s.i + i
	s.opened = s.at(s.tag)
	s.i = s.tag + 1
	s.state = htmlState{mode: inOpen}
}

// open reads what follows <.
func (s *htmlScan) open(c byte) {
	switch {
	case isLetter(c):
		s.state.mode = inTagName
	case c == '/' && !s.state.closing:
		s.state.closing = true
		s.i++
	case c == '!' && !s.state.closing:
		s.bang()
	case c == '?' && !s.state.closing:
		s.state.mode = inDeclaration
	default:
		s.state = htmlState{}
	}
}

// bang reads what follows <!. The conditional comments of Outlook are read as the HTML that it sees in them.
func (s *htmlScan) bang() {
	rest := s.src[s.i:]
	after, comment := strings.CutPrefix(rest, "!--")
	condition := strings.HasPrefix(strings.TrimLeft(after, " "), "[if") && strings.Contains(after, "]>")
	switch {
	case !comment:
		s.state.mode = inDeclaration
	case condition:
		s.i += 3 + strings.Index(after, "]>") + 2
		s.state = htmlState{}
	case strings.HasPrefix(after, ">"):
		s.i += 4
		s.state = htmlState{}
	case strings.HasPrefix(after, "->"):
		s.i += 5
		s.state = htmlState{}
	default:
		s.i += 3
		s.state.mode = inComment
	}
}

func (s *htmlScan) until(end string, then mode) {
	i := strings.Index(s.src[s.i:], end)
	if i < 0 {
		s.i = len(s.src)
		return
	}
	s.i += i + len(end)
	s.state = htmlState{mode: then}
}

// raw goes to the end tag of script, style, title or textarea.
func (s *htmlScan) raw() {
	i := strings.Index(strings.ToLower(s.src[s.i:]), "</"+s.state.tag)
	if i < 0 {
		s.i = len(s.src)
		return
	}
	s.i += i + 2 + len(s.state.tag)
	s.state = htmlState{mode: inTagName, closing: true, tag: s.state.tag}
}

func isRaw(tag string) bool {
	return tag == "script" || tag == "style" || tag == "title" || tag == "textarea"
}

// between reads one byte between attributes.
func (s *htmlScan) between(c byte) {
	if s.state.cut && !isSpace(c) && c != '/' && c != '>' {
		s.problem(s.at(s.i), "", "a block can't begin inside a name")
	}
	s.state.cut = false
	switch {
	case isSpace(c) || c == '/':
	case c == '>':
		s.endTag()
	default:
		s.state.mode, s.state.attr = inAttrName, string(c|lower(c))
	}
}

func (s *htmlScan) name(c byte) {
	switch {
	case isSpace(c):
		s.state.mode = afterName
	case c == '=':
		s.state.mode = beforeValue
	case c == '/' || c == '>':
		s.state.mode = inTag
		s.between(c)
	default:
		s.state.attr += string(c | lower(c))
	}
}

// endTag is at the > of a tag.
func (s *htmlScan) endTag() {
	state := s.state
	s.state = htmlState{}
	switch {
	case state.closing && state.tag == "body" && s.depth == 0 && !s.pixel && s.tag >= s.start && s.src[s.tag] == '<':
		s.flush(s.tag)
		s.add(pixelNode{})
		s.pixel = true
	case !state.closing && isRaw(state.tag):
		s.state = htmlState{mode: inRaw, tag: state.tag}
	}
}

// beginValue is at the first byte of an attribute's value.
func (s *htmlScan) beginValue(c byte) {
	s.state.mode, s.state.quote = inValue, 0
	if c == '"' || c == '\'' {
		s.state.quote = c
		s.i++
	} else if c == '>' {
		s.endTag()
		s.i++
		return
	}
	if tracked, isURL := addressAttr(s.state.tag, s.state.attr); isURL && s.url == nil {
		s.flush(s.i)
		s.url = &urlValue{depth: s.depth, off: s.n.at.off + s.i, tracked: tracked}
	}
}

// value goes to the end of an attribute's value.
func (s *htmlScan) value(c byte) {
	quote := s.state.quote
	switch {
	case quote != 0:
		i := strings.IndexByte(s.src[s.i:], quote)
		if i < 0 {
			s.i = len(s.src)
			return
		}
		s.i += i
	case !isSpace(c) && c != '>':
		s.i++
		return
	}
	if s.url != nil && s.url.depth != s.depth {
		s.problem(s.at(s.i), "close the quotes outside of the block", "this quote closes an address that began outside of the block")
		s.url = nil
	}
	if s.url != nil {
		s.flush(s.i)
		s.endAddress(s.n.at.off + s.i)
	}
	s.state.mode, s.state.attr, s.state.quote = inTag, "", 0
	if quote != 0 {
		s.i++
	}
}

// addressAttr says whether an attribute holds an address, and whether it is a link to be tracked. v: elements are the
// buttons of Outlook.
func addressAttr(tag, attr string) (tracked, address bool) {
	switch attr {
	case "href":
		return tag == "a" || tag == "area" || strings.HasPrefix(tag, "v:"), true
	case "src", "background", "poster", "cite", "action", "formaction", "data", "xlink:href", "longdesc":
		return false, true
	}
	return false, false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// lower is the bit that makes a letter small.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return 0x20
	}
	return 0
}
