package templates

import "strings"

// mode is where in HTML a template stands (WHATWG HTML, section 13.2.5, as far as mails need it).
type mode int

const (
	inText        mode = iota
	inOpen             // behind <
	inTagName          // behind <t or </t
	inTag              // between the attributes of a tag
	inAttrName         //
	afterName          // between an attribute's name and its =
	beforeValue        // behind =
	inValue            // in an attribute's value
	inComment          //
	inDeclaration      // <!doctype …>, <![endif]-->
	inRaw              // in script, style, title or textarea
)

// htmlState is a place in HTML. Two branches of a block must end in equal states.
type htmlState struct {
	mode    mode
	quote   byte // around the value, 0 for none
	closing bool // </tag
	cut     bool // a block begins behind this name: the name must end here
	tag     string
	attr    string
}

// htmlPass finds the place of every value in an HTML template, decides how each is escaped, and makes tracked links.
type htmlPass struct {
	*checker
	state  htmlState
	out    []node // of the current list
	depth  int
	loops  []htmlState // at the start of each loop
	url    *urlValue
	pixel  bool
	opened pos // of the tag, comment or attribute that the state is in
}

// urlValue is the value of an attribute that holds an address, while it is read.
type urlValue struct {
	depth   int
	off     int
	tracked bool
	parts   []node
}

// run rewrites a template's nodes and adds the pixel.
func (h *htmlPass) run(nodes []node) []node {
	nodes = h.list(nodes)
	if h.state.mode != inText {
		h.problem(h.opened, "in HTML, write < as &lt;", "this is not closed at the end of the template")
	}
	if !h.pixel {
		nodes = append(nodes, pixelNode{})
	}
	return nodes
}

// list passes a list of nodes.
func (h *htmlPass) list(nodes []node) []node {
	outer := h.out
	h.out = make([]node, 0, len(nodes))
	for _, n := range nodes {
		h.node(n)
	}
	done := h.out
	h.out = outer
	return done
}

// add puts a node into the output, or into the address that is being read.
func (h *htmlPass) add(n node) {
	if h.url != nil && h.depth == h.url.depth {
		h.url.parts = append(h.url.parts, n)
		return
	}
	h.out = append(h.out, n)
}

func (h *htmlPass) node(n node) {
	switch n := n.(type) {
	case *textNode:
		h.text(n)
		return
	case *outNode:
		h.value(n)
	case *linkNode:
		h.printable(n.at)
	case *cycleNode:
		if h.printable(n.at); strings.ContainsAny(strings.Join(n.values, ""), "<>\"'&") {
			h.problem(n.at, "", "the texts of cycle can't hold HTML here")
		}
	case *ifNode, *caseNode, *forNode:
		h.block(n)
	case *captureNode:
		h.capture(n)
	case *breakNode, *continueNode:
		if len(h.loops) > 0 && h.settled() != h.loops[len(h.loops)-1] {
			h.problem(place(n), "", "a loop can't be left inside a tag, attribute or comment")
		}
	}
	h.add(n)
}

// capture passes a block that makes HTML of its own, wherever it stands.
func (h *htmlPass) capture(n *captureNode) {
	state, url := h.state, h.url
	h.state, h.url = htmlState{}, nil
	h.depth++
	n.body = h.list(n.body)
	h.depth--
	if h.state.mode != inText {
		h.problem(h.opened, "", "this is not closed at the end of {%% capture %%}")
	}
	h.state, h.url = state, url
}

// block passes a block with branches. Each begins where the block begins, and all must end in the same place.
func (h *htmlPass) block(n node) {
	if h.state.mode == inOpen {
		h.problem(place(n), "in HTML, write < as &lt;", "a block can't stand behind <")
	}
	start := h.settle()
	ends := []htmlState{}
	_, loop := n.(*forNode)
	if loop {
		h.loops = append(h.loops, start)
		defer func() { h.loops = h.loops[:len(h.loops)-1] }()
	}
	h.depth++
	for _, body := range bodies(n) {
		h.state = start
		*body = h.list(*body)
		ends = append(ends, h.settled())
	}
	h.depth--
	if loop || !exhaustive(n) {
		ends = append(ends, start)
	}
	for _, end := range ends[1:] {
		if end != ends[0] {
			h.problem(place(n), "put the whole tag, attribute or comment into each branch", "the branches of this block leave HTML in different places")
			break
		}
	}
	h.state = ends[0]
}

// exhaustive says whether one of the branches is always taken.
func exhaustive(n node) bool {
	switch n := n.(type) {
	case *ifNode:
		return n.branches[len(n.branches)-1].cond == nil
	case *caseNode:
		return len(n.whens) > 0 && len(n.whens[len(n.whens)-1].values) == 0
	}
	return false
}

// settle ends a name at the boundary of a block.
func (h *htmlPass) settle() htmlState {
	switch h.state.mode {
	case inTagName, inAttrName:
		h.state.mode, h.state.cut = inTag, true
	case afterName:
		h.state.mode = inTag
	}
	s := h.state
	if s.mode == inTag {
		s.attr = ""
	}
	h.state.attr = s.attr
	return s
}

// settled is the state at a block's boundary, without the memory of a cut name.
func (h *htmlPass) settled() htmlState {
	s := h.settle()
	s.cut = false
	return s
}

// value decides how a printed value is escaped.
func (h *htmlPass) value(n *outNode) {
	if !h.printable(n.at) {
		return
	}
	s := h.state
	switch {
	case s.mode == inComment:
		n.esc = escAttr
	case s.mode != inValue:
		n.esc = escHTML
	case h.url != nil: // decided when its end is found
	case s.attr == "style":
		n.esc = escCSS
	default:
		n.esc = escAttr
	}
}

// printable says whether a value can be escaped here.
func (h *htmlPass) printable(at pos) bool {
	s, msg := h.state, ""
	switch s.mode {
	case inText, inComment:
		return true
	case inRaw:
		if s.tag == "title" || s.tag == "textarea" {
			return true
		}
		msg = "values can't be printed inside <" + s.tag + ">"
	case inValue:
		switch {
		case s.quote == 0:
			h.problem(at, `as in class="{{ … }}"`, "a value in an attribute needs quotes around it")
			return false
		case strings.HasPrefix(s.attr, "on"), s.attr == "srcset", s.attr == "srcdoc":
			msg = "values can't be printed in " + s.attr
		default:
			return true
		}
	case beforeValue:
		h.problem(at, `as in class="{{ … }}"`, "a value in an attribute needs quotes around it")
		return false
	default:
		msg = "values can be printed only between tags and in quoted attributes"
	}
	h.problem(at, "", "%s", msg)
	return false
}
