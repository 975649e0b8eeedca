package customer

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Rails is the section "rails" of sapa.yaml: what holds for every campaign that does not say otherwise. Approval and
// seeds are added to what a campaign says itself; a campaign can't do without them. Quiet hours and the cap hold beside
// those of the campaign, unless it says none.
type Rails struct {
	MaxAudience Count      `yaml:"max_audience"`
	PauseIf     PauseIf    `yaml:"pause_if"`
	Approval    Approval   `yaml:"approval"`
	Seeds       []Seed     `yaml:"seeds"`
	QuietHours  QuietHours `yaml:"quiet_hours"`
	Cap         Cap        `yaml:"cap"`
	GiveUpAfter Span       `yaml:"give_up_after"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*Rails) KeyHint(key string) string {
	switch key {
	case "":
		return "such as  rails: {max_audience: 5000, pause_if: {bounces: 5%}}"
	case "bounces", "failures", "unsubscribes", "content", "after":
		return "it belongs below  pause_if:"
	case "limits":
		return "here its keys stand without it, such as  rails: {max_audience: 5000}"
	case "on_cap", "spread", "priority":
		return "each campaign says it for itself"
	}
	return GroupHint(key)
}

// PauseIf are the shares of messages with an outcome beyond which a run pauses; a zero one is not asked.
type PauseIf struct {
	Bounces      Share `yaml:"bounces" jsonschema_description:"Of addresses that the provider refused for good, or reported as not reached"`
	Failures     Share `yaml:"failures" jsonschema_description:"Of messages that failed for whatever reason"`
	Unsubscribes Share `yaml:"unsubscribes" jsonschema_description:"Of customers who unsubscribed"`
	Content      Share `yaml:"content" jsonschema_description:"Of messages whose template could not be filled; the campaign is then in quarantine (default 10%, and at least 10 people)"`
	After        Count `yaml:"after" jsonschema_description:"How many messages must have an outcome before a share counts (default 50)"`
}

// KeyHint implements strictyaml.KeyHinter.
func (*PauseIf) KeyHint(key string) string {
	switch key {
	case "":
		return "such as  pause_if: {bounces: 5%, after: 50}"
	case "max_audience":
		return "it belongs beside  pause_if:, not in it"
	}
	return GroupHint(key)
}

// DefaultContent is the share of people whom a template can't be filled for, beyond which a campaign is in quarantine, and
// DefaultAfter how many messages must have an outcome before a share counts, where nothing else is written.
const (
	DefaultContent Share = 0.1
	DefaultAfter   Count = 50
)

// Or fills what p does not say from other.
func (p PauseIf) Or(other PauseIf) PauseIf {
	for _, f := range []struct{ to, from *Share }{
		{&p.Bounces, &other.Bounces}, {&p.Failures, &other.Failures}, {&p.Unsubscribes, &other.Unsubscribes}, {&p.Content, &other.Content},
	} {
		if *f.to == 0 {
			*f.to = *f.from
		}
	}
	if p.After == 0 {
		p.After = other.After
	}
	return p
}

// Share is a part of a whole, above 0 and at most 1.
type Share float64

var sharePattern = regexp.MustCompile(`^(\d{1,3}(?:\.\d{1,3})?) ?%$`)

// UnmarshalScalar reads 5% or 0.3%.
func (s *Share) UnmarshalScalar(text string) error {
	const expected = "expected a share above 0% and up to 100%, such as 5% or 0.5%"
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return errors.New("expected a share in percent: write 5%, not 5 or 0.05")
	}
	m := sharePattern.FindStringSubmatch(text)
	if m == nil {
		return errors.New(expected)
	}
	percent, err := strconv.ParseFloat(m[1], 64)
	if err != nil || percent <= 0 || percent > 100 {
		return errors.New(expected)
	}
	*s = Share(percent / 100)
	return nil
}

// String is the share as it is written: 5%.
func (s Share) String() string {
	return strconv.FormatFloat(float64(s)*100, 'f', -1, 32) + "%"
}

// Count is a whole number from 1.
type Count int

var grouped = regexp.MustCompile(`^\d+([.,]\d{3})+$`)

// GroupHint is the hint for a key that is the rest of a number, "" for any other: {max_audience: 20,000} has two keys for YAML.
func GroupHint(key string) string {
	if _, err := strconv.Atoi(key); err == nil {
		return "a comma ends a value here: write 20000 or 20_000"
	}
	return ""
}

// UnmarshalScalar reads 5000.
func (c *Count) UnmarshalScalar(text string) error {
	if grouped.MatchString(text) {
		return errors.New("expected a whole number from 1 without commas and dots: write 20000 or 20_000")
	}
	n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
	if err != nil || n < 1 || n > 1<<28 {
		return errors.New("expected a whole number from 1, such as 5000")
	}
	*c = Count(n)
	return nil
}

// Approval says that a version needs the approval of a second person before anything runs by it.
type Approval bool

// UnmarshalScalar reads the one word that there is.
func (a *Approval) UnmarshalScalar(text string) error {
	if text != "required" {
		return errors.New("expected the word “required”; without approval leave the line out")
	}
	*a = true
	return nil
}

// Seed is an address of the company's own people that gets one copy of every run, by each channel that goes to such addresses.
type Seed struct {
	Phone   bool   // a number; otherwise an address of e-mail
	Address string // normalised
}

var seedPhone = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

// UnmarshalScalar reads an e-mail address, or a phone number with its country.
func (s *Seed) UnmarshalScalar(text string) error {
	if strings.Contains(text, "@") {
		var m Mailbox
		err := m.UnmarshalScalar(text)
		*s = Seed{Address: m.Addr}
		return err
	}
	number := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(text)
	if !seedPhone.MatchString(number) {
		return errors.New("expected an e-mail address such as ani@bengkel.example, or a phone number with its country such as +628111234567")
	}
	*s = Seed{Phone: true, Address: number}
	return nil
}
