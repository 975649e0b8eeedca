package channels

import (
	"errors"
	"slices"
)

// Form says how a channel's content is written in a campaign file, below content: and the channel's name, and what the
// channel's addresses are. Each part that an author writes reaches the channel as Message.Parts.
type Form struct {
	Channel string // its word in campaign files, such as "webhook"
	About   string // what it is, in a line for completion in editors: "A letter on paper"
	Example string // content as it is written: `letter: {text: "Dear {{ customer.name }}, …"}`
	Address AddressKind
	Parts   []Part
	// Repeatable says that handing a message over twice does no harm: who gets it knows it again by its id. Such a message is
	// never unknown: what a process held that died is handed over again.
	Repeatable bool
	// Internal says that people of the company read it, and the customer never: their consent to the topic is not asked. Who was erased
	// is not named all the same.
	Internal bool
	// Rules are what an author's parts must be together. The first that does not hold is reported; editors know them, too.
	Rules []Rule
}

// Rule is a condition on the keys that are written. Exactly one of Any and Not is given.
type Rule struct {
	Any  []string // one of these keys at least
	Not  []string // not all of these keys
	Says string   // what is wrong where it does not hold, and how to mend it
}

// Wrong says what is wrong with the keys that are written; nil: nothing is.
func (f *Form) Wrong(keys []string) error {
	written := func(key string) bool { return slices.Contains(keys, key) }
	missing := func(key string) bool { return !written(key) }
	for _, r := range f.Rules {
		if len(r.Any) > 0 && !slices.ContainsFunc(r.Any, written) || len(r.Not) > 0 && !slices.ContainsFunc(r.Not, missing) {
			return errors.New(r.Says)
		}
	}
	return nil
}

// AddressKind is where the addresses of a channel come from.
type AddressKind int

// The kinds. Of MailAddress, PhoneAddress and PostAddress, sapa.yaml maps the customer's columns.
const (
	NoAddress    AddressKind = iota // it goes to somebody of the company, or to a program of its: whom, the channel's settings say
	MailAddress                     // an addr-spec (RFC 5322)
	PhoneAddress                    // a number in E.164
	PostAddress                     // lines of a postal address
)

// Part is one key of a channel's content.
type Part struct {
	Key      string
	About    string // a line for completion in editors
	Kind     PartKind
	Required bool
	Choices  []string                // of a Choice: what may be written; the first is what holds where nothing is
	Check    func(text string) error // of a Constant: what is wrong with it; of Values: with a name; nil: nothing can be
	Pattern  string                  // what Check asks, as a regular expression that editors know, too (ECMA 262 and RE2); "": it can't be said so
	Links    bool                    // of Values: a value may hold links, and become several lines
	Desk     bool                    // of a Constant: it is the name of one of the desks of sapa.yaml
	File     func(data []byte) error // of a Constant that names a file in templates/: what is wrong with the file; nil: it names none
}

// PartKind is how a part is written, and what reaches the channel.
type PartKind int

// The kinds.
const (
	Line     PartKind = iota // Liquid that becomes one line
	Text                     // Liquid, or the name of a file in templates/, that becomes a text
	HTML                     // Liquid, or the name of a file in templates/, that becomes HTML
	Values                   // names and a line of Liquid for each; they reach the channel as KEY.NAME
	Constant                 // the same for everybody
	Choice                   // one of Choices
)

// Part finds a part by its key.
func (f *Form) Part(key string) (Part, bool) {
	for _, p := range f.Parts {
		if p.Key == key {
			return p, true
		}
	}
	return Part{}, false
}
