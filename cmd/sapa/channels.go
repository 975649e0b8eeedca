package main

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/email"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

var errNoAccount = errors.New(`no e-mail account in sapa.yaml: below channels:, write  email: {smtp: "${SMTP_URL}", from: "You <you@example.com>"}`)

// accounts is the registry of channels: one line for each. Nothing else in the program names them.
func (s *session) accounts() (map[string]delivery.Account, error) {
	accounts := map[string]delivery.Account{}
	if e := s.config.Channels.Email; e != nil {
		a, err := emailAccount(e)
		if err != nil {
			return nil, fmt.Errorf("sapa.yaml: channels.email: %w", err)
		}
		accounts["email"] = a
	}
	return accounts, nil
}

func emailAccount(e *customer.EmailSettings) (delivery.Account, error) {
	from := mail.Address{Name: e.From.Name, Address: e.From.Addr}
	cfg, err := email.Parse(e.SMTP.Reveal(), from.String())
	if err != nil {
		return delivery.Account{}, err
	}
	channel, err := email.New(cfg)
	if err != nil {
		return delivery.Account{}, err
	}
	return delivery.Account{
		Channel: channel, From: channels.Address(e.From), ReplyTo: e.ReplyTo.Addr,
		Rate: e.Rate.PerSecond(), Connections: e.Connections,
	}, nil
}

// defaultPublic is where the public listener is reached when sapa.yaml does not say: only good for trying.
const defaultPublic = "http://127.0.0.1:8080"

// publicURL is what the links of messages begin with. Without one in sapa.yaml, only a loopback SMTP server (the
// sandbox) may be sent to: real customers could never follow the links.
func (s *session) publicURL() (string, error) {
	if s.config.PublicURL != "" {
		return s.config.PublicURL, nil
	}
	if e := s.config.Channels.Email; e != nil && !loopbackURL(e.SMTP.Reveal()) {
		return "", errors.New("sapa.yaml: public_url is missing; customers' links and unsubscribing lead there, such as  public_url: https://sapa.your-company.example")
	}
	return defaultPublic, nil
}

func loopbackURL(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}
