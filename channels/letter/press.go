package letter

import (
	"crypto/sha256"
	"fmt"
	"io"
	"time"
)

// press prints pieces into one PDF. Fonts and pictures are in it once.
type press struct {
	pdf      *pdfWriter
	canvas   canvas
	settings *Settings
	plain    int // the resources of pages without a picture
	fonts    string
	pictures map[[sha256.Size]byte]*printedPicture
	pages    int
}

// printedPicture is what of a picture is in the PDF.
type printedPicture struct {
	resources int
	sides     map[string]int // of postcards: by size, the content of the picture side, which is the same for all
}

func newPress(w io.Writer, s *Settings) *press {
	p := &press{pdf: newPDF(w), settings: s, pictures: map[[sha256.Size]byte]*printedPicture{}}
	face := loadTypeface()
	p.fonts = fmt.Sprintf("/Font<</R %d 0 R/B %d 0 R>>", p.pdf.font(face.regular), p.pdf.font(face.bold))
	p.plain = p.pdf.object("<<" + p.fonts + ">>")
	return p
}

// print adds a piece and says how many pages it has.
func (p *press) print(piece *Piece) (pages int, err error) {
	var front *printedPicture
	if piece.front != nil {
		if front, err = p.front(piece.front); err != nil {
			return 0, err
		}
	}
	d := drawing{canvas: &p.canvas, settings: p.settings, piece: piece}
	d.emit = func(withPicture bool) error {
		pages++
		p.page(piece, front, withPicture)
		return p.pdf.err
	}
	return pages, d.draw()
}

func (p *press) page(piece *Piece, front *printedPicture, withPicture bool) {
	resources, contents := p.plain, 0
	if withPicture {
		resources = front.resources
	}
	shared := withPicture && p.canvas.isCard()
	if shared {
		contents = front.sides[piece.Size]
	}
	if contents == 0 {
		contents = p.pdf.stream("", p.canvas.body.Bytes())
	}
	if shared {
		front.sides[piece.Size] = contents
	}
	media, trim := p.canvas.boxes()
	p.pdf.page(media, trim, resources, contents)
	p.pages++
}

// isCard says whether the page is one of a postcard: they lie, letters stand.
func (c *canvas) isCard() bool { return c.width > c.height }

func (p *press) front(pic *picture) (*printedPicture, error) {
	sum := sha256.Sum256(pic.data)
	if known := p.pictures[sum]; known != nil {
		return known, nil
	}
	image, err := p.pdf.picture(pic)
	if err != nil {
		return nil, err
	}
	made := &printedPicture{sides: map[string]int{}}
	made.resources = p.pdf.object(fmt.Sprintf("<<%s/XObject<</P %d 0 R>>>>", p.fonts, image))
	p.pictures[sum] = made
	return made, nil
}

func (p *press) finish(title string, made time.Time) error { return p.pdf.finish(title, made) }
