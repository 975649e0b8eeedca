package email

import (
	"fmt"
	"net/mail"
	"strings"

	"github.com/sapa-crm/sapa/channels"
)

// frame is what all messages of a campaign have in common, checked and written once.
type frame struct {
	of     frameKey
	sender mailbox
	mail   string // MAIL's line, without parameters
	from   []byte // the fields From,
	reply  []byte // Reply-To, if there is one,
	list   []byte // List-ID and X-Campaign, if there are any, and MIME-Version
	idEnd  string // the Message-ID's end, behind the token
}

type frameKey struct {
	from                     channels.Address
	replyTo, topic, campaign string
}

// maxFrames bounds the frames that a composer keeps: of more campaigns at once, the oldest is made again.
const maxFrames = 16

// frame finds or makes the message's frame. Only good ones are kept.
func (c *composer) frame(m *channels.Message) (*frame, error) {
	key := frameKey{m.From, m.ReplyTo, m.Topic, m.Campaign}
	for _, f := range c.frames {
		if f.of == key {
			return f, nil
		}
	}
	f, err := c.newFrame(key)
	if err != nil {
		return nil, err
	}
	if len(c.frames) < maxFrames {
		c.frames = append(c.frames, f)
	} else {
		c.frames[c.oldest] = f
		c.oldest = (c.oldest + 1) % maxFrames
	}
	return f, nil
}

func (c *composer) newFrame(key frameKey) (*frame, error) {
	sender := key.from
	if sender.Addr == "" {
		sender = c.from
	}
	if err := noLineBreaks(named{"the sender's name", sender.Name}, named{"the sender's address", sender.Addr},
		named{"the reply address", key.replyTo}, named{"the campaign's name", key.campaign}, named{"the topic", key.topic}); err != nil {
		return nil, err
	}
	box, err := c.mailbox("the sender", sender.Addr)
	if err != nil {
		return nil, err
	}
	f := &frame{of: key, sender: box, mail: "MAIL FROM:<" + box.addr + ">", idEnd: "@" + box.domain + ">\r\n"}
	f.from = appendHeader(nil, "From", appendAddress(nil, sender.Name, box))
	if f.reply, err = c.replyTo(key.replyTo); err != nil {
		return nil, err
	}
	if id := listID(key.topic, box.domain); id != "" {
		f.list = appendHeader(f.list, "List-ID", []byte(id))
	}
	if key.campaign != "" {
		f.list = appendHeader(f.list, "X-Campaign", appendText(nil, key.campaign))
	}
	f.list = append(f.list, "MIME-Version: 1.0\r\n"...)
	return f, nil
}

// mailbox checks an address, which must be one that the server takes.
func (c *composer) mailbox(whose, addr string) (mailbox, error) {
	box, err := parseMailbox(addr)
	if err != nil {
		return mailbox{}, fmt.Errorf("%s: %w", whose, err)
	}
	if box.utf8 && !c.utf8 {
		return mailbox{}, fmt.Errorf("%s: the part before the @ is not ASCII, and the SMTP server takes no such address (SMTPUTF8)", whose)
	}
	return box, nil
}

// appendAddress writes an address as it stands in a header.
func appendAddress(b []byte, name string, box mailbox) []byte {
	if name == "" {
		return append(b, box.addr...)
	}
	b = append(appendPhrase(b, name), " <"...)
	return append(append(b, box.addr...), '>')
}

// replyTo is the field Reply-To.
func (c *composer) replyTo(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("the reply address %q is not an address", s)
	}
	box, err := c.mailbox("the reply address", parsed.Address)
	if err != nil {
		return nil, err
	}
	return appendHeader(nil, "Reply-To", appendAddress(nil, parsed.Name, box)), nil
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
