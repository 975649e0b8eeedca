package templates

// isPage says whether a name is the address of one of the engine's own pages.
func isPage(name string) bool {
	for _, b := range builtins() {
		if b.link && b.name == name {
			return true
		}
	}
	return false
}

// page notes that a node prints the address of one of the engine's own pages, and nothing else.
func (c *checker) page(n *outNode) bool {
	v, ok := n.e.(*variable)
	if !ok || len(v.steps) > 0 || !isPage(v.name) || c.inLink {
		return false
	}
	if _, known := c.globals[v.name]; !known { // confirm_url is not there everywhere
		return false
	}
	c.pages[v.name] = true
	return true
}

// barePage reports a page's address that is used otherwise than by being printed. In a text message it is a short
// address, made when the message goes, which is only known by finding it in the text.
func (c *checker) barePage(v *variable) {
	if !isPage(v.name) {
		return
	}
	c.pages[v.name] = true
	if c.format == SMS {
		c.problem(v.at, "write {{ "+v.name+" }} where it should stand", "in a text message %s can only be printed as it is", v.name)
	}
}
