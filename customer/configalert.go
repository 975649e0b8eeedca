package customer

import (
	"maps"
	"regexp"
	"slices"

	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// AlertSettings are whom of the company alerts can go to.
type AlertSettings struct {
	Desks map[string]*DeskSettings `yaml:"desks,required"` // by the name that campaigns write
}

// KeyHint implements strictyaml.KeyHinter.
func (*AlertSettings) KeyHint(key string) string {
	switch key {
	case "", "desks":
		return alertHint
	}
	return ""
}

const alertHint = "such as  alert: {desks: {front-desk: {name: Front desk}}}"

// DeskSettings is a place where somebody of the company looks at alerts: a page, and what alerts go to besides.
type DeskSettings struct {
	Name    string           `yaml:"name,required"` // as people call it, such as "Front desk"
	Email   Mailbox          `yaml:"email"`         // gets each alert, too, by channels.email
	Webhook *WebhookSettings `yaml:"webhook"`       // gets each alert, too
}

// KeyHint implements strictyaml.KeyHinter.
func (*DeskSettings) KeyHint(key string) string {
	switch key {
	case "", "name":
		return "such as  front-desk: {name: Front desk}"
	case "page":
		return "every desk has its page, at /alerts/ and its name"
	}
	return ""
}

// deskName is what can stand in the address of a page.
var deskName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// alert checks the desks.
func (c *checker) alert(s *AlertSettings) {
	if s == nil {
		return
	}
	const desks = "$.channels.alert.desks"
	if len(s.Desks) == 0 && c.wellMade {
		c.problem(desks, alertHint, "nobody would get the alerts")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Desks)) {
		path := strictyaml.Key(desks, name)
		if !deskName.MatchString(name) || len(name) > 60 {
			c.keyProblem(path, "use lower-case letters, digits and single -, such as front-desk", "%q can't be a desk's name", name)
		}
		d := s.Desks[name]
		if d == nil {
			continue // no value, reported by the decoder
		}
		c.webhook(path+".webhook", d.Webhook)
		if d.Email != (Mailbox{}) && !c.file.Has("$.channels.email") {
			c.problem(path+".email", "add channels.email, or leave email out", "there is no account that could send e-mail")
		}
	}
}
