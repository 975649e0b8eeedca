package letter

import (
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// countryName is a country's English name in capitals, as the Universal Postal Union wants it in the last line.
func countryName(code string) string {
	region, err := language.ParseRegion(code)
	if err != nil {
		return strings.ToUpper(code)
	}
	return strings.ToUpper(display.English.Regions().Name(region))
}
