package customer

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

const sms = "$.channels.sms"

// sms checks the account at Twilio. What it says never repeats the URL.
func (c *checker) sms(s *SMSSettings) {
	if s == nil {
		return
	}
	if c.file.Sound(sms + ".twilio") {
		c.twilioURL(s)
	}
	c.sender(s)
	if s.Connections < 0 || s.Connections > 100 {
		c.problem(sms+".connections", "", "the number of connections must be between 1 and 100")
	}
}

const twilioForms = "https://ACxxx:token@api.twilio.com, or with an API key https://SKxxx:secret@api.twilio.com/ACxxx and auth_token beside it"

func (c *checker) twilioURL(s *SMSSettings) {
	u, err := url.Parse(s.Twilio.Reveal())
	user := ""
	if err == nil && u.User != nil {
		user = u.User.Username()
	}
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", user == "":
		c.problem(sms+".twilio", twilioForms, "expected a URL such as https://ACxxx:token@api.twilio.com")
	case u.Scheme == "http" && !onThisMachine(u.Hostname()):
		c.problem(sms+".twilio", "write https://", "without TLS the token would be seen by everybody on the way")
	case strings.HasPrefix(user, "SK") && !strings.HasPrefix(strings.Trim(u.Path, "/"), "AC"):
		c.problem(sms+".twilio", twilioForms, "with an API key the URL must name the account, too")
	case strings.HasPrefix(user, "SK") && s.AuthToken == "" && c.wellMade:
		c.problem(sms+".twilio", `add  auth_token: "${TWILIO_AUTH_TOKEN}"`,
			"with an API key the account's auth token is needed, too: Twilio signs its reports with it")
	case !strings.HasPrefix(user, "SK") && !strings.HasPrefix(user, "AC"):
		c.problem(sms+".twilio", twilioForms, "the user in the URL must begin with AC (the account) or SK (an API key)")
	}
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

var messagingServiceSID = regexp.MustCompile(`^MG[0-9A-Za-z]{1,64}$`)

func (c *checker) sender(s *SMSSettings) {
	const hint = `write  from: "+628111234567"  for a number of yours, or  messaging_service: MG…  to let Twilio choose among several`
	switch {
	case s.From != "" && s.MessagingService != "":
		c.keyProblem(sms+".messaging_service", hint, `"from" and "messaging_service" exclude each other`)
	case !c.file.Has(sms+".from") && !c.file.Has(sms+".messaging_service"):
		if c.wellMade {
			c.problem(sms, hint, `sms needs a sender: "from" or "messaging_service"`)
		}
	case s.MessagingService != "" && !messagingServiceSID.MatchString(s.MessagingService):
		c.problem(sms+".messaging_service", "it is in Twilio's console below Messaging, Services", "a Messaging Service is MG and 32 digits")
	}
}
