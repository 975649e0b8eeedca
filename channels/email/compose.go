package email

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// composer writes messages as they go over one connection. What many messages have in common it writes once.
type composer struct {
	from     channels.Address // for messages that name none
	eightBit bool             // the server takes 8-bit content (8BITMIME)
	utf8     bool             // the server takes UTF-8 addresses (SMTPUTF8)

	frames  []*frame
	oldest  int    // of the frames, once there are maxFrames
	date    []byte // the last field of its kind, which is often the next one, too
	second  int64  // that of date
	offset  int    // that of date, in seconds east of UTC
	subject []byte // the last one, too
	words   string // those of subject
	value   []byte // of the field that is being written
	dotted  bool   // of the body that is being written, a line begins with a dot
	random  []byte // for boundaries, not used yet
}

// composed is a message on the wire's side.
type composed struct {
	frame    *frame
	to       mailbox
	buf      []byte // room for the envelope, and behind it
	content  []byte // CRLF lines, as they are
	dotted   bool   // one of them begins with a dot
	eightBit bool   // the body holds octets above 127
	utf8     bool   // the envelope needs SMTPUTF8
}

// envelopeRoom is how much a message's buffer has before its content: more than two addresses of 254 octets need, with the commands
// around them.
const envelopeRoom = 640

// forData is the content as it follows DATA: a dot more where a line begins with one, and the final dot (RFC 5321 section
// 4.5.2). Under BDAT it goes as it is.
func (c composed) forData() []byte {
	content := c.content
	if c.dotted { // never the first line, which is a header's
		content = bytes.ReplaceAll(content, []byte("\r\n."), []byte("\r\n.."))
	}
	return append(content, ".\r\n"...)
}

// compose writes the message into b: the headers of a bulk mail (RFC 5322, 2047, 2369, 2919, 8058) and text, or text and
// HTML as alternatives (RFC 2046). The same message gives the same Message-ID every time. Its errors concern this message
// alone and don't repeat addresses.
func (c *composer) compose(b []byte, m *channels.Message) (composed, error) {
	if err := checkValues(m); err != nil {
		return composed{}, err
	}
	f, err := c.frame(m)
	if err != nil {
		return composed{}, err
	}
	to, err := c.mailbox("the recipient", m.To.Addr)
	if err != nil {
		return composed{}, err
	}
	out := composed{frame: f, to: to, utf8: to.utf8 || f.sender.utf8}
	b = slices.Grow(b[:0], envelopeRoom+len(m.Text)+len(m.HTML)+2<<10)[:envelopeRoom]
	b = c.appendHeaders(b, m, f, to)
	c.dotted = false
	b, out.eightBit = c.appendBody(b, m)
	out.buf, out.content, out.dotted = b, b[envelopeRoom:], c.dotted
	return out, nil
}

// checkValues refuses what can't stand in a header, in every value that is the message's own.
func checkValues(m *channels.Message) error {
	if err := noLineBreaks(named{"the subject", m.Subject}, named{"the recipient's name", m.To.Name}, named{"the recipient's address", m.To.Addr},
		named{"the unsubscribe link", m.UnsubscribeURL}, named{"the message's token", m.Token}); err != nil {
		return err
	}
	if len(m.Token) > 512 || !isASCII(m.Token) || !isDotAtom(m.Token) {
		return errors.New("the message's token can't stand in a Message-ID (RFC 5322)")
	}
	if m.UnsubscribeURL != "" && !fitsHeader(m.UnsubscribeURL) {
		return errors.New("the unsubscribe link is not a URL that can stand in a header (RFC 2369)")
	}
	return nil
}

// fitsHeader says whether s is a web address that can stand in List-Unsubscribe.
func fitsHeader(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '<' || c == '>' {
			return false
		}
	}
	return len(s) <= maxLine-len("List-Unsubscribe: <>") && isWebAddress(s)
}

func isWebAddress(s string) bool {
	if rest, ok := strings.CutPrefix(s, "https://"); ok && !strings.Contains(rest, "%") {
		host, _, _ := strings.Cut(rest, "/")
		if isHostname(host) {
			return true // as most are; what url.Parse could object to stands in none
		}
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

func (c *composer) appendHeaders(b []byte, m *channels.Message, f *frame, to mailbox) []byte {
	b = append(b, c.dateField(m.Date)...)
	b = append(b, f.from...)
	c.value = appendAddress(c.value[:0], m.To.Name, to)
	b = appendHeader(b, "To", c.value)
	b = append(b, f.reply...)
	b = append(b, c.subjectField(m.Subject)...)
	b = append(append(append(b, "Message-ID: <"...), m.Token...), f.idEnd...)
	if m.UnsubscribeURL != "" {
		b = append(append(b, "List-Unsubscribe: <"...), m.UnsubscribeURL...)
		b = append(b, ">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"...)
	}
	return append(b, f.list...)
}

// dateField is the field Date. Many messages have the same one, to the second.
func (c *composer) dateField(at time.Time) []byte {
	if at.IsZero() {
		at = time.Now()
	}
	second := at.Unix()
	if _, offset := at.Zone(); second != c.second || offset != c.offset || c.date == nil {
		c.second, c.offset = second, offset
		c.date = append(at.AppendFormat(append(c.date[:0], "Date: "...), "Mon, 02 Jan 2006 15:04:05 -0700"), "\r\n"...)
	}
	return c.date
}

// subjectField is the field Subject. Where it is not personal, all messages of a campaign have the same one.
func (c *composer) subjectField(s string) []byte {
	if s != c.words || c.subject == nil {
		c.value = appendText(c.value[:0], s)
		c.words, c.subject = s, appendHeader(c.subject[:0], "Subject", c.value)
	}
	return c.subject
}
