package main

import (
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/secret"
	"github.com/sapa-crm/sapa/sandbox"
)

// channelSettings are the accounts of sapa.yaml; or, where a verb sends only to a sandbox that it started itself, that
// sandbox in place of every one of them, whatever sapa.yaml and the environment say.
func (s *session) channelSettings() (*customer.EmailSettings, *customer.SMSSettings) {
	e, t := s.config.Channels.Email, s.config.Channels.SMS
	if s.sandbox == nil {
		return e, t
	}
	if e != nil {
		own := *e
		own.SMTP = secret.Text("smtp://" + s.sandbox.SMTPAddr())
		own.Fallback, own.WarmUp = nil, nil
		e = &own
	}
	if t != nil {
		own := *t
		own.Twilio, own.AuthToken = sandboxTwilio(s.sandbox), ""
		own.Fallback, own.WarmUp = nil, nil
		t = &own
	}
	return e, t
}

// sandboxTwilio is the sandbox as Twilio's URL.
func sandboxTwilio(s *sandbox.Server) secret.Text {
	return secret.Text(s.TwilioURL())
}
