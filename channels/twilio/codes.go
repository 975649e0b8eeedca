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
	if words := whatsAppMeaning(code); words != "" {
		return words, ""
	}
	return callMeaning(code), ""
}

// whatsAppMeaning is meaning for WhatsApp's own codes. None suppresses the number: who has no WhatsApp today may have it
// tomorrow, what Meta holds back it lets through another time, and everything else is about our message or our account.
func whatsAppMeaning(code int) string {
	switch code {
	case 63003:
		return "WhatsApp does not know the number"
	case 63024:
		return "the number has no WhatsApp, an old version of it, or has not agreed to its terms"
	case 63005:
		return "WhatsApp does not take the content"
	case 63007:
		return "the sender is no WhatsApp sender of the account"
	case 63008, 63010:
		return "an error within Twilio or WhatsApp"
	case 63012:
		return "an error within WhatsApp"
	case 63013:
		return "against WhatsApp's rules"
	case 63014, 63033:
		return "the customer has blocked the sender"
	case 63015:
		return "the sandbox of Twilio: the customer has not joined it"
	case 63016:
		return "free text outside the 24 hours after the customer's last message: a template is needed"
	case 63018:
		return "more than the sender may send"
	case 63019:
		return "a picture or file that WhatsApp could not fetch"
	case 63020:
		return "WhatsApp has no permission for the sender any more: agree to its invitation in the Business Manager"
	case 63021:
		return "the content is invalid for WhatsApp"
	case 63022:
		return "the sender's certificate at WhatsApp is invalid"
	case 63027, 63040, 63041:
		return "the template does not exist in that language, was rejected, or is paused"
	case 63028:
		return "the template's variables don't fit"
	case 63032:
		return "WhatsApp does not deliver to this customer, as part of an experiment of Meta's"
	case 63038:
		return "the account's messages for today are used up"
	case 63042:
		return "the template is switched off for its poor quality"
	case 63049:
		return "Meta held the advertisement back: the customer gets enough of them now"
	case 63051:
		return "WhatsApp has locked the business account"
	}
	return ""
}

// callMeaning is meaning for calls: Twilio's codes, and those of SIP (RFC 3261 section 21) with which networks end a call.
// None suppresses the number. Networks answer 404 for many things, and a phone that is busy today rings tomorrow.
func callMeaning(code int) string {
	switch code {
	case 13214, 21210, 21212:
		return "the caller's number may not be shown"
	case 13223, 13226, 21217:
		return "not a number that can be called"
	case 13224, 21214:
		return "no network of Twilio's reaches the number"
	case 13225, 21216:
		return "Twilio does not call this number"
	case 13227, 21215:
		return "calling this country is not enabled"
	case 403, 603:
		return "declined"
	case 404, 604:
		return "the network does not know the number"
	case 408, 480:
		return "the phone can't be reached now, or nobody answered"
	case 484:
		return "the number is incomplete"
	case 486, 600:
		return "the line was busy, or the call was declined"
	case 487:
		return "nobody answered in time"
	case 500, 502, 503, 504:
		return "a network on the way was out of order"
	}
	return ""
}
