package letter

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// proofCode stands where a piece's code will; no letter has it.
const proofCode = "00000000"

// pieceOf is the piece that a message makes, without its picture.
func pieceOf(m *channels.Message, code string) *Piece {
	return &Piece{
		Code: code, Size: m.Parts["size"],
		Content: Content{Address: m.To.Addr, Text: m.Parts["text"], Window: m.Parts["window"], Link: strings.TrimSpace(m.Parts["link"])},
	}
}

// Proof prints one message for its author to look at. Nothing is kept. The error says why it can't be printed.
func Proof(w io.Writer, s Settings, templates fs.FS, m *channels.Message, at time.Time) error {
	p := pieceOf(m, proofCode)
	if name := m.Parts["front"]; name != "" {
		data, err := fs.ReadFile(templates, name)
		if err != nil {
			return fmt.Errorf("read the picture templates/%s: %w", name, err)
		}
		if p.front, err = readPicture(data); err != nil {
			return fmt.Errorf("templates/%s: %w", name, err)
		}
	}
	if err := fits(&s, &canvas{}, p); err != nil {
		return err
	}
	press := newPress(w, &s)
	if _, err := press.print(p); err != nil {
		return err
	}
	return press.finish("Proof of "+m.Campaign, at)
}
