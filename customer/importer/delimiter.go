package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// sniffSize is how much of a file decides on its delimiter.
const sniffSize = 64 << 10

// delimiters in the order in which they win a tie.
const delimiters = ",;\t|"

// namedDelimiter is the one that the author says.
func namedDelimiter(name string) (byte, error) {
	switch {
	case name == "tab" || name == `\t`:
		return '\t', nil
	case len(name) == 1 && name != "\"" && name != "\n" && name != "\r" && name != " ":
		return name[0], nil
	}
	return 0, fmt.Errorf("unknown delimiter %q: say one character, such as ',' or ';' or '|', or tab", name)
}

// detectDelimiter takes the character that cuts most records of the beginning into as many values as the header, and of
// several the one that makes the most columns. A file without any of them has one column.
func detectDelimiter(head []byte, whole bool) byte {
	best, bestShare, bestFields := byte(','), 0.0, 1
	for _, d := range []byte(delimiters) {
		share, fields := evenness(head, d, whole)
		if fields > 1 && (share > bestShare+0.05 || (share > bestShare-0.05 && fields > bestFields)) {
			best, bestShare, bestFields = d, share, fields
		}
	}
	return best
}

// evenness is the share of records with as many values as the first, and that number.
func evenness(head []byte, delimiter byte, whole bool) (share float64, fields int) {
	r := newCSVReader(bytes.NewReader(head), delimiter)
	records, even := 0, 0
	for {
		rec, err := r.next()
		if err != nil {
			break
		}
		if records == 0 {
			fields = len(rec.fields)
		}
		if !whole && r.start == r.end && r.eof && records > 0 {
			break // cut off
		}
		records++
		if rec.flaw == "" && len(rec.fields) == fields {
			even++
		}
	}
	if records == 0 {
		return 0, 0
	}
	return float64(even) / float64(records), fields
}

// splitHead reads the beginning and returns it, whether it is the whole, and a reader that begins with it again.
func splitHead(in io.Reader) (head []byte, whole bool, again io.Reader, err error) {
	head = make([]byte, sniffSize)
	n, err := io.ReadFull(in, head)
	head = head[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return head, true, bytes.NewReader(head), nil
	}
	return head, false, io.MultiReader(bytes.NewReader(head), in), err
}

// separatorLine is the "sep=;" that Excel writes and reads as a first line: the delimiter, and the rest of the text.
func separatorLine(head []byte) (delimiter byte, ok bool) {
	line, _, found := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if found && len(line) == 5 && bytes.EqualFold(line[:4], []byte("sep=")) {
		return line[4], true
	}
	return 0, false
}
