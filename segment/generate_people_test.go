package segment

// peopleAtom draws a condition about what Sapa itself knows.
func (g *generator) peopleAtom(depth int) string { return g.comparison(depth, g.number) }

// opinionOnPeople is the third opinion on those functions; known is false for all others.
func opinionOnPeople(_ Clock, _ string, _ []any) (v any, known bool, err error) {
	return nil, false, nil
}
