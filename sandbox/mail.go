package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-message"
	"golang.org/x/net/html"
)

// Mail is a message as a mail client reads it: transfer encodings and character sets decoded to UTF-8.
type Mail struct {
	Header      []Field      `json:"header"` // in the order of the message, RFC 2047 words decoded
	Text        string       `json:"text"`   // the first text/plain part
	HTML        string       `json:"html"`   // the first text/html part
	Attachments []Attachment `json:"attachments,omitempty"`
	Defects     []string     `json:"defects,omitempty"` // what a strict reader would object to
}

// Field is one header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Attachment is a part that is neither the text nor the HTML.
type Attachment struct {
	Name      string `json:"name"`
	Type      string `json:"type"` // media type
	Size      int    `json:"size"` // octets, decoded
	ContentID string `json:"content_id,omitempty"`
	Content   []byte `json:"-"`
}

// maxParts and maxDepth bound what hostile mail can make a reader do.
const (
	maxParts = 200
	maxDepth = 20
)

// ParseMail reads a message. Defects of the mail are listed in the result and never an error as long as there is
// anything to show.
func ParseMail(raw []byte) (*Mail, error) {
	entity, err := message.Read(bytes.NewReader(raw))
	m := &Mail{}
	if entity == nil {
		return nil, fmt.Errorf("read mail: %w", err)
	}
	m.defect(err)
	m.readHeader(entity.Header)
	m.checkWire(raw)
	parts := 0
	err = entity.Walk(func(path []int, part *message.Entity, err error) error {
		if parts++; parts > maxParts || len(path) > maxDepth {
			return errors.New("too many parts")
		}
		m.defect(err)
		if part != nil && !strings.HasPrefix(mediaType(part), "multipart/") {
			m.readPart(part)
		}
		return nil
	})
	m.defect(err)
	return m, nil
}

// Get is the value of the first field with that name, "" without one.
func (m *Mail) Get(name string) string {
	for _, f := range m.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Links are the addresses of the HTML's <a href>, in order, each once.
func (m *Mail) Links() []string { return m.attributes("a", "href") }

// Images are the addresses of the HTML's <img src>, in order, each once.
func (m *Mail) Images() []string { return m.attributes("img", "src") }

func (m *Mail) attributes(element, attribute string) []string {
	var found []string
	seen := map[string]bool{}
	z := html.NewTokenizer(strings.NewReader(m.HTML))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		if token.Data != element || token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken {
			continue
		}
		for _, a := range token.Attr {
			value := strings.TrimSpace(a.Val)
			if a.Key == attribute && value != "" && !seen[value] {
				seen[value] = true
				found = append(found, value)
			}
		}
	}
	return found
}

func (m *Mail) defect(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		m.Defects = append(m.Defects, err.Error())
	}
}

// checkWire lists what breaks RFC 5321 and RFC 5322 in the message as it came over the wire.
func (m *Mail) checkWire(raw []byte) {
	if long := longestLine(raw); long > 998 {
		m.Defects = append(m.Defects, fmt.Sprintf("a line of %d octets; at most 998 are allowed (RFC 5322 section 2.1.1)", long))
	}
	if bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) ||
		bytes.Count(raw, []byte("\r")) != bytes.Count(raw, []byte("\r\n")) {
		m.Defects = append(m.Defects, "a line that does not end with CR LF (RFC 5321 section 2.3.8)")
	}
	for _, name := range []string{"From", "Date", "Message-ID"} {
		if m.Get(name) == "" {
			m.Defects = append(m.Defects, "no "+name+" field")
		}
	}
}

func longestLine(raw []byte) int {
	longest := 0
	for line := range bytes.Lines(raw) {
		longest = max(longest, len(bytes.TrimRight(line, "\r\n")))
	}
	return longest
}

func (m *Mail) readHeader(h message.Header) {
	for fields := h.Fields(); fields.Next(); {
		m.Header = append(m.Header, Field{Name: fields.Key(), Value: decodeWords(fields.Value())})
	}
}

func (m *Mail) readPart(part *message.Entity) {
	content, err := io.ReadAll(io.LimitReader(part.Body, maxMessage))
	m.defect(err)
	disposition, parameters, _ := part.Header.ContentDisposition()
	kind := mediaType(part)
	switch {
	case kind == "text/plain" && m.Text == "" && disposition != "attachment":
		m.Text = strings.ToValidUTF8(string(content), "\uFFFD")
	case kind == "text/html" && m.HTML == "" && disposition != "attachment":
		m.HTML = strings.ToValidUTF8(string(content), "\uFFFD")
	default:
		m.Attachments = append(m.Attachments, Attachment{
			Name: decodeWords(parameters["filename"]), Type: kind, Size: len(content),
			ContentID: strings.Trim(part.Header.Get("Content-Id"), "<> "), Content: content,
		})
	}
}

// mediaType is the part's type, text/plain where it has none (RFC 2045 section 5.2).
func mediaType(part *message.Entity) string {
	kind, _, err := part.Header.ContentType()
	if err != nil || kind == "" {
		return "text/plain"
	}
	return kind
}
