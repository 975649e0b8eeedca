package segment

// valuesAtom draws a condition about JSON, lists of texts, and functions of texts and numbers.
func (g *generator) valuesAtom(depth int) string { return g.comparison(depth, g.number) }

// opinionOnValues is the third opinion on those functions; known is false for all others.
func opinionOnValues(_ Clock, _ string, _ []any) (v any, known bool, err error) {
	return nil, false, nil
}
