package letter

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// pdfWriter writes a PDF (ISO 32000-1, version 1.7) object by object, as pages are made. What it holds of each object is
// where it begins, and of each page its number: a few bytes. The same calls write the same bytes.
type pdfWriter struct {
	out     *bufio.Writer
	sum     hash.Hash
	at      int64
	offsets []int64 // of objects 1, 2, 3 …; 0: not written yet
	pages   []int
	nodes   []int // of the page tree, each with pageFan pages
	err     error

	deflated bytes.Buffer
	zipper   *zlib.Writer
}

// pageFan is how many pages a node of the page tree has: readers find a page of many quickly.
const pageFan = 64

func newPDF(w io.Writer) *pdfWriter {
	p := &pdfWriter{out: bufio.NewWriterSize(w, 1<<16), sum: sha256.New()}
	p.zipper = zlib.NewWriter(&p.deflated)
	p.write("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	return p
}

func (p *pdfWriter) write(s string) { p.bytes([]byte(s)) }

func (p *pdfWriter) bytes(b []byte) {
	if p.err != nil {
		return
	}
	n, err := p.out.Write(b)
	p.sum.Write(b[:n])
	p.at += int64(n)
	p.err = err
}

// reserve gives the number of an object that is written later.
func (p *pdfWriter) reserve() int {
	p.offsets = append(p.offsets, 0)
	return len(p.offsets)
}

// put writes the reserved object.
func (p *pdfWriter) put(number int, body string) {
	p.offsets[number-1] = p.at
	p.write(fmt.Sprintf("%d 0 obj\n%s\nendobj\n", number, body))
}

// object writes the next object.
func (p *pdfWriter) object(body string) int {
	number := p.reserve()
	p.put(number, body)
	return number
}

// raw writes a stream whose filter, if any, is in its keys.
func (p *pdfWriter) raw(keys string, data []byte) int {
	number := p.reserve()
	p.offsets[number-1] = p.at
	p.write(fmt.Sprintf("%d 0 obj\n<<%s/Length %d>>\nstream\n", number, keys, len(data)))
	p.bytes(data)
	p.write("\nendstream\nendobj\n")
	return number
}

// stream writes a stream, deflated.
func (p *pdfWriter) stream(keys string, data []byte) int {
	p.deflated.Reset()
	p.zipper.Reset(&p.deflated)
	_, err := p.zipper.Write(data)
	if err == nil {
		err = p.zipper.Close()
	}
	if err != nil && p.err == nil {
		p.err = err
	}
	return p.raw(keys+"/Filter/FlateDecode", p.deflated.Bytes())
}

// box is a rectangle in points from the lower left corner.
type box struct{ x0, y0, x1, y1 float64 }

func (b box) String() string {
	return fmt.Sprintf("[%s %s %s %s]", number(b.x0), number(b.y0), number(b.x1), number(b.y1))
}

// page adds a page: media is the paper, trim where it is cut.
func (p *pdfWriter) page(media, trim box, resources, contents int) {
	if len(p.pages)%pageFan == 0 {
		p.nodes = append(p.nodes, p.reserve())
	}
	p.pages = append(p.pages, p.object(fmt.Sprintf("<</Type/Page/Parent %d 0 R/MediaBox%s/BleedBox%s/TrimBox%s/Resources %d 0 R/Contents %d 0 R>>",
		p.nodes[len(p.nodes)-1], media, media, trim, resources, contents)))
}

// finish writes the tree of pages, what the document is, and where the objects are. It flushes and does not close.
func (p *pdfWriter) finish(title string, made time.Time) error {
	root := p.reserve()
	for i, node := range p.nodes {
		kids := p.pages[i*pageFan : min(len(p.pages), (i+1)*pageFan)]
		p.put(node, fmt.Sprintf("<</Type/Pages/Parent %d 0 R/Count %d/Kids[%s]>>", root, len(kids), references(kids)))
	}
	p.put(root, fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", len(p.pages), references(p.nodes)))
	catalog := p.object(fmt.Sprintf("<</Type/Catalog/Pages %d 0 R/ViewerPreferences<</PrintScaling/None>>>>", root))
	info := p.object(fmt.Sprintf("<</Title%s/Producer(Sapa)/CreationDate(D:%s)>>", textString(title), made.UTC().Format("20060102150405Z")))
	p.trailer(catalog, info)
	if p.err == nil {
		p.err = p.out.Flush()
	}
	return p.err
}

func references(objects []int) string {
	list := make([]string, len(objects))
	for i, o := range objects {
		list[i] = fmt.Sprintf("%d 0 R", o)
	}
	return strings.Join(list, " ")
}

// trailer writes the cross-reference table and the trailer; the document's id is made of its bytes.
func (p *pdfWriter) trailer(catalog, info int) {
	start := p.at
	p.write(fmt.Sprintf("xref\n0 %d\n0000000000 65535 f \n", len(p.offsets)+1))
	for _, at := range p.offsets {
		p.write(fmt.Sprintf("%010d 00000 n \n", at))
	}
	id := hex.EncodeToString(p.sum.Sum(nil)[:16])
	p.write(fmt.Sprintf("trailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%s><%s>]>>\nstartxref\n%d\n%%%%EOF\n",
		len(p.offsets)+1, catalog, info, id, id, start))
}

// textString is a text for people in a PDF's dictionary: UTF-16 with its mark, in hexadecimal digits.
func textString(text string) string {
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, "%04X", unit)
	}
	return b.String() + ">"
}

// number writes a length in points: three digits are a third of a micrometre.
func number(v float64) string {
	s := strconv.FormatFloat(v, 'f', 3, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}
