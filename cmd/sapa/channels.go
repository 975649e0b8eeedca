package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"time"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/email"
	"github.com/sapa-crm/sapa/channels/twilio"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/secret"
)

// registered is one line of the registry: a channel, whether sapa.yaml has an account of it, the URLs of its providers, how
// the account is made, and what to write where it is missing.
type registered struct {
	name    string
	present bool
	urls    func() []string
	account func() (delivery.Account, error)
	missing string
}

// registry has one line for each channel. Nothing else in the program names their packages.
func (s *session) registry() []registered {
	e, t := s.channelSettings()
	return slices.Concat([]registered{
		{
			"email", e != nil, func() []string { return smtpURLs(e) }, func() (delivery.Account, error) { return emailAccount(e) },
			`email: {smtp: "${SMTP_URL}", from: "You <you@example.com>"}`,
		},
		{
			"sms", t != nil, func() []string { return twilioURLs(t) }, func() (delivery.Account, error) { return smsAccount(t, s.businessTime) },
			`sms: {twilio: "${TWILIO_URL}", from: "+628111234567"}`,
		},
	}, s.phoneAccounts(), s.callsAccounts(), s.companyAccounts(), s.kindsHere(), s.letterAccounts())
}

// accounts are the configured accounts by channel.
func (s *session) accounts() (map[string]delivery.Account, error) {
	accounts := map[string]delivery.Account{}
	for _, r := range s.registry() {
		if !r.present {
			continue
		}
		a, err := r.account()
		if err != nil {
			return nil, fmt.Errorf("sapa.yaml: channels.%s: %w", r.name, err)
		}
		accounts[r.name] = formed(r.name, a)
	}
	return accounts, nil
}

// formed adds to an account what the channel's form says of it.
func formed(channel string, a delivery.Account) delivery.Account {
	if f := campaign.FormOf(channel); f != nil {
		a.Addressless, a.Repeatable, a.Internal = f.Address == channels.NoAddress, f.Repeatable, f.Internal
	}
	return a
}

// account is the configured account of one channel; without one, the error says what to write.
func (s *session) account(channel string) (delivery.Account, error) {
	for _, r := range s.registry() {
		switch {
		case r.name != channel:
			continue
		case !r.present:
			return delivery.Account{}, fmt.Errorf("no account for %s in sapa.yaml: below channels:, write  %s", channel, r.missing)
		}
		a, err := r.account()
		if err != nil {
			return delivery.Account{}, fmt.Errorf("sapa.yaml: channels.%s: %w", channel, err)
		}
		return formed(channel, a), nil
	}
	return delivery.Account{}, fmt.Errorf("this release of Sapa has no channel %q", channel)
}

// webhooks are the channels whose providers call us, by channel.
func (s *session) webhooks() (map[string]channels.Webhook, error) {
	return capable(s, channels.EitherWebhook)
}

// inquirers are the channels whose providers can be asked about a message, by channel.
func (s *session) inquirers() (map[string]channels.Inquirer, error) {
	return capable(s, channels.EitherInquirer)
}

// capable are the configured channels that are more than a Channel; of two accounts, both are.
func capable[T any](s *session, either func(first, second T) T) (map[string]T, error) {
	accounts, err := s.accounts()
	if err != nil {
		return nil, err
	}
	return delivery.Capable(accounts, either), nil
}

func smtpURLs(e *customer.EmailSettings) []string {
	urls := []string{e.SMTP.Reveal()}
	if e.Fallback != nil {
		urls = append(urls, e.Fallback.SMTP.Reveal())
	}
	return urls
}

func twilioURLs(t *customer.SMSSettings) []string {
	urls := []string{t.Twilio.Reveal()}
	if t.Fallback != nil {
		urls = append(urls, t.Fallback.Twilio.Reveal())
	}
	return urls
}

func emailAccount(e *customer.EmailSettings) (delivery.Account, error) {
	a, err := smtpAccount(e.SMTP, e.From)
	if err != nil {
		return delivery.Account{}, err
	}
	a.ReplyTo, a.Rate, a.Connections = e.ReplyTo.Addr, e.Rate.PerSecond(), e.Connections
	a.WarmUp, a.Throttles = e.WarmUp, e.Domains
	f := e.Fallback
	if f == nil {
		return a, nil
	}
	from := f.From
	if from == (customer.Mailbox{}) {
		from = e.From
	}
	second, err := smtpAccount(f.SMTP, from)
	if err != nil {
		return delivery.Account{}, fmt.Errorf("fallback: %w", err)
	}
	second.ReplyTo, second.Rate, second.Connections, second.WarmUp = a.ReplyTo, f.Rate.PerSecond(), f.Connections, f.WarmUp
	a.Fallback = &second
	return a, nil
}

// smtpAccount is an account at an SMTP server, without limits.
func smtpAccount(url secret.Text, from customer.Mailbox) (delivery.Account, error) {
	sender := mail.Address{Name: from.Name, Address: from.Addr}
	cfg, err := email.Parse(url.Reveal(), sender.String())
	if err != nil {
		return delivery.Account{}, err
	}
	channel, err := email.New(cfg)
	if err != nil {
		return delivery.Account{}, err
	}
	return delivery.Account{Channel: channel, From: channels.Address(from)}, nil
}

// smsConnections is how many requests are under way at once where sapa.yaml says nothing.
const smsConnections = 4

func smsAccount(t *customer.SMSSettings, now func() time.Time) (delivery.Account, error) {
	a, err := twilioAccount(customer.SMSFallback{
		Twilio: t.Twilio, AuthToken: t.AuthToken, From: t.From, MessagingService: t.MessagingService,
		Rate: t.Rate, Connections: t.Connections, WarmUp: t.WarmUp,
	}, now)
	if err != nil || t.Fallback == nil {
		return a, err
	}
	second, err := twilioAccount(*t.Fallback, now)
	if err != nil {
		return delivery.Account{}, fmt.Errorf("fallback: %w", err)
	}
	a.Fallback = &second
	return a, nil
}

func twilioAccount(t customer.SMSFallback, now func() time.Time) (delivery.Account, error) {
	cfg, err := twilioConfig(t.Twilio, t.AuthToken, now)
	if err != nil {
		return delivery.Account{}, err
	}
	cfg.From, cfg.MessagingService = string(t.From), t.MessagingService
	channel, err := twilio.New(cfg)
	if err != nil {
		return delivery.Account{}, err
	}
	return delivery.Account{
		Channel: channel, From: channels.Address{Addr: string(t.From)}, Rate: t.Rate.PerSecond(),
		Connections: cmp.Or(t.Connections, smsConnections), WarmUp: t.WarmUp,
	}, nil
}

// chosenChannels are those that customers choose among on their page of preferences: the ones that are configured.
func (s *session) chosenChannels() []string {
	var list []string
	if s.config.Channels.Email != nil {
		list = append(list, "email")
	}
	if s.config.Channels.SMS != nil {
		list = append(list, "sms")
	}
	if s.config.Channels.WhatsApp != nil {
		list = append(list, "whatsapp")
	}
	if s.config.Channels.Voice != nil {
		list = append(list, "voice")
	}
	if s.config.Channels.Letter != nil {
		list = append(list, "letter")
	}
	return list
}

// defaultPublic is where the public listener is reached when sapa.yaml does not say: only good for trying.
const defaultPublic = "http://127.0.0.1:8080"

// publicURL is what the links of messages begin with, and where providers report. Without one in sapa.yaml, only
// providers on this machine (the sandbox) may be used: real customers could never follow the links.
func (s *session) publicURL() (string, error) {
	if s.config.PublicURL != "" {
		return s.config.PublicURL, nil
	}
	for _, r := range s.registry() {
		if r.present && slices.ContainsFunc(r.urls(), func(url string) bool { return !loopbackURL(url) }) {
			return "", errors.New("sapa.yaml: public_url is missing; customers' links and unsubscribing lead there, such as  public_url: https://sapa.your-company.example")
		}
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
