package importer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxIdentifier is what PostgreSQL keeps of a name, in bytes.
const maxIdentifier = 63

// columnName makes a name that needs no quoting in SQL and none in rules: CustomerKey becomes customer_key, ProductSKU
// product_sku, "Tanggal Lahir" tanggal_lahir. It is empty when nothing is left.
func columnName(header string) string {
	var b strings.Builder
	var last rune
	runes := []rune(withoutMarks(header))
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			last = '_'
			continue
		}
		if b.Len() > 0 && (last == '_' || wordStarts(runes, i)) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		last = r
	}
	name := b.String()
	if name != "" && unicode.IsDigit([]rune(name)[0]) {
		name = "_" + name
	}
	return cut(name, maxIdentifier)
}

// wordStarts tells whether a capital begins a word: after a small letter or a digit, or before a small letter at the end of
// capitals (SKUCode).
func wordStarts(runes []rune, i int) bool {
	if !unicode.IsUpper(runes[i]) || i == 0 {
		return false
	}
	before := runes[i-1]
	if unicode.IsLower(before) || unicode.IsDigit(before) {
		return true
	}
	return unicode.IsUpper(before) && i+1 < len(runes) && unicode.IsLower(runes[i+1])
}

// withoutMarks takes accents off.
func withoutMarks(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

// cut keeps at most n bytes, whole letters only.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// systemColumns are names that PostgreSQL keeps for itself.
func systemColumn(name string) bool {
	switch name {
	case "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid":
		return true
	}
	return false
}

// columnNames names the columns of a header, each differently, and says what had to be changed beyond the usual.
func columnNames(headers []string) (names, notes []string) {
	taken := map[string]bool{}
	for i, header := range headers {
		name := columnName(header)
		switch {
		case name == "":
			name = fmt.Sprintf("column_%d", i+1)
			notes = append(notes, fmt.Sprintf("column %d has no name: it is called %s", i+1, name))
		case systemColumn(name):
			name += "_"
		}
		free := unused(name, taken)
		if free != name {
			notes = append(notes, fmt.Sprintf("column %d is a second %s: it is called %s", i+1, name, free))
		}
		taken[free] = true
		names = append(names, free)
	}
	return names, notes
}

func unused(name string, taken map[string]bool) string {
	free := name
	for n := 2; taken[free]; n++ {
		suffix := fmt.Sprintf("_%d", n)
		free = cut(name, maxIdentifier-len(suffix)) + suffix
	}
	return free
}

// words are the parts of a column's name.
func words(column string) []string { return strings.Split(column, "_") }

// holdsCodes tells by its name that a column's digits are no quantity: phone numbers, postal codes, identity numbers.
func holdsCodes(column string) bool {
	for _, w := range words(column) {
		switch w {
		case "phone", "telephone", "mobile", "cell", "fax", "whatsapp", "wa", "hp", "telp", "telepon", "ponsel", "msisdn",
			"zip", "zipcode", "postal", "postcode", "kodepos", "nik", "ktp", "npwp", "iban":
			return true
		}
	}
	return strings.Contains(column, "kode_pos")
}

// holdsBirths tells by its name that a column's dates can't be in the future.
func holdsBirths(column string) bool {
	for _, w := range words(column) {
		switch w {
		case "birth", "birthdate", "birthday", "dob", "lahir", "ultah", "born":
			return true
		}
	}
	return false
}
