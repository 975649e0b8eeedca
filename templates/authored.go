package templates

import (
	"strings"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Written is a character that the author wrote and that may become part of the message.
type Written struct {
	Rune rune
	At   diag.Span // in the source's file
}

// Authored lists, in the order of the source, the characters of the template's own text for which is holds: of the text
// between the Liquid, and of texts within it, such as that of `default: "Sobat"`. Notes, links and the words of the
// language are none.
func (t *Template) Authored(is func(rune) bool) []Written {
	var found []Written
	look := func(at pos) {
		text := t.src.slice(at)
		for i, r := range text {
			if is(r) {
				found = append(found, Written{r, t.src.span(at.off+i, utf8.RuneLen(r))})
			}
		}
	}
	authoredNodes(t.nodes, look)
	return found
}

func authoredNodes(nodes []node, look func(pos)) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *textNode:
			look(n.at)
		case *cycleNode:
			look(n.at)
		case *outNode:
			authoredExpr(n.e, look)
		case *assignNode:
			authoredExpr(n.e, look)
		}
		for _, body := range bodies(n) {
			authoredNodes(*body, look)
		}
	}
}

// authoredExpr looks into the texts of an expression that is printed: not into what is only compared with.
func authoredExpr(e expr, look func(pos)) {
	switch e := e.(type) {
	case *literal:
		if _, ok := e.v.(string); ok {
			look(e.at)
		}
	case *filtered:
		authoredExpr(e.base, look)
		for _, c := range e.calls {
			for _, a := range c.args {
				authoredExpr(a, look)
			}
		}
	}
}

// Least is the number of characters that the template's text has whatever the data are: of the text that stands outside
// of every condition and loop. Blanks at its ends, which may be left out, do not count.
func (t *Template) Least() int {
	var text strings.Builder
	for _, n := range t.nodes {
		if n, ok := n.(*textNode); ok {
			text.WriteString(t.src.slice(n.at))
		}
	}
	return utf8.RuneCountInString(strings.TrimSpace(text.String()))
}

// File is the file that the template's places are in; nil where they are places of its own text.
func (t *Template) File() *diag.Source { return t.src.File }
