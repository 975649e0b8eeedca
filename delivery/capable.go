package delivery

// Capable are the channels of accounts that can do more than send: that are a T, too. Of two accounts of a channel either makes one.
func Capable[T any](accounts map[string]Account, either func(first, second T) T) map[string]T {
	able := map[string]T{}
	for name, a := range accounts {
		first, ok := a.Channel.(T)
		if !ok {
			continue
		}
		var second T // none
		if a.Fallback != nil {
			second, _ = a.Fallback.Channel.(T)
		}
		able[name] = either(first, second)
	}
	return able
}
