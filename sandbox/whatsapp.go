package sandbox

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sessionLength is how long after a customer's message free text may go to them, by WhatsApp's rules.
const sessionLength = 24 * time.Hour

// errOutsideSession is Twilio's code for free text after that.
const errOutsideSession = 63016

// checkWhatsApp is what Twilio's API would refuse a request for a WhatsApp message with.
func (s *Server) checkWhatsApp(form url.Values) Reply {
	to, from := form.Get("To"), form.Get("From")
	switch {
	case !strings.HasPrefix(to, whatsAppPrefix) || from != "" && !strings.HasPrefix(from, whatsAppPrefix):
		return bad(21910, "Invalid From and To pair. From and To should be of the same channel")
	case !isNumber(bareNumber(to)):
		return invalidTo()
	case from != "" && !isNumber(bareNumber(from)):
		return bad(63007, "Twilio could not find a Channel with the specified From address")
	}
	return checkTemplate(form)
}

// checkTemplate looks at a content template's SID and variables.
func checkTemplate(form url.Values) Reply {
	if id := form.Get("ContentSid"); id != "" && !isContent(id) {
		return bad(21655, "The ContentSid "+id+" is Invalid")
	}
	if text := form.Get("ContentVariables"); text != "" {
		variables, err := readVariables(text)
		if err != nil {
			return bad(21656, "The Content Variables parameter is invalid")
		}
		for _, value := range variables {
			if value == "" || strings.ContainsAny(value, "\n\r\t") || strings.Contains(value, "    ") {
				return bad(21656, "The Content Variables parameter is invalid")
			}
		}
	}
	return Reply{}
}

func isContent(id string) bool {
	_, err := hex.DecodeString(strings.TrimPrefix(id, "HX"))
	return len(id) == 34 && id[:2] == "HX" && err == nil
}

func readVariables(text string) (variables map[string]string, err error) {
	err = json.Unmarshal([]byte(text), &variables)
	return variables, err
}

// bodyOf is what a message says. The sandbox has no templates: of one, its SID and its variables.
func bodyOf(form url.Values) string {
	id := form.Get("ContentSid")
	if id == "" {
		return form.Get("Body")
	}
	variables, err := readVariables(form.Get("ContentVariables"))
	if err != nil || len(variables) == 0 {
		return "[" + id + "]"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		parts = append(parts, fmt.Sprintf("{{%s}} = %s", name, variables[name]))
	}
	return "[" + id + "]\n" + strings.Join(parts, "\n")
}

// wrote notes that a customer has written to a sender.
func (o *optOuts) wrote(customer, sender string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sessions[[2]string{customer, sender}] = at
}

// inSession says whether a customer has written to a sender within the last 24 hours.
func (o *optOuts) inSession(customer, sender string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.sessions[[2]string{customer, sender}]
	return ok && now.Sub(at) < sessionLength
}
