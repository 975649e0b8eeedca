package twilio

// meaning is what an error code of a message that was accepted says, and why its number must not be used again, "" when
// it may. Both are from Twilio's dictionary of errors, shortened.
func meaning(code int) (words, suppress string) {
	switch code {
	case 30001:
		return "queue overflow", ""
	case 30002:
		return "the account is suspended", ""
	case 30003:
		return "the phone can't be reached now: switched off, out of range, or unable to receive", ""
	case 30004:
		return "blocked: by the customer, or by the network", ""
	case 30005:
		return "no such number, or not in use any more", "no such number"
	case 30006:
		return "a landline, or a network that can't be reached", "not a mobile number"
	case 30007:
		return "filtered by the network or by Twilio", ""
	case 30008:
		return "not delivered, and the network does not say why", ""
	case 30010:
		return "dearer than the price limit", ""
	case 30012, 30013, 30036:
		return "not delivered while it was valid", ""
	case 30017:
		return "the network is congested", ""
	case 30018:
		return "the network wants the sender to be registered first", ""
	case 30019:
		return "too large for the network", ""
	case 30022, 30023, 30027:
		return "the network's limit for the sender is reached", ""
	case 30024:
		return "the sender is not set up with the network", ""
	case 30032, 30034, 30035:
		return "the sender is not registered as its country wants it", ""
	case 30410:
		return "the network did not answer in time", ""
	case 30453:
		return "blocked as suspected fraud", ""
	case 21408:
		return "sending to this country is not enabled", ""
	case codeOptedOut:
		return "the customer has opted out with STOP", "opted out"
	case 21211, 21614:
		return "not a mobile number that can receive messages", ""
	case 21612:
		return "the number can't be reached from this sender", ""
	case 21617:
		return "longer than 1600 characters", ""
	}
	return "", ""
}
