package segment

// numberFunctions calculate with numbers.
func numberFunctions() []*Function { return nil }
