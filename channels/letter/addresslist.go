package letter

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// csvLines is how many columns an address has.
const csvLines = 7

// addressList is the CSV for a print house: a line for each piece in the order of the PDF.
type addressList struct {
	out      *csv.Writer
	settings *Settings
}

func newAddressList(w io.Writer, s *Settings) *addressList {
	out := csv.NewWriter(w)
	header := []string{"place", "code", "size", "first_page", "pages"}
	for i := range csvLines {
		header = append(header, "address_"+strconv.Itoa(i+1))
	}
	_ = out.Write(append(header, "country", "link")) // Flush tells
	return &addressList{out, s}
}

func (a *addressList) add(p *Piece, place, first, pages int) error {
	lines := strings.Split(p.Address, "\n")
	country := lines[len(lines)-1]
	fields := []string{strconv.Itoa(place), p.Code, p.Size, strconv.Itoa(first), strconv.Itoa(pages)}
	for i := range csvLines {
		text := ""
		if i < len(lines)-1 {
			text = lines[i]
		}
		fields = append(fields, text)
	}
	return a.out.Write(append(fields, country, p.Link))
}

func (a *addressList) finish() error {
	a.out.Flush()
	return a.out.Error()
}
