package importer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// encoding is how a file's bytes become UTF-8.
type encoding struct {
	name    string
	decoder func() transform.Transformer // nil: it is UTF-8
	sample  string                       // of a guessed encoding: words that depend on the guess
}

func windows1252() encoding {
	return encoding{name: "Windows-1252", decoder: func() transform.Transformer { return charmap.Windows1252.NewDecoder() }}
}

func utf16(name string, order unicode.Endianness) encoding {
	return encoding{name: name, decoder: func() transform.Transformer {
		return unicode.UTF16(order, unicode.UseBOM).NewDecoder()
	}}
}

// namedEncoding is the one that the author says.
func namedEncoding(name string) (encoding, error) {
	switch strings.ToLower(strings.NewReplacer("_", "-", " ", "-").Replace(name)) {
	case "utf-8", "utf8":
		return encoding{name: "UTF-8"}, nil
	case "windows-1252", "cp1252":
		return windows1252(), nil
	case "latin-1", "latin1", "iso-8859-1":
		return encoding{name: "Latin-1", decoder: func() transform.Transformer { return charmap.ISO8859_1.NewDecoder() }}, nil
	case "utf-16", "utf16", "utf-16le":
		return utf16("UTF-16", unicode.LittleEndian), nil
	case "utf-16be":
		return utf16("UTF-16", unicode.BigEndian), nil
	}
	return encoding{}, fmt.Errorf("unknown encoding %q: say utf-8, utf-16, windows-1252 or latin-1", name)
}

// detectEncoding looks at every byte: a byte order mark decides, then whether the bytes are valid UTF-8. Bytes that are not
// mean Windows-1252 (of which Latin-1 is a part), unless the file has more valid letters beyond ASCII than invalid
// bytes: then it is UTF-8 with broken records, which will be rejected.
func detectEncoding(in io.Reader) (encoding, error) {
	var scan byteScan
	block := make([]byte, blockSize)
	for {
		n, err := in.Read(block)
		scan.add(block[:n])
		if scan.utf16 {
			return utf16("UTF-16", unicode.LittleEndian), nil
		}
		if err == io.EOF {
			return scan.verdict(), nil
		}
		if err != nil {
			return encoding{}, err
		}
	}
}

// byteScan counts what tells encodings apart.
type byteScan struct {
	started          bool
	utf16            bool
	letters, invalid int64  // letters beyond ASCII, bytes that are no UTF-8
	rest             []byte // of the last block: the beginning of a letter
	sample           string
}

func (s *byteScan) add(block []byte) {
	if len(s.rest) > 0 {
		block = append(s.rest, block...)
		s.rest = nil
	}
	if !s.started && len(block) < len(bomUTF8) {
		s.rest = bytes.Clone(block)
		return
	}
	if !s.started {
		s.started = true
		s.utf16 = bytes.HasPrefix(block, []byte("\xff\xfe")) || bytes.HasPrefix(block, []byte("\xfe\xff"))
		block = bytes.TrimPrefix(block, []byte(bomUTF8))
	}
	s.count(block, false)
}

func (s *byteScan) count(block []byte, last bool) {
	for len(block) > 0 {
		i := firstBeyondASCII(block)
		if i < 0 {
			return
		}
		around := block
		block = block[i:]
		if !last && !utf8.FullRune(block) {
			s.rest = bytes.Clone(block)
			return
		}
		r, size := utf8.DecodeRune(block)
		if r == utf8.RuneError && size == 1 {
			if s.invalid == 0 {
				s.sample = wordAround(around, i)
			}
			s.invalid++
		} else {
			s.letters++
		}
		block = block[size:]
	}
}

func firstBeyondASCII(b []byte) int {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return i
		}
	}
	return -1
}

// wordAround is the value around a place, for showing what a guessed encoding makes of it.
func wordAround(b []byte, at int) string {
	const stops = ",;\t|\r\n\""
	from := bytes.LastIndexAny(b[max(0, at-40):at], stops) + max(0, at-40) + 1
	to := bytes.IndexAny(b[at:min(len(b), at+40)], stops)
	if to < 0 {
		to = min(len(b), at+40) - at
	}
	return string(b[from : at+to])
}

func (s *byteScan) verdict() encoding {
	s.count(s.rest, true)
	if s.invalid <= s.letters {
		return encoding{name: "UTF-8"}
	}
	enc := windows1252()
	if words, _, err := transform.String(enc.decoder(), s.sample); err == nil {
		enc.sample = words
	}
	return enc
}

const bomUTF8 = "\xef\xbb\xbf"

// decode turns the file's bytes into UTF-8 without a byte order mark.
func (e encoding) decode(in io.Reader) (io.Reader, error) {
	if e.decoder != nil {
		return transform.NewReader(in, e.decoder()), nil
	}
	buffered := bufio.NewReaderSize(in, blockSize)
	head, err := buffered.Peek(len(bomUTF8))
	if err != nil && err != io.EOF {
		return nil, err
	}
	if string(head) == bomUTF8 {
		_, err = buffered.Discard(len(bomUTF8))
		return buffered, err
	}
	return buffered, nil
}
