package sandbox

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Rule makes the sandbox misbehave. A rule that applies first waits for Delay; then the first applying rule with a
// Reply or a Drop decides what happens to the message. At AtCarrier, where a text has been accepted, the first applying
// rule with a Fail and the first with Callbacks decide.
type Rule struct {
	Name      string        // short word; kept with the verdicts that the rule causes
	To        string        // whom it applies to: a magic word of mail recipients (see Magic), the end of a number; "" for all
	Share     float64       // share of the messages that it takes, drawn for each attempt; 0 means all of them
	Stage     Stage         // of mail AtRecipient or AtDot (the default), of texts AtRequest or AtCarrier
	Delay     time.Duration // wait before the reply
	Reply     Reply         // refuse with this reply; the zero Reply refuses nothing
	Drop      Drop
	Fail      int       // AtCarrier: the text is not delivered, for this error of Twilio's, such as 30003
	Callbacks Callbacks // AtCarrier
	Channel   string    // AtCarrier: whose messages it applies to; "" for those of every channel of Twilio's
	End       string    // AtCarrier: the status in which a WhatsApp message or a call ends
	Press     string    // AtCarrier: the key that the customer presses during a call
	Help      string    // one sentence for the page
}

// Reply is an SMTP reply, or an answer of Twilio's API.
type Reply struct {
	Code     int    // 4xx or 5xx
	Enhanced [3]int // RFC 3463 status, of an SMTP reply
	Error    int    // Twilio's error code, of an answer of its API
	Words    string // {to} stands for the recipient
}

// Drop is when a connection is cut, or falls silent, instead of being answered.
type Drop string

// The ways to give no answer. At AtRequest, DropAfter with a 5xx Reply means accepted, durable, and answered with the
// error.
const (
	DropNone   Drop = ""
	DropBefore Drop = "before"      // before the message is accepted: it was not taken
	DropAfter  Drop = "after"       // after it was accepted and made durable: it was taken, the client does not know
	HangBefore Drop = "hang before" // of texts: as DropBefore, but silent for Config.Hang first
	HangAfter  Drop = "hang after"  // of texts: as DropAfter, but silent for Config.Hang first
)

// Magic are the rules for magic recipients of mail, which always apply. A rule with To "bounce" means the addresses
// bounce@…, *+bounce@… and *@bounce.…
func Magic() []Rule {
	return []Rule{
		{
			To: "bounce", Stage: AtRecipient, Reply: Reply{Code: 550, Enhanced: [3]int{5, 1, 1}, Words: "No such mailbox here"},
			Help: "refused for good: the mailbox does not exist (a hard bounce)",
		},
		{
			To: "later", Stage: AtRecipient, Reply: Reply{Code: 451, Enhanced: [3]int{4, 7, 1}, Words: "Greylisted, try again later"},
			Help: "refused for now, each time",
		},
		{
			To: "full", Stage: AtRecipient, Reply: Reply{Code: 452, Enhanced: [3]int{4, 2, 2}, Words: "Mailbox full"},
			Help: "refused for now: the mailbox is full",
		},
		{
			To: "spam", Reply: Reply{Code: 554, Enhanced: [3]int{5, 7, 1}, Words: "Message refused as spam"},
			Help: "refused for good after the text was read",
		},
		{To: "slow", Delay: 2 * time.Second, Help: "accepted after two seconds"},
		{To: "drop", Drop: DropBefore, Help: "the connection is cut before the message is accepted"},
		{To: "silent", Drop: DropAfter, Help: "accepted, but the connection is cut instead of the reply"},
	}
}

// Words are the words of ParseRules as rules without a share: those of mail, then those of texts.
func Words() []Rule {
	mail := []Rule{
		{Name: "4xx", Stage: AtDot, Reply: Reply{Code: 451, Enhanced: [3]int{4, 3, 0}, Words: "Temporary failure, as asked for"}, Help: "mail is refused for now"},
		{Name: "5xx", Stage: AtDot, Reply: Reply{Code: 554, Enhanced: [3]int{5, 3, 0}, Words: "Permanent failure, as asked for"}, Help: "mail is refused for good"},
		{Name: "drop-before", Stage: AtDot, Drop: DropBefore, Help: "the connection is cut before the mail is accepted"},
		{Name: "drop-after", Stage: AtDot, Drop: DropAfter, Help: "the connection is cut after the mail was accepted"},
		{Name: "delay", Stage: AtDot, Help: "the reply to mail comes later: delay=20ms, or delay=2s/10% for a share of it"},
	}
	return append(mail, textWords()...)
}

// ParseRules reads misbehaviour from a command line: words with a share or a duration, separated by commas, such as
//
//	4xx=5%, drop-after=0.5%, delay=2s/10%, sms-429=5%, sms-timeout-after=5%, callbacks-late=10%
//
// Words lists them.
func ParseRules(text string) ([]Rule, error) {
	var rules []Rule
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		rule, err := parseRule(part)
		if err != nil {
			return nil, fmt.Errorf("misbehaviour %q: %w", part, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func parseRule(part string) (Rule, error) {
	word, share, found := strings.Cut(part, "=")
	if !found {
		return Rule{}, fmt.Errorf("write a word and a value, such as 4xx=5%%")
	}
	rule, err := wordRule(word)
	if err != nil {
		return Rule{}, err
	}
	if word == "delay" || word == "sms-delay" {
		if rule.Delay, share, err = parseDelay(share); err != nil {
			return Rule{}, err
		}
	}
	rule.Share, err = parseShare(share)
	return rule, err
}

func wordRule(word string) (Rule, error) {
	var known []string
	for _, rule := range Words() {
		if rule.Name == word {
			return rule, nil
		}
		known = append(known, rule.Name)
	}
	return Rule{}, fmt.Errorf("unknown word %q: %s", word, diag.DidYouMean(word, known))
}

func parseDelay(value string) (d time.Duration, share string, err error) {
	duration, share, found := strings.Cut(value, "/")
	if !found {
		share = "100%"
	}
	d, err = time.ParseDuration(duration)
	if err != nil || d <= 0 || d > 10*time.Minute {
		return 0, "", fmt.Errorf("%q is not a duration of up to 10m, such as 20ms", duration)
	}
	return d, share, nil
}

func parseShare(value string) (float64, error) {
	number, found := strings.CutSuffix(value, "%")
	share, err := strconv.ParseFloat(number, 64)
	if !found || err != nil || !(share > 0 && share <= 100) {
		return 0, fmt.Errorf("%q is not a share above 0%% and up to 100%%, such as 5%%", value)
	}
	return share / 100, nil
}

// check refuses rules that would do nothing or something else than they say.
func (r Rule) check() error {
	switch {
	case r.Share < 0 || r.Share > 1:
		return fmt.Errorf("rule %q: share %v is not between 0 and 1", r.name(), r.Share)
	case r.stage().ofText():
		return r.checkText()
	case r.stage() != AtDot && r.stage() != AtRecipient:
		return fmt.Errorf("rule %q: unknown stage %q: use %q or %q", r.name(), r.Stage, AtRecipient, AtDot)
	case r.Reply.Code != 0 && (r.Reply.Code < 400 || r.Reply.Code > 599):
		return fmt.Errorf("rule %q: reply %d is neither 4xx nor 5xx", r.name(), r.Reply.Code)
	case r.Drop == DropAfter && r.Stage == AtRecipient:
		return fmt.Errorf("rule %q: a message can't be accepted at %s", r.name(), r.Stage)
	case r.Reply.Code != 0 && r.Drop != DropNone:
		return fmt.Errorf("rule %q: choose either a reply or a drop", r.name())
	case r.Drop == HangBefore || r.Drop == HangAfter || r.Fail != 0 || r.Callbacks != "":
		return fmt.Errorf("rule %q: that happens to texts only: use the stage %q or %q", r.name(), AtRequest, AtCarrier)
	}
	return nil
}

func (r Rule) name() string {
	if r.Name != "" {
		return r.Name
	}
	return r.To
}

func (r Rule) stage() Stage {
	if r.Stage == "" {
		return AtDot
	}
	return r.Stage
}

// appliesTo reports whether the rule's magic word is the recipient's local part, its +tag or its domain's first label,
// or the end of the number.
func (r Rule) appliesTo(recipient string) bool {
	if r.To == "" {
		return true
	}
	if r.stage().ofText() {
		return strings.HasSuffix(recipient, r.To)
	}
	local, domain, _ := strings.Cut(strings.ToLower(recipient), "@")
	label, _, _ := strings.Cut(domain, ".")
	return local == r.To || strings.HasSuffix(local, "+"+r.To) || label == r.To
}

// misbehaviour is the rules with the dice.
type misbehaviour struct {
	rules []Rule

	mu   sync.Mutex
	dice *rand.Rand
}

func newMisbehaviour(rules []Rule, seed uint64) (*misbehaviour, error) {
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return &misbehaviour{rules: rules, dice: rand.New(rand.NewPCG(seed, 0x5a9a))}, nil
}

// at chooses what happens at a stage: how long to wait, and the rule that then decides, if any.
func (m *misbehaviour) at(stage Stage, recipients ...string) (delay time.Duration, decides Rule, found bool) {
	for _, r := range m.rules {
		if r.stage() != stage || !anyRecipient(r, recipients) || !m.draw(r.Share) {
			continue
		}
		delay += r.Delay
		if !found && (r.Reply.Code != 0 || r.Drop != DropNone) {
			decides, found = r, true
		}
	}
	return delay, decides, found
}

func anyRecipient(r Rule, recipients []string) bool {
	for _, to := range recipients {
		if r.appliesTo(to) {
			return true
		}
	}
	return false
}

func (m *misbehaviour) draw(share float64) bool {
	if share == 0 || share == 1 {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dice.Float64() < share
}

// String is the rule in words, such as "4xx for 5 % of the messages: 451 4.3.0 Temporary failure, as asked for".
func (r Rule) String() string {
	share := 100.0
	if r.Share > 0 {
		share = r.Share * 100
	}
	if r.stage().ofText() {
		return fmt.Sprintf("%s for %.4g %% of the texts: %s", r.name(), share, r.textDeed())
	}
	words := []string{fmt.Sprintf("%s for %.4g %% of the messages:", r.name(), share)}
	if r.Delay > 0 {
		words = append(words, fmt.Sprintf("wait %s", r.Delay))
	}
	if r.Reply.Code != 0 {
		e := r.Reply.Enhanced
		words = append(words, fmt.Sprintf("%d %d.%d.%d %s", r.Reply.Code, e[0], e[1], e[2], r.Reply.Words))
	}
	if r.Drop != DropNone {
		words = append(words, fmt.Sprintf("cut the connection %s accepting", r.Drop))
	}
	return strings.Join(words, " ")
}
