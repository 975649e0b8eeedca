package segment

// calendarFunctions ask about birthdays, ages, weekdays and holidays.
func calendarFunctions() []*Function { return nil }
