package customer

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/secret"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// EmailFallback is a second account for e-mail: messages go by it while the first one can't be used.
type EmailFallback struct {
	SMTP        secret.Text `yaml:"smtp,required"`
	From        Mailbox     `yaml:"from"` // zero: the first account's
	Rate        Rate        `yaml:"rate"`
	Connections int         `yaml:"connections"`
	WarmUp      *WarmUp     `yaml:"warm_up"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*EmailFallback) KeyHint(key string) string {
	switch key {
	case "", "smtp":
		return `such as  fallback: {smtp: "${SMTP_URL_2}"}`
	case "domains", "reply_to":
		return "it stands in email: beside fallback:, and holds for both accounts"
	case "fallback":
		return "there are two accounts, and no third"
	}
	return ""
}

// SMSFallback is a second account at Twilio, with a sender of its own.
type SMSFallback struct {
	Twilio           secret.Text `yaml:"twilio,required"`
	AuthToken        secret.Text `yaml:"auth_token"`
	From             Sender      `yaml:"from"`
	MessagingService string      `yaml:"messaging_service"`
	Rate             Rate        `yaml:"rate"`
	Connections      int         `yaml:"connections"`
	WarmUp           *WarmUp     `yaml:"warm_up"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*SMSFallback) KeyHint(key string) string {
	switch key {
	case "", "twilio":
		return `such as  fallback: {twilio: "${TWILIO_URL_2}", from: "+628119876543"}`
	case "answers":
		return "it stands in sms: beside fallback:, and holds for both accounts"
	case "fallback":
		return "there are two accounts, and no third"
	}
	return ""
}

// KeyHint implements strictyaml.KeyHinter.
func (*SMSSettings) KeyHint(key string) string {
	if key == "domains" {
		return "only e-mail goes to domains"
	}
	return ""
}

// WarmUp is how a new account begins: Start messages on the first day of its use, and twice as many every DoubleEvery.
type WarmUp struct {
	Start       PerDay `yaml:"start,required"`
	DoubleEvery Days   `yaml:"double_every,required"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*WarmUp) KeyHint(string) string { return "such as  warm_up: {start: 500/day, double_every: 2d}" }

// warmedUp is how many messages a day an account takes that needs no warm-up any more, where it has no rate.
const warmedUp = 1_000_000

// FullDay is how many messages a day an account takes whose warm-up is over. The rate is in messages a second; 0 is none.
func FullDay(rate float64) int {
	if rate == 0 {
		return warmedUp
	}
	return int(math.Round(rate * (24 * time.Hour).Seconds()))
}

// Amount is how many messages may go on a day, 0 being that of the account's first use; false when the warm-up is over by then,
// since that would be as many as full or more.
func (w WarmUp) Amount(day, full int) (amount int, during bool) {
	amount = int(w.Start)
	for doubled := 0; doubled < day/int(w.DoubleEvery) && amount < full; doubled++ {
		amount *= 2
	}
	return amount, amount < full
}

// PerDay is a number of messages a day.
type PerDay int

var perDayPattern = regexp.MustCompile(`^([1-9]\d{0,7}) ?/ ?(?:d|day)$`)

// UnmarshalScalar reads 500/day.
func (p *PerDay) UnmarshalScalar(text string) error {
	m := perDayPattern.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a number of messages a day such as 500/day")
	}
	n, err := strconv.Atoi(m[1])
	*p = PerDay(n)
	return err
}

// Days is a number of whole days.
type Days int

var daysPattern = regexp.MustCompile(`^([1-9]\d{0,2}) ?(d|w)$`)

// UnmarshalScalar reads 2d or 1w.
func (d *Days) UnmarshalScalar(text string) error {
	m := daysPattern.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a number of days such as 2d or 1w")
	}
	n, err := strconv.Atoi(m[1])
	*d = Days(map[string]int{"d": 1, "w": 7}[m[2]] * n)
	return err
}

// Throttle is what the server of some recipients takes, whichever account messages go by.
type Throttle struct {
	Lane        string   // its name: the domain that sapa.yaml writes it for
	Domains     []string // of recipients, lower-case ASCII, as in table addresses; the first one is Lane
	Rate        Rate     // of all processes together; zero: none of its own
	Connections int      // how many connections of a process may carry messages to it at once; 0: all
}

// Throttles are those of the key "domains", in the file's order.
type Throttles []Throttle

// Lanes are the domains that have a throttle, each with its lane.
func (t Throttles) Lanes() map[string]string {
	lanes := map[string]string{}
	for _, throttle := range t {
		for _, domain := range throttle.Domains {
			lanes[domain] = throttle.Lane
		}
	}
	return lanes
}

const throttleForm = "a rate such as 20/s, or {rate: 5/s, connections: 2, with: [ymail.com]}"

// UnmarshalNode reads {gmail.com: 20/s, yahoo.com: {rate: 5/s, connections: 2, with: [ymail.com]}}.
func (t *Throttles) UnmarshalNode(n strictyaml.Node) diag.List {
	if n.Kind() != strictyaml.Map || len(n.Entries()) == 0 {
		return diag.List{n.Expected("", "a group such as {gmail.com: 20/s}")}
	}
	var problems diag.List
	named := domainNames{}
	for _, e := range n.Entries() {
		throttle, with, more := readThrottle(e.Value)
		problems = append(problems, more...)
		domain, wrong := named.take(e.Key)
		if wrong != "" {
			problems = append(problems, n.File().KeyProblem(e.Value.Path(), domainHint, "%s", wrong))
			continue
		}
		throttle.Lane, throttle.Domains = domain, []string{domain}
		for _, other := range with {
			domain, wrong := named.take(other.Text())
			if wrong != "" {
				problems = append(problems, other.Problem(domainHint, "%s", wrong))
				continue
			}
			throttle.Domains = append(throttle.Domains, domain)
		}
		*t = append(*t, throttle)
	}
	return problems
}

const domainHint = "write what stands behind the @, such as gmail.com, once; a domain below it is one of its own"

// domainNames are the domains that have a throttle.
type domainNames map[string]bool

// take reads one more domain; wrong says why it can't have a throttle.
func (d domainNames) take(text string) (domain, wrong string) {
	address := NormaliseEmail("x@" + text)
	switch {
	case !address.Usable() || strings.Contains(text, "@"):
		return "", fmt.Sprintf("%q is no domain", text)
	case d[address.Domain]:
		return "", address.Domain + " has a throttle already"
	}
	d[address.Domain] = true
	return address.Domain, ""
}

// readThrottle reads the limits of one domain, and the further ones that share them.
func readThrottle(n strictyaml.Node) (t Throttle, with []strictyaml.Node, problems diag.List) {
	var keys struct {
		Rate        Rate     `yaml:"rate"`
		Connections int      `yaml:"connections"`
		With        []string `yaml:"with"`
	}
	switch {
	case !n.File().Sound(n.Path()):
		return t, nil, nil
	case n.Kind() == strictyaml.Text:
		problems = n.Decode(&keys.Rate)
	case n.Kind() == strictyaml.Map:
		problems = n.Decode(&keys)
		if keys.Connections < 0 || keys.Connections > mostConnections {
			problems = append(problems, n.File().Problem(n.Path()+".connections", "", "the number of connections must be between 1 and %d", mostConnections))
		}
		if len(problems) == 0 && !n.File().Has(n.Path()+".rate") && !n.File().Has(n.Path()+".connections") {
			problems = append(problems, n.Problem("write "+throttleForm, "neither a rate nor a number of connections"))
		}
	default:
		return t, nil, diag.List{n.Expected("", throttleForm)}
	}
	for _, e := range n.Entries() {
		if e.Key == "with" {
			with = slices.DeleteFunc(e.Value.Items(), func(n strictyaml.Node) bool { return n.Kind() != strictyaml.Text })
		}
	}
	return Throttle{Rate: keys.Rate, Connections: keys.Connections}, with, problems
}

// How many connections an account may have.
const (
	mostConnections    = 500
	mostSMSConnections = 100
)

func (c *checker) email(s *EmailSettings) {
	if s == nil {
		return
	}
	const email = "$.channels.email"
	c.smtpURL(email+".smtp", s.SMTP)
	c.limits(email, s.Connections, mostConnections, s.WarmUp, s.Rate)
	if f := s.Fallback; f != nil {
		c.smtpURL(email+".fallback.smtp", f.SMTP)
		c.limits(email+".fallback", f.Connections, mostConnections, f.WarmUp, f.Rate)
		c.differ(email+".fallback.smtp", s.SMTP, f.SMTP)
	}
}

func (c *checker) smtpURL(path string, text secret.Text) {
	if !c.file.Sound(path) || !c.file.Has(path) {
		return
	}
	u, err := url.Parse(text.Reveal())
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
		c.problem(path, "in user and password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25",
			"expected a URL such as smtp://user:password@mail.example:587, or smtps:// for TLS from the start")
	}
}

// limits checks what every account has.
func (c *checker) limits(path string, connections, most int, w *WarmUp, rate Rate) {
	if connections < 0 || connections > most {
		c.problem(path+".connections", "", "the number of connections must be between 1 and %d", most)
	}
	if w == nil || w.Start == 0 || w.DoubleEvery == 0 {
		return
	}
	if _, during := w.Amount(0, FullDay(rate.PerSecond())); !during {
		hint := "begin with less, or leave warm_up out"
		if rate.Per != 0 {
			c.problem(path+".warm_up.start", hint, "%d a day is all that the rate allows (%d a day): there is nothing to warm up", w.Start, FullDay(rate.PerSecond()))
			return
		}
		c.problem(path+".warm_up.start", hint, "a warm-up is over at %d a day", warmedUp)
	}
}

// differ checks that the second account is another one.
func (c *checker) differ(path string, one, two secret.Text) {
	if one != "" && one == two {
		c.problem(path, "name another server, or another user there", "both accounts are the same: when one can't be used, neither can the other")
	}
}

// accountURLs are the places of URLs with credentials, and of what else is secret.
func accountURLs() []string {
	var paths []string
	for _, account := range []string{
		"$.channels.email", "$.channels.email.fallback", "$.channels.sms", "$.channels.sms.fallback",
		"$.channels.whatsapp", "$.channels.whatsapp.fallback", "$.channels.voice", "$.channels.voice.fallback",
	} {
		for _, key := range []string{"smtp", "twilio", "auth_token"} {
			paths = append(paths, fmt.Sprintf("%s.%s", account, key))
		}
	}
	return paths
}
