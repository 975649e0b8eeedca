package customer

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Address is what an address as the company wrote it means.
type Address struct {
	Normalised string // "" when it is not usable
	Domain     string // of e-mail: lower-case ASCII
	Kind       string // of phones: mobile, fixed, …
	Reason     string // why it is not usable, in words for people
}

// Usable says whether messages can be sent to the address.
func (a Address) Usable() bool { return a.Reason == "" }

// NormaliseEmail reads an e-mail address as people write it into a column: blanks around it, a final dot, and
// `Name <address>` are forgiven. The domain becomes lower-case ASCII (punycode, RFC 5891), the part before the @ keeps
// its case (RFC 5321 section 2.4). Whether the mailbox exists is for the server to say.
func NormaliseEmail(raw string) Address {
	text := strings.TrimFunc(raw, invisible)
	if strings.HasSuffix(text, ">") {
		if parsed, err := mail.ParseAddress(text); err == nil {
			text = parsed.Address
		}
	}
	text = strings.TrimRight(text, ".")
	at := strings.LastIndexByte(text, '@')
	switch {
	case text == "":
		return Address{Reason: "empty"}
	case !utf8.ValidString(text):
		return Address{Reason: "not valid text"}
	case at < 0:
		return Address{Reason: "no @"}
	case strings.ContainsAny(text, ",;") && strings.Count(text, "@") > 1:
		return Address{Reason: "more than one address"}
	}
	return joinEmail(text[:at], text[at+1:])
}

func joinEmail(local, domain string) Address {
	if reason := badLocal(local); reason != "" {
		return Address{Reason: reason}
	}
	ascii, reason := emailDomain(domain)
	if reason != "" {
		return Address{Reason: reason}
	}
	if len(local)+1+len(ascii) > 254 { // RFC 5321 section 4.5.3.1.3, less the angle brackets
		return Address{Reason: "longer than 254 characters"}
	}
	return Address{Normalised: local + "@" + ascii, Domain: ascii}
}

// invisible are blanks and the marks that come along when an address is copied from a document.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r)
}

// badLocal says what is wrong with the part before the @: RFC 5321's dot-string with RFC 6531's other letters. Quoted
// parts are valid there, too, but in a customer table they are mistakes.
func badLocal(local string) string {
	switch {
	case local == "":
		return "nothing before the @"
	case strings.Contains(local, "@"):
		return "more than one @"
	case len(local) > 64:
		return "more than 64 characters before the @"
	case strings.HasPrefix(local, "."), strings.HasSuffix(local, "."), strings.Contains(local, ".."):
		return "a dot in the wrong place before the @"
	}
	for _, r := range local {
		if !localRune(r) {
			if unicode.IsSpace(r) {
				return "a blank before the @"
			}
			return "a character before the @ that is not allowed there"
		}
	}
	return ""
}

func localRune(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return true
	case r < utf8.RuneSelf:
		return strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r)
	}
	return !invisible(r) && unicode.IsPrint(r)
}

func emailDomain(domain string) (ascii, reason string) {
	if domain == "" {
		return "", "nothing after the @"
	}
	ascii = strings.ToLower(domain)
	if !hostname(ascii) {
		converted, err := idna.Lookup.ToASCII(domain)
		if err != nil || !hostname(converted) {
			return "", "not a valid domain after the @"
		}
		ascii = converted
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if len(last) == len(ascii) || strings.Trim(last, "0123456789") == "" {
		return "", "an incomplete domain after the @"
	}
	return ascii, ""
}

// hostname says whether s is a domain name of lower-case letters, digits and hyphens.
func hostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
