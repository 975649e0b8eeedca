package customer

import (
	"strings"
)

// LetterSettings is what all letters and postcards of the company have in common; package channels/letter lays them out.
type LetterSettings struct {
	ReturnAddress string  `yaml:"return_address"` // lines; "": the company's address
	Permit        string  `yaml:"permit"`         // lines where a postcard's stamp goes; "": the place stays free
	Bleed         float64 `yaml:"bleed"`          // of postcards, in mm beyond the edge
	Duplex        bool    `yaml:"duplex"`         // both sides of the paper of letters are printed
	Cost          Money   `yaml:"cost"`           // of a piece, as an estimate
}

// KeyHint implements strictyaml.KeyHinter.
func (*LetterSettings) KeyHint(key string) string {
	switch key {
	case "from", "sender":
		return "the sender is the section company:  company: {name: Bengkel Maju, address: Jl. Pemuda 1, 50132 Semarang}"
	case "size", "window":
		return "each campaign says it:  content: {letter: {size: postcard-a6, …}}"
	}
	return ""
}

// Lines are the lines of the address that undeliverable mail goes back to.
func (s *LetterSettings) Lines(company Company) []string {
	text := s.ReturnAddress
	if text == "" {
		text = company.Address
	}
	return textLines(text)
}

// PermitLines are the lines where the stamp goes.
func (s *LetterSettings) PermitLines() []string { return textLines(s.Permit) }

func textLines(text string) []string {
	var lines []string
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

const (
	mostBleed       = 10
	mostReturnLines = 4
	mostPermitLines = 6
)

// letter checks the settings of letters.
func (c *checker) letter(s *LetterSettings, company Company) {
	if s == nil || !c.wellMade {
		return
	}
	const letter = "$.channels.letter"
	if company.Name == "" || len(s.Lines(company)) == 0 {
		c.problem(letter, "add  company: {name: Bengkel Maju, address: Jl. Pemuda 1, 50132 Semarang}",
			"letters need a sender, to whom undeliverable mail goes back: the company's name and address")
	}
	if n := len(s.Lines(company)); n > mostReturnLines {
		c.problem(letter, "write  return_address:  with 4 lines at most", "the sender's address has %d lines", n)
	}
	if n := len(s.PermitLines()); n > mostPermitLines {
		c.problem(letter+".permit", "6 lines at most", "%d lines do not fit where the stamp goes", n)
	}
	if s.Bleed < 0 || s.Bleed > mostBleed {
		c.problem(letter+".bleed", "print houses mostly want 3", "a picture goes 0 to %d mm beyond the edge", mostBleed)
	}
}
