package templates

import "strings"

// endAddress has read the value of an attribute that holds an address, and puts it into the output.
func (h *htmlPass) endAddress(end int) {
	u := h.url
	h.url = nil
	at := pos{u.off, end - u.off}
	prefix, rest := leadingText(u.parts)
	prefix = strings.TrimSpace(addressText(prefix, true))
	var link *linkNode
	switch {
	case len(rest) == 1 && isLinkNode(rest[0]) && prefix == "" && len(u.parts) == 1:
	case prefix == "" && len(u.parts) > 0 && h.ownPage(u.parts):
	case len(rest) == 0 && !u.tracked:
		h.staticAddress(prefix, at)
	case len(rest) == 0 && untracked(prefix):
	case untracked(prefix) && prefix[0] != '#':
		h.escapeAll(rest, escMail)
	case !u.tracked:
		h.imageAddress(prefix, rest)
	default:
		link = h.trackedAddress(u.parts, prefix, rest, at)
	}
	if link == nil {
		h.out = append(h.out, u.parts...)
		return
	}
	link.at = at
	if h.state.quote == 0 {
		h.add(&textNode{at, `"`})
		defer h.add(&textNode{at, `"`})
	}
	h.add(link)
}

func isLinkNode(n node) bool {
	_, ok := n.(*linkNode)
	return ok
}

// ownPage is an href that is one of the engine's own addresses, such as {{ unsubscribe_url }}, and nothing else.
func (h *htmlPass) ownPage(parts []node) bool {
	var out *outNode
	for _, p := range parts {
		switch p := p.(type) {
		case *textNode:
			if strings.TrimSpace(p.text) != "" {
				return false
			}
		case *outNode:
			if out != nil {
				return false
			}
			out = p
		default:
			return false
		}
	}
	if out == nil {
		return false
	}
	v, ok := out.e.(*variable)
	if !ok || len(v.steps) > 0 || v.root != global {
		return false
	}
	for _, b := range builtins() {
		if b.link && b.name == v.name {
			out.esc = escURL
			return true
		}
	}
	return false
}

// untracked says whether an address is left as it is: mailto:, tel:, sms: and places in the mail itself.
func untracked(address string) bool {
	scheme, _, _ := strings.Cut(strings.ToLower(address), ":")
	return strings.HasPrefix(address, "#") || len(scheme) < len(address) && (scheme == "mailto" || scheme == "tel" || scheme == "sms")
}

// staticAddress checks the address of an image and the like.
func (h *htmlPass) staticAddress(address string, at pos) {
	low := strings.ToLower(address)
	if strings.HasPrefix(low, "data:image/") || untracked(address) {
		return
	}
	if strings.HasPrefix(low, "cid:") {
		h.problem(at, "write the https address that the picture has", "cid: is a picture within the mail, and Sapa puts none there")
		return
	}
	if msg, hint := fixedAddress(address); msg != "" {
		h.problem(at, hint, "%s", msg)
	}
}

// trackedAddress makes the link of an href with values.
func (h *htmlPass) trackedAddress(parts []node, prefix string, rest []node, at pos) *linkNode {
	if len(rest) > 0 && prefix == "" {
		h.problem(place(rest[0]), "write https:// and the host; only the query, behind the ?, can hold values", "a link can't begin with a value")
		return nil
	}
	return h.address(parts, at, true)
}

// imageAddress decides how the values in an address that is not tracked are escaped.
func (h *htmlPass) imageAddress(prefix string, rest []node) {
	first, isValue := rest[0].(*outNode)
	host, path, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(prefix, "https://"), "http://"), "/")
	switch {
	case prefix == "" && isValue:
		first.esc = escURL
		h.escapeAll(rest[1:], escPath)
	case host == prefix || host == "" || path == "" && !strings.HasSuffix(prefix, "/"):
		h.problem(place(rest[0]), "as in https://cdn.example/{{ … }}.png", "write the scheme and host of this address before the value")
	case strings.Contains(path, "?"):
		h.escapeAll(rest, escQuery)
	default:
		h.escapeAll(rest, escPath)
	}
}

// escapeAll sets the escaping of all values in the nodes.
func (h *htmlPass) escapeAll(nodes []node, esc escape) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *textNode:
			if i := strings.IndexByte(n.text, '?'); i >= 0 && (esc == escPath || esc == escMail) {
				esc = escQuery
			}
		case *outNode:
			n.esc = esc
			n.e = withoutEncoding(n.e)
		}
		for _, body := range bodies(n) {
			h.escapeAll(*body, esc)
		}
	}
}
