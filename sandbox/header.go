package sandbox

import (
	"bytes"
	"mime"
	"strings"

	"github.com/emersion/go-message/charset"
)

// Bounds of what the index keeps of a header field, in octets.
const (
	maxSubject   = 300
	maxMessageID = 512
)

// scanHeader takes the subject, decoded, and the Message-ID, without its angle brackets, from a message. It is in the
// path of every message, so it looks at nothing else.
func scanHeader(raw []byte) (subject, messageID string) {
	for len(raw) > 0 {
		field, rest := nextField(raw)
		if len(field) == 0 {
			break
		}
		raw = rest
		name, value, _ := bytes.Cut(field, []byte(":"))
		switch {
		case len(name) == len("subject") && subject == "" && bytes.EqualFold(name, []byte("subject")):
			subject = clip(decodeWords(unfold(value)), maxSubject)
		case len(name) == len("message-id") && messageID == "" && bytes.EqualFold(name, []byte("message-id")):
			messageID = clip(strings.Trim(unfold(value), "<>"), maxMessageID)
		}
	}
	return subject, messageID
}

// nextField is the next header field with its continuation lines and without its end of line; empty at the blank line.
func nextField(raw []byte) (field, rest []byte) {
	end := 0
	for {
		i := bytes.IndexByte(raw[end:], '\n')
		if i < 0 {
			return raw, nil
		}
		end += i + 1
		if end >= len(raw) || raw[end] != ' ' && raw[end] != '\t' || end <= 2 {
			return bytes.TrimRight(raw[:end], "\r\n"), raw[end:]
		}
	}
}

func unfold(value []byte) string {
	return strings.TrimSpace(string(bytes.ReplaceAll(bytes.ReplaceAll(value, []byte("\r"), nil), []byte("\n"), nil)))
}

// decodeWords decodes RFC 2047 words; text that breaks the rules is shown as it is.
func decodeWords(s string) string {
	decoder := mime.WordDecoder{CharsetReader: charset.Reader}
	if decoded, err := decoder.DecodeHeader(s); err == nil {
		s = decoded
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
