package customer

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// NormalisePhone reads a phone number as people write it into a column, and gives it in the form of E.164 with its kind:
// mobile, fixed, fixed or mobile (where a country's numbers don't tell), toll free, premium, …. The region, a country of
// ISO 3166, is where a number without a country code belongs; "" when it is not known. A leading 00 stands for +, a
// country code may stand without either (62811…), and a dropped leading zero is forgiven, as spreadsheets drop it.
// Whether anybody answers is for the network to say.
//
// A number is never guessed: letters, a second number or other marks are reasons, since what a lenient reader makes of
// them may be somebody else's number.
func NormalisePhone(raw, region string) Address {
	text := strings.Trim(strings.TrimFunc(raw, invisible), `'"`)
	text = strings.TrimPrefix(strings.TrimPrefix(text, "tel:"), "Tel:")
	if whole := spreadsheetNumber.FindStringSubmatch(text); whole != nil {
		text = whole[1]
	}
	if reason := badPhone(text); reason != "" {
		return Address{Reason: reason}
	}
	return readPhone(text, strings.ToUpper(strings.TrimSpace(region)))
}

// NormaliseMobile is NormalisePhone for channels that need a phone which can show a text.
func NormaliseMobile(raw, region string) Address {
	a := NormalisePhone(raw, region)
	if a.Usable() && a.Kind != "mobile" && a.Kind != "fixed or mobile" {
		return Address{Kind: a.Kind, Reason: "not a mobile number"}
	}
	return a
}

var (
	spreadsheetNumber = regexp.MustCompile(`^(\+?[0-9]{6,})\.0+$`)            // a number that became a floating-point one
	scientific        = regexp.MustCompile(`^[0-9]+([.,][0-9]+)?[eE]\+?\d+$`) // and was rounded
	severalNumbers    = regexp.MustCompile(`[/,;|&\n]`)
)

// phoneMarks stand between digits without a meaning of their own.
const phoneMarks = "+-–—‐‑().\u00a0/ \t"

// badPhone says what is wrong with the text before anything is made of its digits.
func badPhone(text string) string {
	digits := strings.IndexFunc(text, unicode.IsDigit) >= 0
	switch {
	case text == "":
		return "empty"
	case !utf8.ValidString(text):
		return "not valid text"
	case scientific.MatchString(text):
		return "rounded by a spreadsheet"
	case !digits:
		return "not a number"
	case severalPhones(text):
		return "more than one number"
	case strings.IndexFunc(text, unicode.IsLetter) >= 0:
		return "letters in the number"
	case strings.LastIndexAny(text, "+＋") > strings.IndexFunc(text, unicode.IsDigit):
		return "not a number"
	}
	for _, r := range text {
		if !unicode.IsDigit(r) && r != '＋' && !strings.ContainsRune(phoneMarks, r) {
			return "not a number"
		}
	}
	return ""
}

// severalPhones says whether more than one part of the text is long enough to be a number.
func severalPhones(text string) bool {
	long := 0
	for _, part := range severalNumbers.Split(text, -1) {
		if len(phonenumbers.NormalizeDigitsOnly(part)) >= 7 {
			long++
		}
	}
	return long > 1
}

// readPhone takes the first reading of the digits that is a number of a mobile phone, else the first that is a number
// at all. What is none in any reading, for different reasons, is simply no number that exists.
func readPhone(text, region string) Address {
	digits := phonenumbers.NormalizeDigitsOnly(text)
	var best Address
	for i, reading := range readings(digits, strings.ContainsAny(text, "+＋"), region) {
		a := parsePhone(reading, region)
		if a.Kind == "mobile" {
			return a
		}
		switch {
		case i == 0, !best.Usable() && a.Usable():
			best = a
		case !best.Usable() && best.Reason != a.Reason:
			best.Reason = "no such number"
		}
	}
	return best
}

// readings are the ways to read digits, the likeliest first.
func readings(digits string, plus bool, region string) []string {
	code := phonenumbers.GetCountryCodeForRegion(region)
	switch {
	case plus:
		return []string{"+" + digits}
	case strings.HasPrefix(digits, "00"):
		return []string{"+" + strings.TrimLeft(digits, "0")}
	case code != 0 && strings.HasPrefix(digits, strconv.Itoa(code)):
		return []string{"+" + digits, digits}
	}
	return []string{digits}
}

func parsePhone(reading, region string) Address {
	n, err := phonenumbers.ParseAndKeepRawInput(reading, region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return Address{Reason: "no country code"}
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return Address{Reason: "too many digits"}
	case errors.Is(err, phonenumbers.ErrTooShortNSN), errors.Is(err, phonenumbers.ErrTooShortAfterIDD):
		return Address{Reason: "too few digits"}
	case err != nil:
		return Address{Reason: "not a number"}
	}
	switch phonenumbers.IsPossibleNumberWithReason(n) {
	case phonenumbers.TOO_LONG:
		return Address{Reason: "too many digits"}
	case phonenumbers.TOO_SHORT:
		return Address{Reason: "too few digits"}
	}
	if !phonenumbers.IsValidNumber(n) || swallowed(n, reading, region) {
		return Address{Reason: "no such number"}
	}
	return Address{Normalised: phonenumbers.Format(n, phonenumbers.E164), Kind: phoneKind(phonenumbers.GetNumberType(n))}
}

// swallowed says whether the parser dropped more digits than a country code and a trunk prefix have: it makes
// +1 500 555 0162 of the American 1 (11) 500 555-0162, which nobody meant.
func swallowed(n *phonenumbers.PhoneNumber, reading, region string) bool {
	if n.GetCountryCodeSource() == phonenumbers.PhoneNumber_FROM_NUMBER_WITH_IDD {
		return false
	}
	dropped := len(strings.TrimPrefix(reading, "+")) - len(phonenumbers.GetNationalSignificantNumber(n))
	own := phonenumbers.GetRegionCodeForNumber(n)
	if own == "" {
		own = region
	}
	return dropped > len(strconv.Itoa(int(n.GetCountryCode())))+len(phonenumbers.GetNddPrefixForRegion(own, true))
}

func phoneKind(t phonenumbers.PhoneNumberType) string {
	switch t {
	case phonenumbers.MOBILE:
		return "mobile"
	case phonenumbers.FIXED_LINE:
		return "fixed"
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return "fixed or mobile"
	case phonenumbers.TOLL_FREE:
		return "toll free"
	case phonenumbers.PREMIUM_RATE:
		return "premium"
	case phonenumbers.SHARED_COST:
		return "shared cost"
	case phonenumbers.VOIP:
		return "voip"
	case phonenumbers.PERSONAL_NUMBER:
		return "personal"
	case phonenumbers.PAGER:
		return "pager"
	case phonenumbers.UAN:
		return "company"
	case phonenumbers.VOICEMAIL:
		return "voicemail"
	}
	return "other"
}
