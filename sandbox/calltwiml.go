package sandbox

import (
	"encoding/xml"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// callScript is what the sandbox understands of a call's TwiML: <Say>, <Play>, <Pause>, <Hangup> and one <Gather>.
type callScript struct {
	XMLName xml.Name   `xml:"Response"`
	Verbs   []callVerb `xml:",any"`
}

type callVerb struct {
	XMLName  xml.Name
	Language string     `xml:"language,attr"`
	Action   string     `xml:"action,attr"`
	Method   string     `xml:"method,attr"`
	Words    string     `xml:",chardata"`
	Verbs    []callVerb `xml:",any"`
}

// Heard is one line of a call's transcript.
type Heard struct {
	Who   string `json:"who"` // "call", "customer" or "answer": what is said to a key
	Words string `json:"words"`
}

func readCall(text string) (callScript, error) {
	var script callScript
	if err := xml.Unmarshal([]byte(text), &script); err != nil {
		return script, fmt.Errorf("not TwiML (error 12100): %w", err)
	}
	return script, checkVerbs(script.Verbs, true)
}

func checkVerbs(verbs []callVerb, gather bool) error {
	for _, v := range verbs {
		switch name := v.XMLName.Local; {
		case name == "Say" || name == "Play" || name == "Pause":
		case name == "Hangup" && gather:
		case name == "Gather" && gather:
			if err := checkVerbs(v.Verbs, false); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the sandbox does not know <%s> here (error 12200)", name)
		}
	}
	return nil
}

// gather is the first <Gather> that tells somebody; false without one.
func (s *callScript) gather() (callVerb, bool) {
	for _, v := range s.Verbs {
		if v.XMLName.Local == "Gather" && v.Action != "" {
			return v, true
		}
	}
	return callVerb{}, false
}

// lines are what the phone hears.
func (s *callScript) lines(who string) []Heard { return verbLines(who, s.Verbs) }

func verbLines(who string, verbs []callVerb) []Heard {
	var lines []Heard
	for _, v := range verbs {
		words := strings.TrimSpace(v.Words)
		switch v.XMLName.Local {
		case "Say":
			if v.Language != "" {
				words = "[" + v.Language + "] " + words
			}
			lines = append(lines, Heard{who, words})
		case "Play":
			lines = append(lines, Heard{who, "♪ " + words})
		case "Gather":
			lines = append(append(lines, verbLines(who, v.Verbs)...), Heard{who, "(waits for a key)"})
		}
	}
	return lines
}

// firstWords is how a call begins, for lists.
func (s *callScript) firstWords() string {
	for _, line := range s.lines("call") {
		return line.Words
	}
	return ""
}

// seconds is how long a call takes that is heard to its end: two words in a second, and ten seconds for a recording.
func (s *callScript) seconds() int {
	n := 3
	for _, line := range s.lines("call") {
		if strings.HasPrefix(line.Words, "♪") {
			n += 10
			continue
		}
		n += len(strings.Fields(line.Words)) / 2
	}
	return n
}

// readCallAnswer reads what a webhook wants said to a key.
func readCallAnswer(a answer) (string, error) {
	kind, _, _ := mime.ParseMediaType(a.contentType)
	switch {
	case strings.TrimSpace(a.body) == "" || a.status == http.StatusNoContent:
		return "", errors.New("the webhook answered without TwiML: Twilio would end the call with an error (11200)")
	case kind != "text/xml" && kind != "application/xml":
		return "", fmt.Errorf("the webhook answered with %q: Twilio wants text/xml (error 12300)", a.contentType)
	}
	script, err := readCall(a.body)
	if err != nil {
		return "", err
	}
	var words []string
	for _, line := range script.lines("answer") {
		words = append(words, line.Words)
	}
	return strings.Join(words, "\n"), nil
}
