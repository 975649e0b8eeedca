package templates

import (
	"html"
	"net/url"
	"strconv"
	"strings"
)

// Target is the address that a tracked link leads to: url as in Link.URL, joined with a person's query.
func Target(url, query string) string {
	if query == "" {
		return url
	}
	before, fragment, found := strings.Cut(url, "#")
	if found {
		fragment = "#" + fragment
	}
	switch {
	case !strings.Contains(before, "?"):
		before += "?"
	case !strings.HasSuffix(before, "?") && !strings.HasSuffix(before, "&"):
		before += "&"
	}
	return before + query + fragment
}

// linkFilter makes a link of {{ 'https://…' | link: name: value }}; nil when the node is none.
func (c *checker) linkFilter(n *outNode) node {
	f, ok := n.e.(*filtered)
	if !ok || len(f.calls) != 1 || f.calls[0].name != "link" {
		return nil
	}
	base, ok := f.base.(*literal)
	address, isText := "", false
	if ok {
		address, isText = base.v.(string)
	}
	if !isText || len(f.calls[0].args) > 0 {
		c.problem(f.at, "write {{ 'https://…' | link: name: value }}", "link needs an address written as text, and names for what goes into its query")
		return n
	}
	link := c.newLink(n.at, address, base.at)
	if link == nil {
		return n
	}
	link.filter = true
	for i, arg := range f.calls[0].named {
		c.linkValue(link, i, arg)
	}
	return link
}

func (c *checker) linkValue(link *linkNode, i int, arg named) {
	if t := c.expr(arg.value); t.rows() {
		c.problem(arg.value.place(), "", "this is %s and can't be printed", t.shape)
	}
	name := string(appendPercent(nil, arg.name, "-._~")) + "="
	if i > 0 {
		name = "&" + name
	}
	link.query = append(link.query, &textNode{arg.at, name}, &outNode{at: arg.value.place(), e: arg.value, esc: escQuery})
}

// linkBlock makes a link of {% link %}https://…{% endlink %}.
func (c *checker) linkBlock(n *linkBlock) node {
	before := len(c.links)
	c.inLink = true
	c.nodes(n.body)
	c.inLink = false
	if len(c.links) > before {
		c.problem(n.at, "", "a link can't stand inside another")
		return n
	}
	at := span(n.at, n.body)
	link := c.address(n.body, at, c.format == HTML)
	if link == nil {
		return n
	}
	link.at = at
	if i, err := strconv.Atoi(n.number.text); err == nil {
		link.number = i
	}
	return link
}

// span covers the nodes, or is at where there are none.
func span(at pos, nodes []node) pos {
	if len(nodes) == 0 {
		return at
	}
	first, last := place(nodes[0]), place(nodes[len(nodes)-1])
	return pos{first.off, last.off + last.len - first.off}
}

// newLink adds a link whose address is the same for everybody; nil after a problem.
func (c *checker) newLink(at pos, address string, reportAt pos) *linkNode {
	if c.format == Subject {
		c.problem(reportAt, "", "a subject can't hold a link")
		return nil
	}
	if msg, hint := fixedAddress(address); msg != "" {
		c.problem(reportAt, hint, "%s", msg)
		return nil
	}
	link := &linkNode{at: at, url: address, number: -1, html: c.format == HTML}
	c.links = append(c.links, link)
	return link
}

// fixedAddress says what is wrong with a link's address, and how to mend it.
func fixedAddress(address string) (msg, hint string) {
	const whole = "write the whole address, as in https://bengkel.example/booking"
	u, err := url.Parse(address)
	switch {
	case address == "":
		return "an address is missing here", whole
	case err != nil || strings.ContainsAny(address, " \t\r\n\"<>\\^`{|}") || hasControl(address):
		return "this is not an address", "in addresses write a space as %20, and other signs by their %XX code, too"
	case u.Scheme == "":
		return "this address has no scheme and host", whole
	case u.Scheme != "http" && u.Scheme != "https":
		return "links lead to http, https, mailto and tel only, not to " + u.Scheme + ":", ""
	case u.Hostname() == "":
		return "this address has no host", whole
	case u.User != nil:
		return "an address can't hold a user's name", ""
	}
	return "", ""
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// address makes a link of the nodes between the quotes of an href, or of a link block. The text before the first
// Liquid must reach into the query.
func (c *checker) address(nodes []node, at pos, inHTML bool) *linkNode {
	prefix, rest := leadingText(nodes)
	prefix = addressText(prefix, inHTML)
	if len(rest) == 0 {
		return c.newLink(at, strings.TrimSpace(prefix), at)
	}
	base, query, found := strings.Cut(strings.TrimLeft(prefix, " "), "?")
	switch {
	case strings.Contains(prefix, "#"):
		c.problem(place(rest[0]), "move it before the #, into the query", "the part of an address behind # can't hold values")
		return nil
	case !found:
		c.problem(place(rest[0]), "as in https://bengkel.example/booking?plate={{ … }}", "only the query of a link, behind its ?, can hold values")
		return nil
	}
	if last, ok := rest[len(rest)-1].(*textNode); ok {
		last.text = strings.TrimRight(last.text, " \t\r\n")
	}
	rest, fragment, ok := c.cutFragment(rest, inHTML)
	if !ok {
		return nil
	}
	if i := strings.LastIndexByte(query, '&'); i >= 0 {
		base, query = base+"?"+query[:i], query[i+1:]
	}
	link := c.newLink(at, base+fragment, pos{at.off, max(1, place(rest[0]).off-at.off)})
	if link == nil {
		return nil
	}
	if query != "" {
		link.query = []node{&textNode{at, queryText(query)}}
	}
	c.queryNodes(rest, inHTML)
	link.query = append(link.query, rest...)
	return link
}

// leadingText is the text before the first other node.
func leadingText(nodes []node) (string, []node) {
	var b strings.Builder
	for i, n := range nodes {
		t, ok := n.(*textNode)
		if !ok {
			return b.String(), nodes[i:]
		}
		b.WriteString(t.text)
	}
	return b.String(), nil
}

// addressText is an address without HTML entities, and without line breaks, which browsers drop.
func addressText(s string, inHTML bool) string {
	if inHTML {
		s = html.UnescapeString(s)
	}
	return strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
}

// cutFragment takes the fragment off the end of a query.
func (c *checker) cutFragment(rest []node, inHTML bool) ([]node, string, bool) {
	for i, n := range rest {
		t, ok := n.(*textNode)
		if !ok {
			continue
		}
		before, fragment, found := strings.Cut(addressText(t.text, inHTML), "#")
		if !found {
			continue
		}
		if i+1 < len(rest) {
			c.problem(place(rest[i+1]), "move it before the #, into the query", "the part of an address behind # can't hold values")
			return nil, "", false
		}
		return append(rest[:i:i], &textNode{t.at, before}), "#" + fragment, true
	}
	return rest, "", true
}

// queryNodes prepares nodes for a query: text is encoded once, values when they are printed.
func (c *checker) queryNodes(nodes []node, inHTML bool) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *textNode:
			n.text = queryText(addressText(n.text, inHTML))
		case *outNode:
			n.esc = escQuery
			n.e = withoutEncoding(n.e)
		case *cycleNode:
			for i, v := range n.values {
				n.values[i] = queryText(v)
			}
		case *linkNode, *captureNode:
			c.problem(place(n), "", "this can't stand in an address")
		}
		for _, body := range bodies(n) {
			c.queryNodes(*body, inHTML)
		}
	}
}

// withoutEncoding drops a last url_encode: values in a query are encoded anyway.
func withoutEncoding(e expr) expr {
	f, ok := e.(*filtered)
	if !ok || f.calls[len(f.calls)-1].name != "url_encode" {
		return e
	}
	if len(f.calls) == 1 {
		return f.base
	}
	short := *f
	short.calls = f.calls[:len(f.calls)-1]
	return &short
}

// queryText encodes what can't stand in a query as it is (RFC 3986, section 3.4).
func queryText(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		encoded := s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
		if encoded {
			out = append(out, '%')
			continue
		}
		out = appendPercent(out, s[i:i+1], "-._~!$&'()*+,;=:@/?")
	}
	return string(out)
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
