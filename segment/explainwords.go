package segment

import "fmt"

// instead is what to write in the place of a condition that the database can't decide; "" where nothing is known.
func instead(n node) string {
	switch n := n.(type) {
	case *named:
		return instead(n.a)
	case *match:
		if _, ok := pgPattern(n.re); !ok {
			return "write startsWith, endsWith or contains where that will do, or a list of the texts: in [\"…\", \"…\"]"
		}
	case *call:
		if n.fn.sql == nil && n.fn.residual != "" {
			return fmt.Sprintf("compare it with texts that are written out: %s(…) == \"…\", or in [\"…\", \"…\"]", n.fn.Name)
		}
	}
	for _, c := range children(n) {
		if text := instead(c); text != "" {
			return text
		}
	}
	return ""
}
