package customer

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/secret"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// WebhookSettings is one address of a program of the company's, or of a service that it uses, that takes messages as
// signed requests; package channels/webhook makes them.
type WebhookSettings struct {
	URL         secret.Text `yaml:"url,required"`    // https, or http on this machine; it may hold a token
	Secret      secret.Text `yaml:"secret,required"` // whsec_ and 24 to 64 bytes in base64, by Standard Webhooks
	Rate        Rate        `yaml:"rate"`            // zero: as fast as it takes them
	Connections int         `yaml:"connections"`     // at most so many at once; 0: the engine decides
	Timeout     Seconds     `yaml:"timeout"`         // from the request to its answer; 0: the channel decides
	Networks    []Network   `yaml:"networks"`        // private networks in which the URL's host may be
	Cost        Money       `yaml:"cost"`            // of a message, as an estimate
}

// KeyHint implements strictyaml.KeyHinter.
func (*WebhookSettings) KeyHint(key string) string {
	switch key {
	case "", "url", "secret":
		return `such as  webhook: {url: "https://crm.bengkel.example/hooks/sapa", secret: "${WEBHOOK_SECRET}"}`
	}
	return ""
}

// Seconds is a time of seconds or minutes.
type Seconds time.Duration

// UnmarshalScalar reads 10s or 1m; at most five minutes.
func (s *Seconds) UnmarshalScalar(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > 5*time.Minute {
		return errors.New("expected a time between 1s and 5m, such as 15s")
	}
	*s = Seconds(d)
	return nil
}

// Network is a range of IP addresses.
type Network netip.Prefix

// UnmarshalScalar reads 10.1.0.0/16, or one address.
func (n *Network) UnmarshalScalar(text string) error {
	p, err := netip.ParsePrefix(text)
	if ip, ipErr := netip.ParseAddr(text); ipErr == nil {
		p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	if err != nil {
		return errors.New("expected a network such as 10.1.0.0/16, or an address such as 10.1.2.3")
	}
	*n = Network(p.Masked())
	return nil
}

// The length of a secret in bytes, by Standard Webhooks.
const (
	leastWebhookSecret = 24
	mostWebhookSecret  = 64
)

const webhookSecretHint = "make one with:  echo whsec_$(openssl rand -base64 32)"

// webhook checks the settings of a webhook. What it says never repeats its secrets.
func (c *checker) webhook(path string, s *WebhookSettings) {
	if s == nil {
		return
	}
	c.webhookURL(path+".url", s.URL)
	c.webhookSecret(path+".secret", s.Secret)
	c.limits(path, s.Connections, mostSMSConnections, nil, s.Rate)
}

func (c *checker) webhookURL(path string, text secret.Text) {
	if !c.file.Sound(path) || !c.file.Has(path) {
		return
	}
	u, err := url.Parse(text.Reveal())
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.User != nil, u.Fragment != "":
		c.problem(path, "", "expected a URL such as https://crm.bengkel.example/hooks/sapa")
	case u.Scheme == "http" && !onThisMachine(u.Hostname()):
		c.problem(path, "write https://", "without TLS everybody on the way could read what is sent")
	}
}

func (c *checker) webhookSecret(path string, text secret.Text) {
	if !c.file.Sound(path) || !c.file.Has(path) {
		return
	}
	raw, marked := strings.CutPrefix(text.Reveal(), "whsec_")
	key, err := base64.StdEncoding.DecodeString(raw)
	switch {
	case !marked, err != nil:
		c.problem(path, webhookSecretHint, "the secret of a webhook is whsec_ and a text in base64")
	case len(key) < leastWebhookSecret, len(key) > mostWebhookSecret:
		c.problem(path, webhookSecretHint, "the secret holds %d bytes, and must hold %d to %d", len(key), leastWebhookSecret, mostWebhookSecret)
	}
}

// webhookSecrets are the places of what is secret about webhooks.
func webhookSecrets(f *strictyaml.File) []string {
	places := []string{"$.channels.webhook"}
	const desks = "$.channels.alert.desks"
	for _, name := range f.Keys(desks) {
		places = append(places, strictyaml.Key(desks, name)+".webhook")
	}
	var paths []string
	for _, p := range places {
		paths = append(paths, p+".url", p+".secret")
	}
	return paths
}
