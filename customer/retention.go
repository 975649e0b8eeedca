package customer

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Retention is the section "retention" of sapa.yaml: how long each kind of personal data is kept. docs/privacy.md says
// what each means and why the defaults are what they are; package privacy carries it out.
type Retention struct {
	Hits      Age `yaml:"hits"`      // IP addresses and user agents of opens and clicks
	Links     Age `yaml:"links"`     // personal parts of the short links in text messages
	Letters   Age `yaml:"letters"`   // addresses and texts of letters on paper
	Calls     Age `yaml:"calls"`     // names, scripts and notes of calls
	Words     Age `yaml:"words"`     // servers' words about messages, which may quote addresses
	Inbound   Age `yaml:"inbound"`   // senders and texts of customers' messages
	Alerts    Age `yaml:"alerts"`    // what desks were told about customers
	Events    Age `yaml:"events"`    // data of events, and the keys by which a repetition is known
	Evidence  Age `yaml:"evidence"`  // of decisions that no longer count, or that withdrew a consent
	Addresses Age `yaml:"addresses"` // addresses that no message went to for so long
	Messages  Age `yaml:"messages"`  // whole months of messages and attempts
}

// DefaultRetention is what holds for kinds that sapa.yaml does not name.
func DefaultRetention() Retention {
	return Retention{
		Hits: Age{Days: 90}, Links: Age{Days: 365}, Letters: Age{Days: 365}, Calls: Age{Days: 365}, Words: Age{Days: 365}, Inbound: Age{Days: 365},
		Alerts: Age{Days: 90}, Events: Age{Days: 365},
		Evidence: Age{Months: 60}, Addresses: Age{Days: 730},
	}
}

// Age is how old something may become: days or calendar months. The zero Age is "never": it is kept for ever.
type Age struct{ Days, Months int }

var agePattern = regexp.MustCompile(`^([1-9]\d{0,3}) ?(d|w|mo|y)$`)

// UnmarshalScalar reads an age such as 90d, 12w, 24mo, 5y or never.
func (a *Age) UnmarshalScalar(text string) error {
	if text == "never" {
		*a = Age{}
		return nil
	}
	m := agePattern.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a time such as 90d, 12w, 24mo or 5y, or never, for what is kept for ever")
	}
	n, err := strconv.Atoi(m[1])
	*a = map[string]Age{"d": {Days: n}, "w": {Days: 7 * n}, "mo": {Months: n}, "y": {Months: 12 * n}}[m[2]]
	return err
}

// Ends says whether what is so old goes at all.
func (a Age) Ends() bool { return a != Age{} }

// Before is the moment such that what is older has exceeded its age.
func (a Age) Before(now time.Time) time.Time {
	now = now.UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, -a.Months, 0)
	day := min(now.Day(), first.AddDate(0, 1, -1).Day()) // a month before 31 March is the end of February
	return first.AddDate(0, 0, day-1).Add(now.Sub(now.Truncate(24*time.Hour))).AddDate(0, 0, -a.Days)
}

// String is the age as sapa.yaml writes it.
func (a Age) String() string {
	switch {
	case !a.Ends():
		return "never"
	case a.Months == 0:
		return fmt.Sprintf("%dd", a.Days)
	case a.Months%12 == 0:
		return fmt.Sprintf("%dy", a.Months/12)
	}
	return fmt.Sprintf("%dmo", a.Months)
}

// KeyHint implements strictyaml.KeyHinter.
func (*Retention) KeyHint(key string) string {
	switch key {
	case "occasions", "consents", "suppressions":
		return "it is kept for ever: it says what was meant to be sent, and whom not to write to"
	case "attempts", "responses":
		return "it goes with its messages:  messages: 24mo"
	case "":
		return "such as  retention: {hits: 90d, messages: 24mo}"
	}
	return ""
}

// retention checks what the form of the section can't say.
func (c *checker) retention(r Retention) {
	if c.file.Sound("$.retention.messages") && r.Messages.Days > 0 {
		c.problem("$.retention.messages", "write for example 24mo or 2y", "messages are dropped by whole months")
	}
}
