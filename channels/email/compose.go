package email

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// composer writes messages as they go over one connection. Its buffer is used again for the next message.
type composer struct {
	from     channels.Address // for messages that name none
	eightBit bool             // the server takes 8-bit content (8BITMIME)
	utf8     bool             // the server takes UTF-8 addresses (SMTPUTF8)
	buf      bytes.Buffer
}

// composed is a message on the wire's side. It is valid until the next call of compose.
type composed struct {
	from, to mailbox
	content  []byte // CRLF lines, dot-stuffed, ending with the final dot
	eightBit bool   // the body holds octets above 127
	utf8     bool   // the envelope needs SMTPUTF8
}

// compose writes the message: the headers of a bulk mail (RFC 5322, 2047, 2369, 2919, 8058) and text, or text and HTML
// as alternatives (RFC 2046). The same message gives the same Message-ID every time. Its errors concern this message
// alone and don't repeat addresses.
func (c *composer) compose(m *channels.Message) (composed, error) {
	h, err := c.headers(m)
	if err != nil {
		return composed{}, err
	}
	c.buf.Reset()
	h.write(&c.buf, m)
	out := composed{from: h.fromBox, to: h.toBox, utf8: h.toBox.utf8 || h.fromBox.utf8}
	parts := c.parts(m)
	for _, p := range parts {
		out.eightBit = out.eightBit || p.encoding == "8bit"
	}
	writeBody(&c.buf, parts)
	out.content = finish(&c.buf)
	return out, nil
}

// headers are a message's checked header values.
type headers struct {
	fromBox, toBox             mailbox
	from, to, replyTo, subject string
	messageID, list, campaign  string
	date                       time.Time
}

func (c *composer) headers(m *channels.Message) (headers, error) {
	sender := m.From
	if sender.Addr == "" {
		sender = c.from
	}
	if err := checkValues(m, sender); err != nil {
		return headers{}, err
	}
	h := headers{subject: unstructured(m.Subject), campaign: unstructured(m.Campaign), date: m.Date}
	if h.date.IsZero() {
		h.date = time.Now()
	}
	var err error
	if h.fromBox, h.from, err = c.address("the sender", sender); err != nil {
		return headers{}, err
	}
	if h.toBox, h.to, err = c.address("the recipient", m.To); err != nil {
		return headers{}, err
	}
	if h.replyTo, err = c.replyTo(m.ReplyTo); err != nil {
		return headers{}, err
	}
	if !isDotAtom(m.Token) || !isASCII(m.Token) || len(m.Token) > 512 {
		return headers{}, errors.New("the message's token can't stand in a Message-ID (RFC 5322)")
	}
	h.messageID = "<" + m.Token + "@" + h.fromBox.domain + ">"
	h.list = listID(m.Topic, h.fromBox.domain)
	return h, checkUnsubscribeURL(m.UnsubscribeURL)
}

// checkValues refuses what would end a header line, in every value that comes from data or templates.
func checkValues(m *channels.Message, sender channels.Address) error {
	for _, v := range []struct{ what, value string }{
		{"the subject", m.Subject},
		{"the recipient's name", m.To.Name},
		{"the recipient's address", m.To.Addr},
		{"the sender's name", sender.Name},
		{"the sender's address", sender.Addr},
		{"the reply address", m.ReplyTo},
		{"the unsubscribe link", m.UnsubscribeURL},
		{"the campaign's name", m.Campaign},
		{"the topic", m.Topic},
		{"the message's token", m.Token},
	} {
		if err := noLineBreak(v.what, v.value); err != nil {
			return err
		}
	}
	return nil
}

// address checks an address and writes it for a header.
func (c *composer) address(whose string, a channels.Address) (mailbox, string, error) {
	box, err := parseMailbox(a.Addr)
	if err != nil {
		return mailbox{}, "", fmt.Errorf("%s: %w", whose, err)
	}
	if box.utf8 && !c.utf8 {
		return mailbox{}, "", fmt.Errorf("%s: the part before the @ is not ASCII, and the SMTP server takes no such address (SMTPUTF8)", whose)
	}
	if a.Name == "" {
		return box, box.addr, nil
	}
	return box, phrase(a.Name) + " <" + box.addr + ">", nil
}

func (c *composer) replyTo(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil {
		return "", fmt.Errorf("the reply address %q is not an address", s)
	}
	_, text, err := c.address("the reply address", channels.Address{Name: parsed.Name, Addr: parsed.Address})
	return text, err
}

func checkUnsubscribeURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	unfit := func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" ||
		strings.IndexFunc(s, unfit) >= 0 || len(s) > maxLine-len("List-Unsubscribe: <>") {
		return errors.New("the unsubscribe link is not a URL that can stand in a header (RFC 2369)")
	}
	return nil
}

// listID names the list after the topic: "service-reminders.bengkel.example" (RFC 2919). Characters that can't stand
// in it become hyphens.
func listID(topic, domain string) string {
	label := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, topic), "-")
	if label == "" {
		return ""
	}
	return "<" + label[:min(len(label), 100)] + "." + domain + ">"
}

func (h headers) write(b *bytes.Buffer, m *channels.Message) {
	writeHeader(b, "Date", h.date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	writeHeader(b, "From", h.from)
	writeHeader(b, "To", h.to)
	if h.replyTo != "" {
		writeHeader(b, "Reply-To", h.replyTo)
	}
	writeHeader(b, "Subject", h.subject)
	writeHeader(b, "Message-ID", h.messageID)
	if m.UnsubscribeURL != "" {
		writeHeader(b, "List-Unsubscribe", "<"+m.UnsubscribeURL+">")
		writeHeader(b, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	if h.list != "" {
		writeHeader(b, "List-ID", h.list)
	}
	if m.Campaign != "" {
		writeHeader(b, "X-Campaign", h.campaign)
	}
	writeHeader(b, "MIME-Version", "1.0")
}

// part is one form of the body.
type part struct {
	contentType string
	encoding    string
	text        string
}

// parts are the text, the HTML, or both, the plainest first (RFC 2046 section 5.1.4).
func (c *composer) parts(m *channels.Message) []part {
	text := part{"text/plain; charset=utf-8", c.encodingFor(m.Text), m.Text}
	html := part{"text/html; charset=utf-8", c.encodingFor(m.HTML), m.HTML}
	switch {
	case m.HTML == "":
		return []part{text}
	case m.Text == "":
		return []part{html}
	}
	return []part{text, html}
}

// encodingFor is the cheapest Content-Transfer-Encoding that is exact (RFC 2045 section 2): quoted-printable only for a
// line beyond 998 octets, a NUL, or 8-bit text to a server that did not offer 8BITMIME.
func (c *composer) encodingFor(s string) string {
	ascii := isASCII(s)
	if !ascii && !c.eightBit || strings.IndexByte(s, 0) >= 0 || hasLongLine(s) {
		return "quoted-printable"
	}
	if ascii {
		return "7bit"
	}
	return "8bit"
}

func hasLongLine(s string) bool {
	for len(s) > maxLine {
		i := strings.IndexByte(s[:min(len(s), maxLine+2)], '\n') // the CR before it, if there is one, does not count
		if i < 0 || i > maxLine && s[i-1] != '\r' {
			return true
		}
		s = s[i+1:]
	}
	return false
}

func writeBody(b *bytes.Buffer, parts []part) {
	if len(parts) == 1 {
		writePart(b, parts[0])
		return
	}
	boundary := "=_" + rand.Text() // 128 random bits: no body can hold it but by knowing it
	b.WriteString("Content-Type: multipart/alternative;\r\n boundary=\"")
	b.WriteString(boundary)
	b.WriteString("\"\r\n")
	for _, p := range parts {
		b.WriteString("\r\n--")
		b.WriteString(boundary)
		b.WriteString("\r\n")
		writePart(b, p)
	}
	b.WriteString("\r\n--")
	b.WriteString(boundary)
	b.WriteString("--\r\n")
}

func writePart(b *bytes.Buffer, p part) {
	b.WriteString("Content-Type: ")
	b.WriteString(p.contentType)
	b.WriteString("\r\nContent-Transfer-Encoding: ")
	b.WriteString(p.encoding)
	b.WriteString("\r\n\r\n")
	if p.encoding == "quoted-printable" {
		w := quotedprintable.NewWriter(b)
		_, _ = w.Write([]byte(p.text)) // a bytes.Buffer takes everything
		_ = w.Close()
		return
	}
	writeLines(b, p.text)
}

// writeLines writes the text with CRLF for every line break (CRLF, LF or CR).
func writeLines(b *bytes.Buffer, s string) {
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	}
	for s != "" {
		i := strings.IndexByte(s, '\n')
		if i < 0 {
			b.WriteString(s)
			return
		}
		b.WriteString(s[:i])
		b.WriteString("\r\n")
		s = s[i+1:]
	}
}

// finish ends the last line, stuffs leading dots (RFC 5321 section 4.5.2) and adds the final one.
func finish(b *bytes.Buffer) []byte {
	if !bytes.HasSuffix(b.Bytes(), []byte("\r\n")) {
		b.WriteString("\r\n")
	}
	if bytes.Contains(b.Bytes(), []byte("\n.")) {
		stuffed := bytes.ReplaceAll(b.Bytes(), []byte("\n."), []byte("\n.."))
		b.Reset()
		b.Write(stuffed)
	}
	b.WriteString(".\r\n")
	return b.Bytes()
}
