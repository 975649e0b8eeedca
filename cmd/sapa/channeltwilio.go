package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/twilio"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/secret"
	"github.com/sapa-crm/sapa/response"
)

// phoneAccounts are the registry's lines of WhatsApp and of calls.
func (s *session) phoneAccounts() []registered {
	w, v := s.phoneSettings()
	return []registered{
		{
			"whatsapp", w != nil, func() []string { return []string{w.Twilio.Reveal()} }, func() (delivery.Account, error) { return s.whatsAppAccount(w) },
			`whatsapp: {twilio: "${TWILIO_URL}", from: "+628111234567"}`,
		},
		{
			"voice", v != nil, func() []string { return voiceURLs(v) }, func() (delivery.Account, error) { return voiceAccount(v, s.businessTime) },
			`voice: {twilio: "${TWILIO_URL}", from: "+622112345678"}`,
		},
	}
}

// phoneSettings are channelSettings of WhatsApp and of calls.
func (s *session) phoneSettings() (*customer.WhatsAppSettings, *customer.VoiceSettings) {
	w, v := s.config.Channels.WhatsApp, s.config.Channels.Voice
	if s.sandbox == nil {
		return w, v
	}
	if w != nil {
		own := *w
		own.Twilio, own.AuthToken, own.WarmUp = sandboxTwilio(s.sandbox), "", nil
		w = &own
	}
	if v != nil {
		own := *v
		own.Twilio, own.AuthToken, own.WarmUp, own.Fallback = sandboxTwilio(s.sandbox), "", nil, nil
		v = &own
	}
	return w, v
}

func voiceURLs(v *customer.VoiceSettings) []string {
	urls := []string{v.Twilio.Reveal()}
	if v.Fallback != nil {
		urls = append(urls, v.Fallback.Twilio.Reveal())
	}
	return urls
}

func (s *session) whatsAppAccount(w *customer.WhatsAppSettings) (delivery.Account, error) {
	cfg, err := twilioConfig(w.Twilio, w.AuthToken, s.businessTime)
	if err != nil {
		return delivery.Account{}, err
	}
	cfg.From, cfg.MessagingService = string(w.From), w.MessagingService
	cfg.WroteSince = response.NewWriters("whatsapp", func() pg.DBTX { return s.pool }).WroteSince
	channel, err := twilio.NewWhatsApp(cfg)
	if err != nil {
		return delivery.Account{}, err
	}
	return delivery.Account{
		Channel: channel, From: channels.Address{Addr: string(w.From)}, Rate: w.Rate.PerSecond(),
		Connections: cmp.Or(w.Connections, smsConnections), WarmUp: w.WarmUp,
	}, nil
}

func voiceAccount(v *customer.VoiceSettings, now func() time.Time) (delivery.Account, error) {
	a, err := callAccount(customer.VoiceFallback{
		Twilio: v.Twilio, AuthToken: v.AuthToken, From: v.From, Rate: v.Rate, Connections: v.Connections, WarmUp: v.WarmUp,
	}, now)
	if err != nil || v.Fallback == nil {
		return a, err
	}
	second, err := callAccount(*v.Fallback, now)
	if err != nil {
		return delivery.Account{}, fmt.Errorf("fallback: %w", err)
	}
	a.Fallback = &second
	return a, nil
}

// callConnections is how many requests for calls are under way at once where sapa.yaml says nothing.
const callConnections = 2

func callAccount(v customer.VoiceFallback, now func() time.Time) (delivery.Account, error) {
	cfg, err := twilioConfig(v.Twilio, v.AuthToken, now)
	if err != nil {
		return delivery.Account{}, err
	}
	cfg.From = string(v.From)
	channel, err := twilio.NewVoice(cfg)
	if err != nil {
		return delivery.Account{}, err
	}
	return delivery.Account{
		Channel: channel, From: channels.Address{Addr: string(v.From)}, Rate: cmp.Or(v.Rate.PerSecond(), customer.DefaultVoiceRate),
		Connections: cmp.Or(v.Connections, callConnections), WarmUp: v.WarmUp,
	}, nil
}

// twilioConfig is an account at Twilio without its sender.
func twilioConfig(url, authToken secret.Text, now func() time.Time) (twilio.Config, error) {
	cfg, err := twilio.Parse(url.Reveal())
	if err != nil {
		return twilio.Config{}, err
	}
	if authToken != "" {
		cfg.AuthToken = authToken
	}
	cfg.Now = now
	return cfg, nil
}
