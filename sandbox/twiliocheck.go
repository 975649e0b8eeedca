package sandbox

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxBody is the longest text that Twilio takes, in characters.
const maxBody = 1600

func invalidTo() Reply {
	return Reply{Code: http.StatusBadRequest, Error: 21211, Words: "Invalid 'To' Phone Number: {to}"}
}

func notMobile() Reply {
	return Reply{Code: http.StatusBadRequest, Error: 21614, Words: "'To' number is not a valid mobile number: {to}"}
}

func optedOut() Reply {
	return Reply{Code: http.StatusBadRequest, Error: 21610, Words: "Attempt to send to unsubscribed recipient"}
}

func bad(code int, words string) Reply {
	return Reply{Code: http.StatusBadRequest, Error: code, Words: words}
}

func notFound(r *http.Request) Reply {
	return Reply{Code: http.StatusNotFound, Error: 20404, Words: "The requested resource " + r.URL.Path + " was not found"}
}

func cannotWrite(err error) Reply {
	return Reply{Code: http.StatusInternalServerError, Error: 20500, Words: "The sandbox can't write: " + oneLine(err)}
}

func cannotRead(err error) Reply {
	return Reply{Code: http.StatusInternalServerError, Error: 20500, Words: "The sandbox can't read: " + oneLine(err)}
}

// isNumber reports whether a text is a number in the form of E.164.
func isNumber(text string) bool {
	digits, found := strings.CutPrefix(text, "+")
	return found && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && consistsOf(digits, isDigit)
}

// isSender reports whether a text can be a sender: a number, a short code, or a name with a letter in it.
func isSender(text string) bool {
	switch {
	case isNumber(text):
		return true
	case consistsOf(text, isDigit):
		return len(text) >= 3 && len(text) <= 8
	default:
		return len(text) <= 11 && strings.TrimSpace(text) != "" &&
			consistsOf(text, func(c byte) bool { return isDigit(c) || isLetter(c) || c == ' ' })
	}
}

// isService reports whether a text is the SID of a Messaging Service.
func isService(text string) bool {
	_, err := hex.DecodeString(strings.TrimPrefix(text, "MG"))
	return len(text) == 34 && text[:2] == "MG" && err == nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func consistsOf(text string, allowed func(byte) bool) bool {
	for i := range len(text) {
		if !allowed(text[i]) {
			return false
		}
	}
	return true
}

// checkText is what Twilio's API would refuse a request with; the zero Reply when it would take it.
func (s *Server) checkText(form url.Values) Reply {
	to, from, service := form.Get("To"), form.Get("From"), form.Get("MessagingServiceSid")
	switch {
	case to == "":
		return bad(21604, "A 'To' phone number is required.")
	case from == "" && service == "":
		return bad(21603, "A 'From' phone number is required.")
	case form.Get("Body") == "" && form.Get("MediaUrl") == "" && form.Get("ContentSid") == "":
		return bad(21602, "Message body is required.")
	case phoneChannel(form) == ChannelSMS && !isNumber(to):
		return invalidTo()
	case service != "" && !isService(service):
		return bad(21701, "The Messaging Service resource "+service+" was not found")
	case to == from:
		return bad(21266, "'To' and 'From' number cannot be the same: {to}")
	case utf8.RuneCountInString(form.Get("Body")) > maxBody:
		return bad(21617, "The concatenated message body exceeds the 1600 character limit")
	}
	if reply := checkOptions(form); reply.Code != 0 {
		return reply
	}
	if phoneChannel(form) == ChannelWhatsApp {
		return s.checkWhatsApp(form)
	}
	if reply := checkSender(from); reply.Code != 0 {
		return reply
	}
	if from == "" {
		from = s.optOuts.sender(service)
	}
	if s.optOuts.has(to, from) {
		return optedOut()
	}
	return Reply{}
}

// checkSender knows Twilio's magic senders; every other that can be one belongs to the account.
func checkSender(from string) Reply {
	switch {
	case from == "":
		return Reply{}
	case from == "+15005550001" || !isSender(from):
		return bad(21212, "Invalid From Number (caller ID): "+from)
	case from == "+15005550007":
		return bad(21606, "The 'From' phone number provided ("+from+") is not a valid message-capable Twilio phone number for this destination/account")
	case from == "+15005550008":
		return queueFull()
	}
	return Reply{}
}

func checkOptions(form url.Values) Reply {
	if text := form.Get("ValidityPeriod"); text != "" {
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > 36000 {
			return bad(20001, "ValidityPeriod is not a number of seconds from 1 to 36000: "+text)
		}
	}
	if text := form.Get("StatusCallback"); text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return bad(21609, "The 'StatusCallback' URL "+text+" is not a valid URL")
		}
	}
	return Reply{}
}
