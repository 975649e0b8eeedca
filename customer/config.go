package customer

import (
	"github.com/sapa-crm/sapa/internal/almanac"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/secret"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Config is sapa.yaml as written: which of the company's tables and columns mean what, and the accounts that messages
// go out by. docs/mapping.md is its reference. Resolve checks it against a database.
type Config struct {
	Customers CustomersConfig `yaml:"customers,required"`
	Channels  ChannelsConfig  `yaml:"channels"`
	PublicURL string          `yaml:"public_url"` // where customers reach the public listener, without a final slash
	Company   Company         `yaml:"company"`
	Retention Retention       `yaml:"retention"`
	// Topics are what consent is asked for, by name; their order is the file's.
	Topics map[string]*TopicConfig `yaml:"topics"`
	Rails  Rails                   `yaml:"rails"`
	// Country is the company's, as ISO 3166 writes it, where it is not the customers' default region; Holidays are its own
	// days, which go before those that Sapa knows of the country (package segment/holidays).
	Country  string                  `yaml:"country"`
	Holidays map[string]almanac.Days `yaml:"holidays"`
	// Events are what the company's programs tell of customers, by name; others are taken, too, but nothing is known of their data.
	Events map[string]*EventConfig `yaml:"events"`

	File *strictyaml.File // for the places of problems that are found later, such as in customers.where
}

// CustomersConfig is the section "customers".
type CustomersConfig struct {
	Table     TableName                  `yaml:"table,required"`
	Key       keyName                    `yaml:"key,required"`
	Email     Field                      `yaml:"email"`
	Phone     Field                      `yaml:"phone"`
	Post      *Post                      `yaml:"post"`
	Name      Field                      `yaml:"name"`
	Locale    Field                      `yaml:"locale"`
	Timezone  Field                      `yaml:"timezone"`
	Region    Field                      `yaml:"region"`
	Where     string                     `yaml:"where"` // a rule; package segment checks it
	Consent   Consent                    `yaml:"consent"`
	Preferred string                     `yaml:"preferred_channel"` // the column with the channel that a customer prefers
	JSON      map[string]JSONFields      `yaml:"json"`              // by column
	Relations map[string]*RelationConfig `yaml:"relations"`
}

// RelationConfig is a table with rows that belong to a customer (By), or the one row that a customer refers to (Via).
type RelationConfig struct {
	Table     TableName                  `yaml:"table,required"`
	By        string                     `yaml:"by"`     // to-many: the table's column with the parent's key
	Via       string                     `yaml:"via"`    // to-one: the parent's column with the table's key
	Key       keyName                    `yaml:"key"`    // the table's own key column
	At        string                     `yaml:"at"`     // date or time of a row
	Amount    string                     `yaml:"amount"` // value of a row
	JSON      map[string]JSONFields      `yaml:"json"`   // by column
	Relations map[string]*RelationConfig `yaml:"relations"`
}

// ChannelsConfig is the section "channels": the settings of each channel that the installation uses.
type ChannelsConfig struct {
	Email    *EmailSettings    `yaml:"email"`
	SMS      *SMSSettings      `yaml:"sms"`
	WhatsApp *WhatsAppSettings `yaml:"whatsapp"`
	Voice    *VoiceSettings    `yaml:"voice"`
	Letter   *LetterSettings   `yaml:"letter"`
	Calls    *CallsSettings    `yaml:"calls"`
	Webhook  *WebhookSettings  `yaml:"webhook"`
	Alert    *AlertSettings    `yaml:"alert"`
	Further  Sections          `yaml:",inline"`
}

// EmailSettings is one account at an SMTP server.
type EmailSettings struct {
	SMTP        secret.Text    `yaml:"smtp,required"` // smtp:// or smtps:// URL with credentials; package channels/email reads it
	From        Mailbox        `yaml:"from,required"`
	ReplyTo     Mailbox        `yaml:"reply_to"`
	Rate        Rate           `yaml:"rate"`        // zero: as fast as the server takes it
	Connections int            `yaml:"connections"` // at most so many at once; 0: the engine decides
	WarmUp      *WarmUp        `yaml:"warm_up"`
	Domains     Throttles      `yaml:"domains"` // of recipients
	Fallback    *EmailFallback `yaml:"fallback"`
	Cost        Money          `yaml:"cost"` // of a message, as an estimate
}

// SMSSettings is one account at Twilio. Exactly one of From and MessagingService is given.
type SMSSettings struct {
	Twilio           secret.Text  `yaml:"twilio,required"`   // URL with credentials; package channels/twilio reads it
	AuthToken        secret.Text  `yaml:"auth_token"`        // signs callbacks; needed where the URL has an API key
	From             Sender       `yaml:"from"`              // a number, short code or name
	MessagingService string       `yaml:"messaging_service"` // MG…
	Rate             Rate         `yaml:"rate"`              // zero: as fast as Twilio takes them
	Connections      int          `yaml:"connections"`       // at most so many at once; 0: the engine decides
	Answers          SMSAnswers   `yaml:"answers"`
	WarmUp           *WarmUp      `yaml:"warm_up"`
	Fallback         *SMSFallback `yaml:"fallback"`
	Cost             Money        `yaml:"cost"` // of a message, as an estimate
}

// SMSAnswers are what customers are told who text STOP, START or HELP; "" is Sapa's own words.
type SMSAnswers struct {
	Stop  string `yaml:"stop"`
	Start string `yaml:"start"`
	Help  string `yaml:"help"`
}

// Company is who messages come from, for footers and public pages.
type Company struct {
	Name    string `yaml:"name"`
	Address string `yaml:"address"` // postal address, which many laws want in every commercial mail
}

// HomeCountry is the company's country by ISO 3166, whose holidays rules know: Country, or the customers' default region.
func (cfg *Config) HomeCountry() string {
	if cfg.Country != "" {
		return cfg.Country
	}
	return cfg.Customers.Region.Default
}

// LoadConfig reads sapa.yaml from its text. ${NAME} is replaced by what env says; a variable that env answers with ""
// counts as not set. further are the channels that read their own sections. All problems are reported at once, and with any there is no Config.
func LoadConfig(name, text string, env func(string) string, further ...string) (*Config, diag.List) {
	f, problems := strictyaml.Parse(name, text)
	cfg := &Config{File: f, Retention: DefaultRetention(), Customers: CustomersConfig{Consent: Consent{Granted: true}}}
	problems = append(problems, f.Expand(env)...)
	cfg.Channels.Further = expected(further)
	problems = append(problems, f.Decode(cfg)...)
	cfg.Channels.Further = cfg.Channels.Further.present()
	problems = append(problems, cfg.check(len(problems) == 0)...)
	hideSecrets(f)
	if len(problems) > 0 {
		return nil, problems
	}
	return cfg, nil
}
