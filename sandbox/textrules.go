package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Callbacks is how the status callbacks of a text come. Without a word they come once, in order, when the status
// changes.
type Callbacks string

// The ways of callbacks to misbehave.
const (
	CallbacksEarly    Callbacks = "early"    // all of them before the API has answered the request
	CallbacksLate     Callbacks = "late"     // after Config.Late
	CallbacksTwice    Callbacks = "twice"    // each of them
	CallbacksReversed Callbacks = "reversed" // the last status first
	CallbacksNever    Callbacks = "never"
)

// ofText reports whether the stage is one of texts.
func (s Stage) ofText() bool { return s == AtRequest || s == AtCarrier }

// checkText is check for the stages of texts.
func (r Rule) checkText() error {
	answered := r.Reply.Code != 0
	switch {
	case answered && (r.Reply.Code < 400 || r.Reply.Code > 599):
		return fmt.Errorf("rule %q: reply %d is neither 4xx nor 5xx", r.name(), r.Reply.Code)
	case r.Stage == AtCarrier && (answered || r.Drop != DropNone || r.Delay != 0):
		return fmt.Errorf("rule %q: at %s the text has been accepted; use the stage %q", r.name(), r.Stage, AtRequest)
	case r.Stage == AtRequest && (r.Fail != 0 || r.Callbacks != "" || r.End != "" || r.Press != ""):
		return fmt.Errorf("rule %q: what becomes of a text is decided at %q", r.name(), AtCarrier)
	case answered && r.Drop != DropNone && (r.Drop != DropAfter || r.Reply.Code < 500):
		return fmt.Errorf("rule %q: choose either a reply or a drop", r.name())
	case r.Fail != 0 && carrierError(r.Fail) == "":
		return fmt.Errorf("rule %q: unknown error %d of a carrier: use 30003, 30005, 30006, 63024 or 63049", r.name(), r.Fail)
	case r.End != "" && !slices.Contains([]string{"delivered", "busy", "no-answer", "failed", "canceled"}, r.End):
		return fmt.Errorf("rule %q: nothing ends as %q: use delivered, busy, no-answer, failed or canceled", r.name(), r.End)
	case r.Press != "" && (len(r.Press) != 1 || !strings.Contains("0123456789*#", r.Press)):
		return fmt.Errorf("rule %q: %q is no key of a phone", r.name(), r.Press)
	}
	switch r.Callbacks {
	case "", CallbacksEarly, CallbacksLate, CallbacksTwice, CallbacksReversed, CallbacksNever:
		return nil
	}
	return fmt.Errorf("rule %q: unknown way of callbacks %q: use %q, %q, %q, %q or %q", r.name(), r.Callbacks,
		CallbacksEarly, CallbacksLate, CallbacksTwice, CallbacksReversed, CallbacksNever)
}

// carrierError is Twilio's description of an error that ends a text behind the API, "" for others.
func carrierError(code int) string {
	switch code {
	case 30003:
		return "Unreachable destination handset"
	case 30005:
		return "Unknown destination handset"
	case 30006:
		return "Landline or unreachable carrier"
	case 30036:
		return "Validity Period Expired"
	case errOutsideSession:
		return "Failed to send freeform message because you are outside the allowed window. If you are using WhatsApp, please use a Message Template."
	case 63024:
		return "Invalid message recipient"
	case 63049:
		return "Meta chose not to deliver this WhatsApp marketing message"
	}
	return ""
}

func tooMany() Reply {
	return Reply{Code: http.StatusTooManyRequests, Error: 20429, Words: "Too Many Requests"}
}

func serverError() Reply {
	return Reply{Code: http.StatusInternalServerError, Error: 20500, Words: "An internal server error has occurred"}
}

// badGateway has no error code: what stands before Twilio answers so, in HTML.
func badGateway() Reply { return Reply{Code: http.StatusBadGateway, Words: "Bad Gateway"} }

func unavailable() Reply {
	return Reply{Code: http.StatusServiceUnavailable, Error: 20503, Words: "Service Unavailable"}
}

// queueFull is refused for now, by a sender and not by the account.
func queueFull() Reply {
	return Reply{Code: http.StatusTooManyRequests, Error: 21611, Words: "This 'From' number has exceeded the maximum number of queued messages"}
}

// textWords are the words of ParseRules for texts.
func textWords() []Rule {
	return []Rule{
		{Name: "sms-429", Stage: AtRequest, Reply: tooMany(), Help: "too many requests, with Retry-After: 1"},
		{Name: "sms-21611", Stage: AtRequest, Reply: queueFull(), Help: "refused for now: the sender's queue is full, with Retry-After: 1"},
		{Name: "sms-21211", Stage: AtRequest, Reply: invalidTo(), Help: "refused for good: not a valid number"},
		{Name: "sms-21610", Stage: AtRequest, Reply: optedOut(), Help: "refused for good: unsubscribed"},
		{Name: "sms-21614", Stage: AtRequest, Reply: notMobile(), Help: "refused for good: can't receive texts"},
		{Name: "sms-500", Stage: AtRequest, Reply: serverError(), Help: "an error of the server; the text was not accepted"},
		{Name: "sms-502", Stage: AtRequest, Reply: badGateway(), Help: "an error page of something before the server; the text was not accepted"},
		{Name: "sms-503", Stage: AtRequest, Reply: unavailable(), Help: "unavailable; the text was not accepted"},
		{Name: "sms-500-after", Stage: AtRequest, Reply: serverError(), Drop: DropAfter, Help: "an error of the server, although the text was accepted"},
		{Name: "sms-503-after", Stage: AtRequest, Reply: unavailable(), Drop: DropAfter, Help: "unavailable, although the text was accepted"},
		{Name: "sms-timeout-before", Stage: AtRequest, Drop: HangBefore, Help: "no answer, the text is not accepted"},
		{Name: "sms-timeout-after", Stage: AtRequest, Drop: HangAfter, Help: "no answer, although the text was accepted"},
		{Name: "sms-drop-before", Stage: AtRequest, Drop: DropBefore, Help: "the connection is cut before the text is accepted"},
		{Name: "sms-drop-after", Stage: AtRequest, Drop: DropAfter, Help: "the connection is cut after the text was accepted"},
		{Name: "sms-delay", Stage: AtRequest, Help: "the answer to a text comes later: sms-delay=20ms, or sms-delay=2s/10%"},
		{Name: "sms-30003", Stage: AtCarrier, Channel: ChannelSMS, Fail: 30003, Help: "undelivered: the handset is switched off or away"},
		{Name: "sms-30005", Stage: AtCarrier, Channel: ChannelSMS, Fail: 30005, Help: "undelivered: the number is not known any more"},
		{Name: "sms-30006", Stage: AtCarrier, Channel: ChannelSMS, Fail: 30006, Help: "undelivered: a landline, or no carrier serves it"},
		{Name: "whatsapp-63024", Stage: AtCarrier, Channel: ChannelWhatsApp, Fail: 63024, Help: "undelivered: the number has no WhatsApp"},
		{Name: "whatsapp-63049", Stage: AtCarrier, Channel: ChannelWhatsApp, Fail: 63049, Help: "undelivered: Meta holds the advertisement back"},
		{Name: "whatsapp-unread", Stage: AtCarrier, Channel: ChannelWhatsApp, End: "delivered", Help: "a WhatsApp message is delivered and not read"},
		{Name: "voice-busy", Stage: AtCarrier, Channel: ChannelVoice, End: "busy", Help: "a call finds the line busy"},
		{Name: "voice-no-answer", Stage: AtCarrier, Channel: ChannelVoice, End: "no-answer", Help: "nobody answers a call"},
		{Name: "voice-failed", Stage: AtCarrier, Channel: ChannelVoice, End: "failed", Help: "a call can't be connected"},
		{Name: "voice-press-1", Stage: AtCarrier, Channel: ChannelVoice, Press: "1", Help: "the customer presses 1, where the call asks for a key"},
		{Name: "voice-press-2", Stage: AtCarrier, Channel: ChannelVoice, Press: "2", Help: "the customer presses 2"},
		{Name: "voice-press-9", Stage: AtCarrier, Channel: ChannelVoice, Press: "9", Help: "the customer presses 9"},
		{Name: "callbacks-early", Stage: AtCarrier, Callbacks: CallbacksEarly, Help: "all status callbacks come before the API's answer"},
		{Name: "callbacks-late", Stage: AtCarrier, Callbacks: CallbacksLate, Help: "status callbacks come later"},
		{Name: "callbacks-twice", Stage: AtCarrier, Callbacks: CallbacksTwice, Help: "each status callback comes twice"},
		{Name: "callbacks-reversed", Stage: AtCarrier, Callbacks: CallbacksReversed, Help: "status callbacks come in the wrong order"},
		{Name: "callbacks-never", Stage: AtCarrier, Callbacks: CallbacksNever, Help: "no status callback comes"},
	}
}

// MagicNumbers are the rules for magic recipients of texts, which always apply: Twilio's own, and every number that ends
// with the digits of ours, so that each country has them.
func MagicNumbers() []Rule {
	rules := []Rule{
		refuseNumber("+15005550001", invalidTo(), "refused: not a valid number"),
		refuseNumber("+15005550002", Reply{Code: 400, Error: 21612, Words: "The 'To' phone number: {to}, is not currently reachable using the 'From' phone number"}, "refused: no route to this number"),
		refuseNumber("+15005550003", Reply{Code: 400, Error: 21408, Words: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {to}"}, "refused: its country is not enabled"),
		refuseNumber("+15005550004", optedOut(), "refused: unsubscribed"),
		refuseNumber("+15005550009", notMobile(), "refused: can't receive texts"),
		refuseNumber("5551211", invalidTo(), "refused: not a valid number"),
		refuseNumber("5551610", optedOut(), "refused: unsubscribed"),
		refuseNumber("5551614", notMobile(), "refused: can't receive texts"),
	}
	ends := map[string]string{
		"sms-429": "5550429", "sms-500": "5550500", "sms-502": "5550502", "sms-503": "5550503",
		"sms-500-after": "5551500", "sms-503-after": "5551503",
		"sms-timeout-before": "5550408", "sms-timeout-after": "5551408", "sms-drop-before": "5550444", "sms-drop-after": "5551444",
		"sms-30003": "5553003", "sms-30005": "5553005", "sms-30006": "5553006",
		"whatsapp-63024": "5556324", "whatsapp-63049": "5556349", "whatsapp-unread": "5556400",
		"voice-busy": "5557486", "voice-no-answer": "5557487", "voice-failed": "5557404",
		"voice-press-1": "5557001", "voice-press-2": "5557002", "voice-press-9": "5557009",
		"callbacks-early": "5554001", "callbacks-late": "5554002", "callbacks-twice": "5554003",
		"callbacks-reversed": "5554004", "callbacks-never": "5554005",
	}
	for _, rule := range textWords() {
		if rule.To = ends[rule.Name]; rule.To != "" {
			rules = append(rules, rule)
		}
	}
	return rules
}

func refuseNumber(to string, reply Reply, help string) Rule {
	return Rule{Name: to, To: to, Stage: AtRequest, Reply: reply, Help: help}
}

// textDeed is what the rule does, in words.
func (r Rule) textDeed() string {
	var words []string
	if r.Delay > 0 {
		words = append(words, fmt.Sprintf("wait %s", r.Delay))
	}
	if r.Reply.Code != 0 {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%d %s", r.Reply.Code, r.Reply.Words)))
	}
	switch r.Drop {
	case DropBefore, DropAfter:
		if r.Reply.Code == 0 {
			words = append(words, fmt.Sprintf("cut the connection %s accepting", r.Drop))
		} else {
			words = append(words, "after accepting")
		}
	case HangBefore, HangAfter:
		words = append(words, fmt.Sprintf("no answer, %s accepting", strings.TrimPrefix(string(r.Drop), "hang ")))
	}
	if r.Fail != 0 {
		words = append(words, fmt.Sprintf("undelivered, %d %s", r.Fail, carrierError(r.Fail)))
	}
	if r.Callbacks != "" {
		words = append(words, fmt.Sprintf("callbacks %s", r.Callbacks))
	}
	if r.End != "" {
		words = append(words, r.End+" in the end")
	}
	if r.Press != "" {
		words = append(words, "the key "+r.Press+" is pressed")
	}
	return strings.Join(words, ", ")
}

// fortune is what becomes of an accepted message: the rules that decide it.
type fortune struct{ fate, callbacks, end, press Rule }

// carrier chooses what becomes of an accepted message: of each kind the first rule that applies.
func (m *misbehaviour) carrier(channel, to string) (f fortune) {
	first := func(into *Rule, r Rule, does bool) {
		if does && into.Stage == "" {
			*into = r
		}
	}
	for _, r := range m.rules {
		if r.Stage != AtCarrier || r.Channel != "" && r.Channel != channel || !r.appliesTo(to) || !m.draw(r.Share) {
			continue
		}
		first(&f.fate, r, r.Fail != 0)
		first(&f.callbacks, r, r.Callbacks != "")
		first(&f.end, r, r.End != "")
		first(&f.press, r, r.Press != "")
	}
	return f
}
