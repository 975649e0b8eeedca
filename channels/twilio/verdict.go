package twilio

import "net/http"

// Twilio's error codes that the program asks for by name; https://www.twilio.com/docs/api/errors has all of them.
const (
	codeAuthenticate  = 20003 // wrong credentials, or an account that is suspended or closed
	codeForbidden     = 20403 // the account was suspended or closed
	codeNotFound      = 20404
	codeOptedOut      = 21610
	codeNoNumber      = 21217
	codeAuthorization = 70051 // also of a restricted API key without the permission that was needed
)

// ruling is what an answer other than success means for a message.
type ruling int

const (
	ruleRefused   ruling = iota // not accepted, and it will not be
	ruleOptedOut                // not accepted, and the number must be left alone
	ruleNoNumber                // not accepted, since there is no such number
	ruleWait                    // not accepted now
	ruleAccount                 // not accepted, for a reason that concerns everybody
	ruleElsewhere               // not accepted by something on the way, that is not Twilio's API
	ruleUnknown                 // it may have been accepted
)

// rule reads an answer: Twilio's code where there is one, else the status. A request that was refused with a status of
// 4xx was not accepted (RFC 9110 section 15.5); of one that ended in 5xx or 408, whoever answered does not know.
func rule(a answer) ruling {
	switch {
	case a.status >= 500, a.status == http.StatusRequestTimeout, a.status < 300:
		return ruleUnknown
	case a.status == http.StatusTooManyRequests:
		return ruleWait
	case a.code == 0:
		return ruleElsewhere
	}
	if r, known := ruleOfCode(a.code); known {
		return r
	}
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return ruleAccount
	}
	return ruleRefused
}

// ruleOfCode knows the codes with which Twilio refuses to create a message or a call. Those that are missing mean this one.
func ruleOfCode(code int) (r ruling, known bool) {
	switch code {
	case codeOptedOut: // attempt to send to unsubscribed recipient
		return ruleOptedOut, true

	case codeNoNumber: // of calls: 'To' does not appear to be a valid number
		return ruleNoNumber, true

	case 21211, // invalid 'To' number
		21265, // 'To' is a short code
		21266, // 'To' and 'From' are the same
		21268, // 'To' is a premium or information service
		21408, // permission to send to the region of 'To' is not enabled: for others it may be
		21604, // no 'To'
		21608, // trial account: this 'To' is not verified
		21612, //  'To' can't be reached from this 'From'
		21614, // 'To' is not a mobile number
		21617, // the text is longer than 1600 characters
		21618, // the text can't be sent
		21619, // no text
		21624, // invalid validity period
		21635, // 'To' is a landline
		21662, // 'To' can't be reached from this 'From' in the region Ireland
		21910, // 'From' and 'To' belong to different channels
		21655, // the ContentSid is invalid: a run of these is paused by its safeguards, and other campaigns are not harmed
		21656, // the ContentVariables are invalid
		21201, // of calls: no 'To'
		21202, // … 'To' is a premium or emergency number
		21203, // … calls to other countries are not enabled
		21214, // … 'To' can't be reached
		21215, // … permission to call the region of 'To' is not enabled
		21216, // … Twilio blocks 'To': a number of fraudsters, or a region with rules; that may be mended, so the number stays
		21219, // … trial account: this 'To' is not verified
		13223, // … 'To' has not the form of a number
		13224, // … no carrier of Twilio's reaches 'To'
		13225, // … 'To' is on a list of numbers that must not be called
		13226, // … 'To' has an unknown country code
		13227: // … the region of 'To' is not enabled
		return ruleRefused, true

	case 20429, // too many requests
		14107, // message rate limit exceeded
		10004, // of calls: too many of them at once
		63018, // of WhatsApp: the sender's rate limit
		21611, // the queue of 'From' is full
		21730, // system under maintenance
		21606, // 'From' can't send, be it at all or to this country: to be mended by the operator, and then tried again
		21659, // 'From' is not ours, or a short code of another country
		21703: // the Messaging Service has no number for this, be it at all or for this country
		return ruleWait, true

	case codeAuthenticate, codeForbidden, codeNotFound, codeAuthorization,
		10001, 20005, 21472, 90010, // the account is not active
		20006, // access denied
		20008, // test credentials
		21212, // invalid 'From' number
		21264, // 'From' is not verified
		21267, // alphanumeric senders are not for trial accounts
		21601, // 'From' is not a number for messages
		21603, // no sender
		21607, // trial accounts: another 'From'
		21609, // invalid StatusCallback: public_url
		21616, // 'From' matches several numbers of the account
		21657, // the sender ID is invalid
		21660, // 'From' belongs to another account
		21661, // 'From' can't send SMS
		21663, // 'From' has a wrong routing
		21668, // the type of 'From' is not supported in the region Ireland
		21701, // the Messaging Service does not exist
		21702, // … is not available
		21704, // … contains no numbers
		21705, // … is invalid
		21709, // … may not use this alphanumeric sender
		21711, // … does not have this sender
		63007, // 'From' is not a WhatsApp sender of the account
		10002, // trial accounts can't do this
		21205, // of calls: an address for callbacks is invalid
		21210, // … 'From' is not verified
		21213, // … no 'From'
		13214: // … 'From' is no number that the account may show
		return ruleAccount, true
	}
	return 0, false
}

// advice says what to mend when everybody is refused.
func advice(channel string, code int) string {
	switch code {
	case codeAuthenticate, codeForbidden, codeNotFound, 10001, 20005, 21472, 90010, 20008:
		return "check TWILIO_URL and whether the account is active"
	case codeAuthorization, 20006:
		return "the API key may not send messages"
	case 21205, 21609:
		return "Twilio does not take the address for its reports: check public_url"
	case 21701, 21702, 21704, 21705, 21709, 21711:
		return "check channels." + channel + ".messaging_service and the senders in it"
	case 0:
		return "check TWILIO_URL"
	}
	return "check channels." + channel + ".from"
}
