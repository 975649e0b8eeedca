package customer

import (
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/sapa-crm/sapa/internal/secret"
)

// sms checks the accounts at Twilio. What it says never repeats the URL.
func (c *checker) sms(s *SMSSettings) {
	if s == nil {
		return
	}
	const sms = "$.channels.sms"
	c.twilio(twilioAccount{sms, "sms", s.Twilio, s.AuthToken, s.From, s.MessagingService})
	c.limits(sms, s.Connections, mostSMSConnections, s.WarmUp, s.Rate)
	if f := s.Fallback; f != nil {
		c.twilio(twilioAccount{sms + ".fallback", "fallback", f.Twilio, f.AuthToken, f.From, f.MessagingService})
		c.limits(sms+".fallback", f.Connections, mostSMSConnections, f.WarmUp, f.Rate)
		c.differ(sms+".fallback.twilio", s.Twilio, f.Twilio)
	}
}

// twilioAccount is what either account says of itself.
type twilioAccount struct {
	path, name       string
	url, authToken   secret.Text
	from             Sender
	messagingService string
}

func (c *checker) twilio(a twilioAccount) {
	if c.file.Sound(a.path+".twilio") && c.file.Has(a.path+".twilio") {
		c.twilioURL(a)
	}
	c.sender(a)
}

const twilioForms = "https://ACxxx:token@api.twilio.com, or with an API key https://SKxxx:secret@api.twilio.com/ACxxx and auth_token beside it"

func (c *checker) twilioURL(a twilioAccount) {
	u, err := url.Parse(a.url.Reveal())
	user := ""
	if err == nil && u.User != nil {
		user = u.User.Username()
	}
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", user == "":
		c.problem(a.path+".twilio", twilioForms, "expected a URL such as https://ACxxx:token@api.twilio.com")
	case u.Scheme == "http" && !onThisMachine(u.Hostname()):
		c.problem(a.path+".twilio", "write https://", "without TLS the token would be seen by everybody on the way")
	case strings.HasPrefix(user, "SK") && !strings.HasPrefix(strings.Trim(u.Path, "/"), "AC"):
		c.problem(a.path+".twilio", twilioForms, "with an API key the URL must name the account, too")
	case strings.HasPrefix(user, "SK") && a.authToken == "" && c.wellMade:
		c.problem(a.path+".twilio", `add  auth_token: "${TWILIO_AUTH_TOKEN}"`,
			"with an API key the account's auth token is needed, too: Twilio signs its reports with it")
	case !strings.HasPrefix(user, "SK") && !strings.HasPrefix(user, "AC"):
		c.problem(a.path+".twilio", twilioForms, "the user in the URL must begin with AC (the account) or SK (an API key)")
	}
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

var messagingServiceSID = regexp.MustCompile(`^MG[0-9A-Za-z]{1,64}$`)

func (c *checker) sender(a twilioAccount) {
	const hint = `write  from: "+628111234567"  for a number of yours, or  messaging_service: MG…  to let Twilio choose among several`
	switch {
	case a.from != "" && a.messagingService != "":
		c.keyProblem(a.path+".messaging_service", hint, `"from" and "messaging_service" exclude each other`)
	case !c.file.Has(a.path+".from") && !c.file.Has(a.path+".messaging_service"):
		if c.wellMade {
			c.problem(a.path, hint, `%s needs a sender: "from" or "messaging_service"`, a.name)
		}
	case a.messagingService != "" && !messagingServiceSID.MatchString(a.messagingService):
		c.problem(a.path+".messaging_service", "it is in Twilio's console below Messaging, Services", "a Messaging Service is MG and 32 digits")
	}
}
