package customer

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/unicode/norm"
)

var (
	lineBreaks = regexp.MustCompile(`[ ,\t]*[\r\n]+[ ,\t\r\n]*`)
	blanks     = regexp.MustCompile(`[ \t]+`)
)

// JoinPost is a postal address as the address book knows it by its written text, from the values of its columns; "" for none.
// It does what postSQL does.
func JoinPost(values []string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strings.Trim(blanks.ReplaceAllString(lineBreaks.ReplaceAllString(v, ", "), " "), " ,")
	}
	if strings.Join(texts[1:len(texts)-2], "") == "" {
		return ""
	}
	return strings.Join(texts, "\n")
}

// postTail is how many lines follow the street: postcode, city, province, country.
const postTail = 4

// longestPostLine is what still fits into an address window.
const longestPostLine = 60

// NormalisePost reads a postal address as the address book has it (JoinPost) and composes it as it is printed, line by line:
// the name, the street, the city with its postcode in the order of the country, the province, and in the last line the country
// as a code of two letters (ISO 3166-1). region is the country where none is written.
func NormalisePost(raw, region string) Address {
	lines := strings.Split(norm.NFC.String(raw), "\n")
	n := len(lines)
	switch {
	case strings.TrimSpace(raw) == "":
		return Address{Reason: "empty"}
	case !utf8.ValidString(raw):
		return Address{Reason: "not valid text"}
	case utf8.RuneCountInString(raw) >= MaxRawAddress:
		return Address{Reason: "longer than 500 characters"}
	case n < 2+postTail:
		return Address{Reason: "not written as name, street, postcode, city, province, country on lines of their own"}
	}
	for i, l := range lines {
		lines[i] = withoutFillers(l)
	}
	p := postal{lines[0], lines[1 : n-postTail], lines[n-4], lines[n-3], lines[n-2], lines[n-1]}
	return p.address(region)
}

// withoutFillers is a column's text, without what people write where there is nothing, and without invisible marks.
func withoutFillers(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case invisible(r):
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	switch strings.ToLower(text) {
	case "n/a", "na", "null", "none", "nil", "tidak ada", "unknown", "xxx":
		return ""
	}
	if strings.IndexFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) < 0 {
		return ""
	}
	return text
}

// postal is a postal address in its parts.
type postal struct {
	name                              string
	street                            []string
	postcode, city, province, country string
}

func (p *postal) address(region string) Address {
	country, reason := p.code(region)
	switch {
	case strings.Join(p.street, "") == "":
		return Address{Reason: "no street"}
	case strings.IndexFunc(p.city, unicode.IsLetter) < 0:
		return Address{Reason: "no city"}
	case reason != "":
		return Address{Reason: reason}
	}
	var lines []string
	for _, l := range append(append([]string{p.name}, p.street...), p.cityLines(country)...) {
		if utf8.RuneCountInString(l) > longestPostLine {
			return Address{Reason: "a line of more than 60 characters"}
		}
		if l != "" {
			lines = append(lines, l)
		}
	}
	return Address{Normalised: strings.Join(append(lines, country), "\n")}
}

// code is the country as a code.
func (p *postal) code(region string) (code, reason string) {
	switch {
	case p.country == "" && region == "":
		return "", "no country; map customers.post.country, or give sapa.yaml a region"
	case p.country == "":
		return strings.ToUpper(region), ""
	}
	if n := len(p.country); n == 2 || n == 3 {
		if r, err := language.ParseRegion(p.country); err == nil && r.IsCountry() {
			return r.Canonicalize().String(), ""
		}
	}
	if code, known := countryCodes()[strings.ToLower(p.country)]; known {
		return code, ""
	}
	return "", "an unknown country"
}

// countryCodes are the codes of countries by their names in small letters: in English, Indonesian, and their own languages.
var countryCodes = sync.OnceValue(func() map[string]string {
	codes := map[string]string{"usa": "US", "u.s.a.": "US", "uk": "GB", "great britain": "GB", "england": "GB", "holland": "NL", "türkiye": "TR"}
	speakers := []language.Tag{
		language.English, language.Indonesian, language.Malay, language.German, language.French, language.Spanish,
		language.Portuguese, language.Italian, language.Dutch, language.Vietnamese,
	}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			if !validRegion(code) {
				continue
			}
			region := language.MustParseRegion(code)
			if region.Canonicalize() != region {
				continue // a country of former days
			}
			for _, speaker := range speakers {
				if name := strings.ToLower(display.Regions(speaker).Name(region)); name != "" && codes[name] == "" {
					codes[name] = code
				}
			}
		}
	}
	return codes
})

// cityLines are the lines with city, postcode and province as the country's post wants them (UPU, Postal addressing systems
// in member countries).
func (p *postal) cityLines(country string) []string {
	join := func(parts ...string) string { return strings.Join(strings.Fields(strings.Join(parts, " ")), " ") }
	switch country {
	case "US", "CA", "AU":
		return []string{join(p.city, p.province, p.postcode)}
	case "GB", "IE":
		return []string{p.city, p.province, p.postcode}
	case "ID", "SG", "IN", "TH", "NZ", "TW", "PK", "BD", "HK", "SA", "ZA":
		return []string{join(p.city, p.postcode), p.province}
	}
	return []string{join(p.postcode, p.city), p.province}
}
