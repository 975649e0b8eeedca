package segment

// calendarAtom draws a condition about birthdays, ages, weekdays and holidays.
func (g *generator) calendarAtom(depth int) string { return g.comparison(depth, g.number) }

// opinionOnCalendar is the third opinion on those functions; known is false for all others.
func opinionOnCalendar(_ Clock, _ string, _ []any) (v any, known bool, err error) {
	return nil, false, nil
}
