package twilio

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/sapa-crm/sapa/channels"
)

// WhatsAppForm is the content of a WhatsApp message: a template that WhatsApp has approved, or a text that is only for
// those who wrote to us within the last 24 hours.
func WhatsAppForm() channels.Form {
	return channels.Form{
		Channel: "whatsapp", About: "A WhatsApp message, by Twilio", Address: channels.PhoneAddress,
		Example: `whatsapp: {template: HX…, variables: {1: "{{ customer.first_name }}"}}`,
		Parts: []channels.Part{
			{Key: "template", About: "The content template's SID, HX…, from Twilio's console", Kind: channels.Constant, Check: checkTemplate, Pattern: templateForm},
			{Key: "variables", About: "What the template's variables become for each customer: {1: …, 2: …}", Kind: channels.Values, Check: checkVariable, Pattern: variableForm, Links: true},
			{Key: "text", About: "Instead of a template: a text for customers who wrote to us within the last 24 hours", Kind: channels.Text},
		},
		Rules: []channels.Rule{
			{Not: []string{"template", "text"}, Says: `"template" and "text" exclude each other`},
			{Any: []string{"template", "text"}, Says: `it needs a "template"; or a "text", which is only for customers who wrote to us within the last 24 hours`},
			{Not: []string{"variables", "text"}, Says: `"variables" belong to a template; a text has {{ … }} itself`},
		},
	}
}

const variableForm = `^[A-Za-z0-9_]{1,64}$`

var variableName = regexp.MustCompile(variableForm)

func checkVariable(name string) error {
	if !variableName.MatchString(name) {
		return fmt.Errorf("%q can't be a template's variable: they are numbered, {1: …, 2: …}, or have names of letters, digits and _", name)
	}
	return nil
}

const templateForm = `^HX[0-9A-Za-z]{1,64}$`

var templateSID = regexp.MustCompile(templateForm)

func checkTemplate(text string) error {
	if !templateSID.MatchString(text) {
		return errors.New("a content template is HX and 32 digits; it is in Twilio's console below Messaging, Content Template Builder")
	}
	return nil
}

// VoiceForm is the content of a call: words that are read aloud, a recording, and what the keys of the phone mean.
func VoiceForm() channels.Form {
	return channels.Form{
		Channel: "voice", About: "A call that speaks by itself, by Twilio", Address: channels.PhoneAddress,
		Example: `voice: {say: "Halo {{ customer.first_name }}. Tekan 1 kalau tertarik, 9 untuk berhenti.", press: {1: interested, 9: stop}}`,
		Parts: []channels.Part{
			{Key: "say", About: "The words that are read aloud", Kind: channels.Text},
			{Key: "language", About: "The language that they are read in; without it, the customer's own", Kind: channels.Choice, Choices: speechChoices()},
			{Key: "play", About: "The https address of a recording that is played after the words", Kind: channels.Constant, Check: checkRecording, Pattern: recordingForm},
			{Key: "press", About: "What a key means: {1: interested, 9: stop}", Kind: channels.Values, Check: checkKey, Pattern: keyForm},
		},
		Rules: []channels.Rule{{Any: []string{"say", "play"}, Says: `it needs "say" or "play": words or a recording`}},
	}
}

func checkKey(name string) error {
	if !oneKey.MatchString(name) {
		return fmt.Errorf("%q can't be pressed: a key is one of 0 to 9 and *", name)
	}
	return nil
}

// recordingForm is what an address of a recording begins with; url.Parse knows the rest.
const recordingForm = `^[Hh][Tt][Tt][Pp][Ss]://[^/?#@]+([/?#]|$)`

var recordingBegins = regexp.MustCompile(recordingForm)

func checkRecording(text string) error {
	u, err := url.Parse(text)
	if err != nil || !recordingBegins.MatchString(text) || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return errors.New("a recording must be an address such as https://bengkel.example/servis.mp3, without user and password")
	}
	return nil
}

// fromLocale is the Choice of a call's language that takes the customer's.
const fromLocale = "customer"

// speech are the languages that calls are spoken in, by Twilio's names of them: those of the standard voices that its page
// on Text-to-Speech lists. The first of a language is the one for locales of other countries.
func speech() []string {
	return []string{
		"id-ID", "en-US", "en-GB", "en-AU", "en-IN", "ms-MY", "fil-PH", "vi-VN", "th-TH", "cmn-CN", "cmn-TW", "yue-HK", "ja-JP", "ko-KR",
		"hi-IN", "ta-IN", "bn-IN", "ar-XA", "he-IL", "tr-TR", "nl-NL", "nl-BE", "de-DE", "fr-FR", "fr-CA", "es-ES", "es-US", "it-IT", "pt-BR", "pt-PT",
		"ru-RU", "uk-UA", "pl-PL", "cs-CZ", "sk-SK", "hu-HU", "ro-RO", "el-GR", "da-DK", "sv-SE", "nb-NO", "fi-FI",
	}
}

func speechChoices() []string { return append([]string{fromLocale}, speech()...) }

// spoken is the language of Twilio's that speaks a locale (BCP 47): the very one, else the first of the same language;
// false when there is none.
func spoken(locale string) (string, bool) {
	tag, err := language.Parse(strings.ReplaceAll(locale, "_", "-"))
	if err != nil {
		return "", false
	}
	base, _ := tag.Base()
	region, _ := tag.Region()
	name := spokenBase(base.String())
	if exact := fmt.Sprintf("%s-%s", name, region); slices.Contains(speech(), exact) {
		return exact, true
	}
	for _, known := range speech() {
		if strings.HasPrefix(known, name+"-") {
			return known, true
		}
	}
	return "", false
}

// spokenBase is Twilio's code of a language, where it is not that of BCP 47.
func spokenBase(base string) string {
	switch base {
	case "zh":
		return "cmn"
	case "no":
		return "nb"
	case "tl":
		return "fil"
	case "jv", "su": // there is no voice for Javanese and Sundanese; who speaks them understands Indonesian
		return "id"
	}
	return base
}
