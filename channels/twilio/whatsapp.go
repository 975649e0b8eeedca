package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels"
)

// whatsApp are WhatsApp messages: the same requests as for texts, with a word before the numbers, and a template where
// the customer has not written to us lately.
type whatsApp struct{}

// whatsAppPrefix stands before WhatsApp's numbers at Twilio.
const whatsAppPrefix = "whatsapp:"

// Name is "whatsapp".
func (whatsApp) Name() string { return "whatsapp" }

func (whatsApp) title() string { return "WhatsApp" }

func (whatsApp) checkSender(c Config) error {
	if c.From != "" && !e164.MatchString(c.From) {
		return fmt.Errorf("the WhatsApp sender %q must be a number such as +628111234567", c.From)
	}
	return c.checkTextSender()
}

// measure leaves what a message is charged as open: WhatsApp charges no parts.
func (whatsApp) measure(*channels.Receipt, *channels.Message) {}

// A session is the time after a customer's message in which free text may go to them, by WhatsApp's rules: 24 hours. The
// margin is for the way to Twilio and its queue.
const (
	sessionLength = 24 * time.Hour
	sessionMargin = 5 * time.Minute
)

func (whatsApp) compose(ctx context.Context, cfg Config, m *channels.Message) (order, error) {
	if err := checkNumber(m.To.Addr); err != nil {
		return nil, err
	}
	template, text := m.Parts["template"], m.Parts["text"]
	if template == "" {
		text = firstOf(text, m.Text)
	}
	if (template == "") == (text == "") {
		return nil, channels.Permanent(errors.New("exactly one of template and text must be given, and not be empty"))
	}
	p, err := newMessage(cfg, m, whatsAppPrefix)
	if err != nil {
		return nil, err
	}
	if template != "" {
		variables, err := contentVariables(m.Parts)
		if err != nil {
			return nil, err
		}
		if variables != "" {
			p.SetContentVariables(variables)
		}
		return createMessage(p.SetContentSid(template), false), nil
	}
	if err := checkText(text); err != nil {
		return nil, err
	}
	if err := inSession(ctx, cfg, m.To.Addr); err != nil {
		return nil, err
	}
	return createMessage(p.SetBody(text), false), nil
}

// contentVariables is the JSON of a template's variables. Blanks of every kind become single ones: WhatsApp takes no line
// breaks, no tabs and no four blanks in a row within a variable, and no variable that is empty.
func contentVariables(parts map[string]string) (string, error) {
	variables := map[string]string{}
	for key, value := range parts {
		name, ok := strings.CutPrefix(key, "variables.")
		if !ok {
			continue
		}
		value = strings.Join(strings.Fields(strings.ToValidUTF8(value, "\uFFFD")), " ")
		if value == "" {
			return "", channels.Permanent(fmt.Errorf("the template's variable %s is empty, which WhatsApp does not take: give it a default", name))
		}
		variables[name] = value
	}
	if len(variables) == 0 {
		return "", nil
	}
	text, err := json.Marshal(variables)
	if err != nil { // of texts: there is none
		return "", channels.Permanent(fmt.Errorf("write the template's variables: %w", err))
	}
	return string(text), nil
}

// inSession holds that the customer has written to us lately.
func inSession(ctx context.Context, cfg Config, number string) error {
	if cfg.WroteSince == nil {
		return nil
	}
	wrote, err := cfg.WroteSince(ctx, number, cfg.Now().Add(sessionMargin-sessionLength))
	switch {
	case err != nil:
		return channels.Unavailable(fmt.Errorf("look up whether the customer has written on WhatsApp: %w", err))
	case !wrote:
		return channels.Permanent(errors.New("the customer has not written on WhatsApp within the last 24 hours, so that only a template may go"))
	}
	return nil
}

func (whatsApp) list(api *openapi.ApiService, cfg Config) error { return sms{}.list(api, cfg) }

func (whatsApp) fetch(api *openapi.ApiService, cfg Config, id string) (sent, error) {
	s, err := sms{}.fetch(api, cfg, id)
	s.segments = 0
	return s, err
}

func (whatsApp) find(api *openapi.ApiService, cfg Config, lost channels.Lost) ([]sent, error) {
	return findMessages(api, cfg, lost, whatsAppPrefix)
}

func (whatsApp) report(_ string, form url.Values) (channels.Report, error) {
	return messageReport(form)
}

func (whatsApp) inbound(form url.Values) (channels.Inbound, error) {
	return inboundMessage(form, whatsAppPrefix)
}

func (whatsApp) answer(text string) []byte { return messageTwiML(text) }
