package email

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// mailbox is an address as it goes on the wire.
type mailbox struct {
	addr   string // local part as given, domain in ASCII (punycode, RFC 5891)
	domain string
	utf8   bool // the local part needs SMTPUTF8 (RFC 6531)
}

// parseMailbox checks an addr-spec (RFC 5322 section 3.4.1, dot-atom or quoted local part). The errors name the fault
// and not the address, so that they may be logged.
func parseMailbox(addr string) (mailbox, error) {
	at := strings.LastIndexByte(addr, '@')
	switch {
	case addr == "":
		return mailbox{}, errors.New("the address is empty")
	case at < 0:
		return mailbox{}, errors.New("the address has no @")
	case !utf8.ValidString(addr):
		return mailbox{}, errors.New("the address is not valid UTF-8")
	}
	local, domain := addr[:at], addr[at+1:]
	if len(local) > 64 {
		return mailbox{}, errors.New("the part before the @ is longer than 64 octets")
	}
	if !isDotAtom(local) && !isQuotedLocal(local) {
		return mailbox{}, errors.New("the part before the @ is not a valid name")
	}
	ascii, err := asciiDomain(domain)
	if err != nil {
		return mailbox{}, err
	}
	if len(local)+1+len(ascii) > 254 { // RFC 5321 section 4.5.3.1.3, less the angle brackets
		return mailbox{}, errors.New("the address is longer than 254 octets")
	}
	if ascii != domain {
		addr = local + "@" + ascii
	}
	return mailbox{addr: addr, domain: ascii, utf8: !isASCII(local)}, nil
}

// asciiDomain is the domain in lower-case ASCII.
func asciiDomain(domain string) (string, error) {
	if domain == "" {
		return "", errors.New("the address has nothing after the @")
	}
	if isHostname(domain) {
		return domain, nil
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !isHostname(ascii) {
		return "", errors.New("the part after the @ is not a valid domain")
	}
	return ascii, nil
}

// isHostname says whether s is a name of lower-case letters, digits and hyphens, which needs no conversion.
func isHostname(s string) bool {
	label := 0 // its length so far
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			label++
		case c == '-' && label > 0:
			label++
		case c == '.' && label > 0 && s[i-1] != '-':
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0 && len(s) <= 253 && s[len(s)-1] != '-'
}

// isDotAtom is RFC 5322's dot-atom-text with RFC 6531's non-ASCII characters.
func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if !isAtext(s[i]) && s[i] != '.' && s[i] < 0x80 {
			return false
		}
	}
	return true
}

// isQuotedLocal is a quoted local part of printable ASCII: "…", with \ before " and \.
func isQuotedLocal(s string) bool {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s)-1:
			i++
		case s[i] == '"' || s[i] == '\\':
			return false
		}
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for len(s) >= 8 { // one comparison for eight octets, which are read at once: whole bodies pass through here
		eight := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if eight&0x8080808080808080 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// named is a value with its name for messages.
type named struct{ what, value string }

// noLineBreaks refuses what would forge a header: CR, LF and NUL.
func noLineBreaks(values ...named) error {
	for _, v := range values {
		if strings.IndexByte(v.value, '\r') >= 0 || strings.IndexByte(v.value, '\n') >= 0 || strings.IndexByte(v.value, 0) >= 0 {
			return fmt.Errorf("%s holds a line break, which would forge a header: take it out of the template or the data", v.what)
		}
	}
	return nil
}
