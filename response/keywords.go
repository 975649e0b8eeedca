package response

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// keyword is what a customer's text asks for, the kinds of table inbound.
type keyword string

const (
	keywordNone  keyword = "reply" // it is no keyword
	keywordStop  keyword = "stop"
	keywordStart keyword = "start"
	keywordHelp  keyword = "help"
	// keywordAgain is start of somebody who has stopped, and else a reply: YES may answer a question.
	keywordAgain keyword = "again"
)

// country is what its people write, and in which language they are answered.
type country struct {
	calling  string // the country's calling code (ITU-T E.164); "" stands for every country
	words    map[keyword][]string
	commands []string // words that stop with a name behind them, too, as in UNSUB NEWS
	language string
}

// countries are the keywords by calling code. What stands under "" counts everywhere.
func countries() []country {
	return []country{
		{
			// The words that United States carriers ask for (CTIA Messaging Principles and Best Practices, section 5.1.3)
			// and those that Twilio itself takes for opting out, in and for help (Twilio, "Advanced Opt-Out", defaults).
			// UNSUB is a shorter form of UNSUBSCRIBE.
			calling: "", language: "en",
			words: map[keyword][]string{
				keywordStop:  {"STOP", "STOPALL", "UNSUBSCRIBE", "UNSUB", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"},
				keywordStart: {"START", "UNSTOP"},
				keywordAgain: {"YES"},
				keywordHelp:  {"HELP", "INFO"},
			},
			commands: []string{"UNSUBSCRIBE", "UNSUB"},
		},
		{
			// Indonesian. UNREG with the service's name is how Indonesian subscriptions have been ended since the
			// regulation on premium messages (Permenkominfo 1/2009).
			calling: "62", language: "id",
			words: map[keyword][]string{
				keywordStop: {
					"BERHENTI", "UNREG", "HENTIKAN", "STOPSEMUA", "STOPSMS", "STOPPROMO", "BERHENTISMS", "BERHENTILANGGANAN",
					"BERHENTIBERLANGGANAN",
				},
				keywordStart: {"MULAI", "DAFTAR"},
				keywordAgain: {"YA"},
				keywordHelp:  {"BANTUAN", "BANTU"},
			},
			commands: []string{"UNREG"},
		},
	}
}

// maxCommand is how many words an UNSUB with a name may have.
const maxCommand = 4

// keywordOf reads a text. Case, punctuation and blanks are forgiven, but nothing else may be in the text, so that "don't
// stop" and "stop by at 5" are replies. The countries asked are everybody's, the sender's and the one of our own number.
func keywordOf(text, from, to string) keyword {
	words := keywordWords(text)
	if len(words) == 0 {
		return keywordNone
	}
	compact := strings.Join(words, "")
	for _, c := range countries() {
		if !c.has(from) && !c.has(to) {
			continue
		}
		for _, kind := range []keyword{keywordStop, keywordStart, keywordAgain, keywordHelp} {
			if slices.Contains(c.words[kind], compact) {
				return kind
			}
		}
		if len(words) <= maxCommand && slices.Contains(c.commands, words[0]) {
			return keywordStop
		}
	}
	return keywordNone
}

// has tells whether a number is the country's.
func (c country) has(number string) bool {
	return strings.HasPrefix(number, "+"+c.calling) || c.calling == ""
}

// languageOf is the language in which the sender is answered.
func languageOf(number string) string {
	language := ""
	for _, c := range countries() {
		if c.has(number) {
			language = c.language
		}
	}
	return language
}

// keywordWords are the words of a text in capitals, without anything that is neither letter nor digit.
func keywordWords(text string) []string {
	const longest = 64 // bytes; no keyword with a name is longer
	if len(text) > longest {
		return nil
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		if unicode.IsSpace(r) || r == '-' || r == '_' || r == '/' || r == ',' {
			return ' '
		}
		return -1
	}, norm.NFKC.String(text))
	return strings.Fields(text)
}
