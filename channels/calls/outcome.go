package calls

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Outcome is what came of calling somebody.
type Outcome string

// The outcomes. Of the first three the customer was spoken to, and of those that follow them each includes the one before.
const (
	Reached     Outcome = "reached"
	Interested  Outcome = "interested"
	Order       Outcome = "order"
	CallBack    Outcome = "call back"    // at a time that was agreed on
	NoAnswer    Outcome = "no answer"    // tried again later, and given up after some tries
	WrongNumber Outcome = "wrong number" // never called again
	DoNotCall   Outcome = "do not call"  // the customer wants no calls
)

// Outcomes are all of them, in the order in which agents see them.
func Outcomes() []Outcome {
	return []Outcome{Reached, Interested, Order, CallBack, NoAnswer, WrongNumber, DoNotCall}
}

// ParseOutcome reads an outcome; words may be joined by "-" or "_", as in no-answer. Its error names those that exist.
func ParseOutcome(text string) (Outcome, error) {
	o := Outcome(strings.NewReplacer("-", " ", "_", " ").Replace(text))
	if slices.Contains(Outcomes(), o) {
		return o, nil
	}
	names := make([]string, len(Outcomes()))
	for i, known := range Outcomes() {
		names[i] = known.Arg()
	}
	return "", fmt.Errorf("no outcome %q; %s", text, diag.DidYouMean(text, names))
}

// Arg is the outcome as one word, for command lines and forms: no-answer.
func (o Outcome) Arg() string { return strings.ReplaceAll(string(o), " ", "-") }

// Kind is the outcome's word among the kinds of responses: call_no_answer.
func (o Outcome) Kind() string {
	return "call_" + strings.ReplaceAll(strings.TrimPrefix(string(o), "call "), " ", "_")
}
