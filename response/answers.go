package response

import "strings"

// Answers are what customers are told who text STOP, START or HELP, in place of Sapa's own words; "" keeps those.
type Answers struct {
	Stop, Start, Help string
}

// answerTo is what a keyword is answered, in the language of the sender's country; "" for a reply. It is short, so that
// with a company's name it stays one segment.
func (h *Hooks) answerTo(channel string, k keyword, sender string) string {
	own := h.Answers[channel]
	text := map[keyword]string{keywordStop: own.Stop, keywordStart: own.Start, keywordHelp: own.Help}[k]
	if text != "" {
		return text
	}
	if text = ourAnswers(languageOf(sender), channel)[k]; text != "" && h.Company != "" {
		text = h.Company + ": " + text
	}
	return strings.TrimSpace(text)
}

func ourAnswers(language, channel string) map[keyword]string {
	if language == "id" {
		by := "SMS"
		if channel == "whatsapp" {
			by = "pesan WhatsApp"
		}
		return map[keyword]string{
			keywordStop:  "Anda tidak akan menerima " + by + " dari kami lagi. Balas MULAI untuk menerimanya lagi.",
			keywordStart: "Anda akan menerima " + by + " dari kami lagi. Balas BERHENTI untuk berhenti.",
			keywordHelp:  strings.ToUpper(by[:1]) + by[1:] + " ini kami kirim kepada pelanggan kami. Balas BERHENTI untuk berhenti menerimanya.",
		}
	}
	by := "texts"
	if channel == "whatsapp" {
		by = "WhatsApp messages"
	}
	return map[keyword]string{
		keywordStop:  "You will get no more " + by + " from us. Reply START to get them again.",
		keywordStart: "You will get our " + by + " again. Reply STOP to end them.",
		keywordHelp:  "We send these " + by + " to our customers. Reply STOP to get no more of them.",
	}
}
