package email

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sapa-crm/sapa/channels"
)

// maxReply bounds one reply with all its lines, so that a hostile server can't keep us reading.
const maxReply = 64 << 10

// reply is one complete answer of the server (RFC 5321 section 4.2).
type reply struct {
	code     int    // 0: none yet
	enhanced string // RFC 3463, read from the text whether or not the server announced it (RFC 2034)
	words    string // the text without codes, in one line, at most channels.MaxWords bytes
}

// errMalformed is a reply that is none; the connection is out of step after it.
var errMalformed = errors.New("the server's reply is not SMTP")

func (r reply) class() int { return r.code / 100 }

// String is the reply without the server's words, which may hold the recipient's address: "550 5.1.1".
func (r reply) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.code, r.enhanced))
}

// full is the reply with the words, for errors that concern the account only.
func (r reply) full() string { return strings.TrimSpace(r.String() + " " + r.words) }

// readReply reads one reply to its last line. A reply without its end is io.ErrUnexpectedEOF or the connection's error.
func readReply(r *bufio.Reader) (reply, error) {
	return readReplyWords(r, true)
}

// readReplyWords leaves the words of a positive reply out where nobody wants them, which spares their copying.
func readReplyWords(r *bufio.Reader, want bool) (reply, error) {
	var out reply
	var words []byte
	for read := 0; ; {
		line, err := readLine(r, maxReply-read)
		if err != nil {
			return reply{}, err
		}
		read += len(line) + 2
		code, text, more, ok := splitReply(line)
		if !ok || out.code != 0 && code != out.code {
			return reply{}, errMalformed
		}
		out.code = code
		enhanced, text := cutEnhanced(code, text)
		if out.enhanced == "" {
			out.enhanced = shared(enhanced)
		}
		if more || words != nil {
			words = append(append(words, text...), ' ')
			text = words
		}
		if more {
			continue
		}
		if want || code >= 400 {
			out.words = clean(string(text))
		}
		return out, nil
	}
}

// readLine reads to LF and cuts the line's end. A line without LF is no line: textproto would return it at EOF. The line
// is valid until the next read.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line == nil && err == nil && len(part) <= limit {
			return withoutEnd(part), nil
		}
		line = append(line, part...)
		switch {
		case len(line) > limit:
			return nil, errMalformed
		case err == nil:
			return withoutEnd(line), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

func withoutEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// splitReply takes one line apart: three digits, then a hyphen when more lines follow, or a space, or nothing.
func splitReply(line []byte) (code int, text []byte, more, ok bool) {
	if len(line) < 3 {
		return 0, nil, false, false
	}
	for _, c := range line[:3] {
		if !isDigit(c) {
			return 0, nil, false, false
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, nil, false, false
	}
	if len(line) == 3 {
		return code, nil, false, true
	}
	return code, line[4:], line[3] == '-', line[3] == '-' || line[3] == ' '
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// hasReply says whether a whole reply has been received, so that reading it will not wait.
func hasReply(r *bufio.Reader) bool {
	received, _ := r.Peek(r.Buffered()) // what is buffered is there
	for {
		i := bytes.IndexByte(received, '\n')
		if i < 0 {
			return false
		}
		if i < 4 || received[3] != '-' {
			return true
		}
		received = received[i+1:]
	}
}

// cutEnhanced takes an enhanced status code off the text's beginning: three numbers of one, and of one to three digits. Its
// class must be the reply's, else it is text.
func cutEnhanced(code int, text []byte) (enhanced, rest []byte) {
	end := bytes.IndexByte(text, ' ')
	if end < 0 {
		end = len(text)
	}
	first := text[:end]
	if len(first) < 5 || int(first[0]-'0') != code/100 || first[1] != '.' {
		return nil, text
	}
	subject, detail, ok := bytes.Cut(first[2:], []byte{'.'})
	if !ok || !isStatusNumber(subject) || !isStatusNumber(detail) {
		return nil, text
	}
	return first, text[min(end+1, len(text)):]
}

func isStatusNumber(s []byte) bool {
	for _, c := range s {
		if !isDigit(c) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 3
}

// shared is the string of an enhanced status code; the usual ones need no memory of their own.
func shared(enhanced []byte) string {
	for _, usual := range [...]string{"2.0.0", "2.1.0", "2.1.5", "5.1.1"} {
		if string(enhanced) == usual {
			return usual
		}
	}
	return string(enhanced)
}

// clean makes a server's text fit for the ledger: one line of valid UTF-8 without control characters, bounded.
func clean(s string) string {
	if !isPrintable(s) {
		s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(s, "\uFFFD"))
	}
	s = strings.TrimSpace(s)
	if len(s) <= channels.MaxWords {
		return s
	}
	cut := channels.MaxWords
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// anAddress is what may be an address in a server's words.
var anAddress = regexp.MustCompile(`[^\s<>"'(),:;=]+@[^\s<>"'(),:;=]+`)

// hideAddresses takes all addresses but the sender's out of words that will be logged. A reply to MAIL knows of no other,
// but one that the server said unasked may be about an earlier recipient.
func hideAddresses(words, sender string) string {
	return anAddress.ReplaceAllStringFunc(words, func(a string) string {
		if strings.EqualFold(a, sender) {
			return a
		}
		return "…"
	})
}

// queueID finds the server's own id of an accepted message in the words of its reply, for the forms of the common
// servers; "" where there is none.
func queueID(words string) string {
	for _, mark := range []string{"queued as ", "InternalId=", "id="} { // Postfix and many; Exchange; Exim
		if _, after, ok := strings.Cut(words, mark); ok {
			return firstToken(after)
		}
	}
	if before, _, ok := strings.Cut(words, " Message accepted for delivery"); ok { // Sendmail
		return before[strings.LastIndexByte(before, ' ')+1:]
	}
	if status, id, ok := strings.Cut(words, " "); ok && strings.EqualFold(status, "ok") { // Amazon SES, Gmail
		if fields := strings.Fields(id); len(fields) == 1 || len(fields) > 1 && allDigits(fields[0]) {
			return firstToken(fields[min(1, len(fields)-1)])
		}
	}
	return ""
}

func firstToken(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	return strings.Trim(s, `.,;()[]<>"'`)
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
