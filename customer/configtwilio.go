package customer

import (
	"strings"

	"github.com/sapa-crm/sapa/internal/secret"
)

// WhatsAppSettings is one account at Twilio with a sender of WhatsApp's. Exactly one of From and MessagingService is given.
type WhatsAppSettings struct {
	Twilio           secret.Text `yaml:"twilio,required"`   // URL with credentials; package channels/twilio reads it
	AuthToken        secret.Text `yaml:"auth_token"`        // signs callbacks; needed where the URL has an API key
	From             Sender      `yaml:"from"`              // a number that is registered with WhatsApp
	MessagingService string      `yaml:"messaging_service"` // MG…
	Rate             Rate        `yaml:"rate"`              // zero: as fast as Twilio takes them
	Connections      int         `yaml:"connections"`       // at most so many at once; 0: the engine decides
	Answers          SMSAnswers  `yaml:"answers"`
	WarmUp           *WarmUp     `yaml:"warm_up"`
	Cost             Money       `yaml:"cost"` // of a message, as an estimate
}

// KeyHint implements strictyaml.KeyHinter.
func (*WhatsAppSettings) KeyHint(key string) string {
	switch key {
	case "", "twilio":
		return `such as  whatsapp: {twilio: "${TWILIO_URL}", from: "+628111234567"}`
	case "domains":
		return "only e-mail goes to domains"
	case "fallback":
		return "templates belong to one account, so that WhatsApp has no second one; let a ladder go on by SMS"
	case "template", "templates", "variables":
		return "what is sent stands in the campaign"
	}
	return ""
}

// VoiceSettings is one account at Twilio for calls.
type VoiceSettings struct {
	Twilio      secret.Text    `yaml:"twilio,required"` // URL with credentials; package channels/twilio reads it
	AuthToken   secret.Text    `yaml:"auth_token"`      // signs callbacks; needed where the URL has an API key
	From        Sender         `yaml:"from,required"`   // the number that customers see
	Rate        Rate           `yaml:"rate"`            // zero: DefaultVoiceRate
	Connections int            `yaml:"connections"`     // at most so many at once; 0: the engine decides
	WarmUp      *WarmUp        `yaml:"warm_up"`
	Fallback    *VoiceFallback `yaml:"fallback"`
	Cost        Money          `yaml:"cost"` // of a call, as an estimate
}

// KeyHint implements strictyaml.KeyHinter.
func (*VoiceSettings) KeyHint(key string) string {
	switch key {
	case "", "twilio", "from":
		return `such as  voice: {twilio: "${TWILIO_URL}", from: "+622112345678"}`
	case "messaging_service":
		return "a Messaging Service can't call; write  from: with a number of yours"
	case "domains":
		return "only e-mail goes to domains"
	case "answers":
		return "customers of a call press keys; what those mean stands in the campaign"
	case "language", "say", "play", "press":
		return "what is said stands in the campaign"
	}
	return ""
}

// VoiceFallback is a second account at Twilio for calls, with a number of its own.
type VoiceFallback struct {
	Twilio      secret.Text `yaml:"twilio,required"`
	AuthToken   secret.Text `yaml:"auth_token"`
	From        Sender      `yaml:"from,required"`
	Rate        Rate        `yaml:"rate"`
	Connections int         `yaml:"connections"`
	WarmUp      *WarmUp     `yaml:"warm_up"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*VoiceFallback) KeyHint(key string) string {
	switch key {
	case "", "twilio", "from":
		return `such as  fallback: {twilio: "${TWILIO_URL_2}", from: "+622187654321"}`
	case "fallback":
		return "there are two accounts, and no third"
	}
	return ""
}

// DefaultVoiceRate is how many calls are begun in a second where sapa.yaml says nothing. Twilio begins one a second for an
// account that has not asked for more, and keeps the others waiting, for as long as it takes: it can't be told when a call
// would be too late.
const DefaultVoiceRate = 1

// whatsApp checks the account of WhatsApp.
func (c *checker) whatsApp(s *WhatsAppSettings) {
	if s == nil {
		return
	}
	const path = "$.channels.whatsapp"
	c.twilio(twilioAccount{path, "whatsapp", s.Twilio, s.AuthToken, s.From, s.MessagingService})
	c.number(path+".from", s.From, "WhatsApp's senders are numbers")
	c.limits(path, s.Connections, mostSMSConnections, s.WarmUp, s.Rate)
}

// voice checks the accounts for calls.
func (c *checker) voice(s *VoiceSettings) {
	if s == nil {
		return
	}
	const path = "$.channels.voice"
	c.caller(path, twilioAccount{path, "voice", s.Twilio, s.AuthToken, s.From, ""})
	c.limits(path, s.Connections, mostSMSConnections, s.WarmUp, s.Rate)
	if f := s.Fallback; f != nil {
		c.caller(path+".fallback", twilioAccount{path + ".fallback", "fallback", f.Twilio, f.AuthToken, f.From, ""})
		c.limits(path+".fallback", f.Connections, mostSMSConnections, f.WarmUp, f.Rate)
		c.differ(path+".fallback.twilio", s.Twilio, f.Twilio)
	}
}

func (c *checker) caller(path string, a twilioAccount) {
	if c.file.Sound(path+".twilio") && c.file.Has(path+".twilio") {
		c.twilioURL(a)
	}
	c.number(path+".from", a.from, "only a number can call")
}

// number refuses senders that can only be those of texts.
func (c *checker) number(path string, from Sender, why string) {
	if from != "" && !strings.HasPrefix(string(from), "+") {
		c.problem(path, `write it with its country code, such as "+628111234567"`, "%q is no number: %s", from, why)
	}
}
