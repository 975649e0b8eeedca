package customer

// Normalise reads an address as a channel's addresses are read, without the address book. The error is that of a channel
// that has no addresses.
func Normalise(channel, raw, region string) (Address, error) {
	normalise, err := normaliser(channel)
	if err != nil {
		return Address{}, err
	}
	return normalise(raw, region), nil
}
