package letter

import (
	"fmt"
	"strings"
)

// Settings are what all pieces of a company have in common. A batch keeps those that it was printed with.
type Settings struct {
	Sender  string   `json:"sender"`  // the company's name
	Return  []string `json:"return"`  // lines of the address that undeliverable mail goes back to, without the name
	Country string   `json:"country"` // the company's, by ISO 3166: addresses in it are printed without the country
	Bleed   float64  `json:"bleed"`   // of postcards, in mm: how far pictures go beyond the edge where it is cut
	Permit  []string `json:"permit"`  // lines printed where the stamp goes, such as "Postage paid"; none: the place stays free
	Duplex  bool     `json:"duplex"`  // letters begin on the front of a sheet, when both sides are printed
}

// mostBleed is more than any print house asks for.
const mostBleed = 10

func (s *Settings) check() error {
	if s.Bleed < 0 || s.Bleed > mostBleed {
		return fmt.Errorf("bleed: a picture goes 0 to %d mm beyond the edge, not %g", mostBleed, s.Bleed)
	}
	for _, line := range append(append([]string{s.Sender}, s.Return...), s.Permit...) {
		if r, ok := unprintable(line); ok {
			return fmt.Errorf("the sender can't be printed: the font has no %q (%U)", r, r)
		}
	}
	return nil
}

// returnLine is the sender in one line, as it stands above the address in a window.
func (s *Settings) returnLine() string {
	parts := []string{}
	if s.Sender != "" {
		parts = append(parts, s.Sender)
	}
	return strings.Join(append(parts, s.Return...), " · ")
}
