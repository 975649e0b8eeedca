package templates

// node is a part of a parsed template.
type node interface {
	render(f *frame) error
}

type (
	// textNode is literal text.
	textNode struct {
		at   pos
		text string
	}
	// outNode prints a value, escaped for its place.
	outNode struct {
		at  pos // of the whole {{ … }}
		e   expr
		esc escape
	}
	// ifNode is if and unless: the first branch whose condition holds.
	ifNode struct {
		at       pos
		branches []*branch
	}
	branch struct {
		cond   expr // nil: always
		negate bool
		body   []node
	}
	// caseNode is the first branch with a value that equals the subject.
	caseNode struct {
		at      pos
		subject expr
		whens   []*when
	}
	when struct {
		values []expr // none: else
		body   []node
	}
	// forNode repeats its body for the elements of a list.
	forNode struct {
		at            pos
		name          lexeme
		slot          int
		list          expr
		limit, offset expr
		reversed      bool
		body, none    []node
	}
	assignNode struct {
		at   pos
		name lexeme
		slot int
		e    expr
	}
	captureNode struct {
		at   pos
		name lexeme
		slot int
		body []node
		html bool // the captured text is HTML already
	}
	// cycleNode prints one of its texts after the other.
	cycleNode struct {
		at     pos
		key    string // cycles with the same key share their turn
		values []string
		slot   int
	}
	breakNode    struct{ at pos }
	continueNode struct{ at pos }
	// linkNode is the address of a tracked link.
	linkNode struct {
		at     pos // of the address in the source
		url    string
		index  int
		number int    // the index that the author gave it, or -1
		query  []node // the personal part of the query; none where it is the same for everybody
		html   bool
		filter bool // written {{ 'https://…' | link }}
	}
	// linkBlock is {% link N %}…{% endlink %} before its address has been read.
	linkBlock struct {
		at     pos
		number lexeme
		body   []node
	}
	// pixelNode is where the open pixel goes.
	pixelNode struct{}
)

// place is where a node stands in the source; the zero pos for the pixel.
func place(n node) pos {
	switch n := n.(type) {
	case *textNode:
		return n.at
	case *outNode:
		return n.at
	case *ifNode:
		return n.at
	case *caseNode:
		return n.at
	case *forNode:
		return n.at
	case *assignNode:
		return n.at
	case *captureNode:
		return n.at
	case *cycleNode:
		return n.at
	case *breakNode:
		return n.at
	case *continueNode:
		return n.at
	case *linkNode:
		return n.at
	case *linkBlock:
		return n.at
	}
	return pos{}
}

// bodies are the node lists below a node, which the caller may replace.
func bodies(n node) []*[]node {
	var all []*[]node
	switch n := n.(type) {
	case *ifNode:
		for _, b := range n.branches {
			all = append(all, &b.body)
		}
	case *caseNode:
		for _, w := range n.whens {
			all = append(all, &w.body)
		}
	case *forNode:
		all = append(all, &n.body, &n.none)
	case *captureNode:
		all = append(all, &n.body)
	case *linkBlock:
		all = append(all, &n.body)
	}
	return all
}
