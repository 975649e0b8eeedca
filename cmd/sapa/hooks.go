package main

import (
	"context"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/web"
)

// addHooks lets the public listener take what providers of the configured channels tell: reports on messages, and
// messages of customers.
func (s *session) addHooks(a *app, deps *web.PublicDeps) error {
	askers, err := s.inquirers()
	if err != nil {
		return err
	}
	opts := response.HookOptions{
		Company: deps.Company, Answers: s.answers(), Priced: map[string]bool{}, Log: a.log(),
		Settle: func(ctx context.Context, messages []int64) error {
			_, err := delivery.Settle(ctx, s.pool, messages)
			return err
		},
	}
	for name := range askers {
		opts.Priced[name] = true
	}
	if deps.Webhooks, err = s.webhooks(); err != nil {
		return err
	}
	if len(deps.Webhooks) == 0 {
		return nil
	}
	if deps.PublicURL, err = s.publicURL(); err != nil {
		return err
	}
	deps.Hooks = response.NewHooks(deps.Tracker, opts)
	return nil
}

// answers are the company's own answers to STOP, START and HELP, by channel.
func (s *session) answers() map[string]response.Answers {
	answers := map[string]response.Answers{}
	if sms := s.config.Channels.SMS; sms != nil {
		answers["sms"] = response.Answers(sms.Answers)
	}
	if whatsApp := s.config.Channels.WhatsApp; whatsApp != nil {
		answers["whatsapp"] = response.Answers(whatsApp.Answers)
	}
	return answers
}
