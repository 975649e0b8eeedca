package email

import (
	"strings"
)

// refusal is the code of the answers that refuse.
func (a answer) refusal() string {
	return map[answer]string{refuse: "550", refuseNow: "451", shutDown: "421", misunderstand: "500"}[a]
}

// reply writes the answer as the act wants it.
func (p *player) reply(a act, code string) {
	text := a.form.write(code)
	switch a.answer {
	case garbage:
		text = "HTTP/1.1 400 Bad Request\r\n"
	case silent:
		text = ""
	case late:
		if !p.lags {
			p.withheld = append(p.withheld, text...)
			text = ""
		}
	}
	switch a.end {
	case vanishes:
		text = ""
	case cutsOff:
		text = text[:len(text)/2]
	case cutsLine:
		text = strings.TrimRight(text, "\r\n")
	default:
		text += extras[a.extra]
	}
	p.say(text)
	if a.end == resets {
		p.out = nil
	}
	if a.end != goesOn || a.answer == shutDown {
		p.closed = true
	}
}

func (p *player) say(text string) {
	if p.lags {
		p.withheld = append(p.withheld, text...)
		return
	}
	p.out = append(p.out, text...)
	p.said += len(text)
}

// write is a reply with the code, which names the recipient as servers do.
func (f form) write(code string) string {
	enhanced := map[string]string{"550": "5.1.1", "451": "4.3.0", "421": "4.3.2", "250": "2.0.0"}[code]
	words := " " + enhanced + " <ani1@example.org>: said the server\r\n"
	switch f {
	case bare:
		return code + "\r\n"
	case manyLines:
		return strings.Repeat(code+"-"+words[1:], 20) + code + words
	case longLine:
		return code + " " + strings.Repeat("long ", 3000) + "\r\n"
	case bareLF:
		return code + strings.TrimSuffix(words, "\r\n") + "\n"
	case dirty:
		return code + " \x00\x1b[2J\xff\xfe " + words
	case endless:
		return code + " " + strings.Repeat("x", maxReply) + "\r\n"
	}
	return code + words
}
