package email

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

// Faults of which an engine dies that loses messages or sends them twice; each must be noticed.
func TestMistakesAreNoticed(t *testing.T) {
	t.Parallel()
	becomes := func(from channels.Verdict, err error) func(outcome) *outcome {
		return func(o outcome) *outcome {
			if channels.VerdictOf(o.err) != from {
				return nil
			}
			return &outcome{o.receipt, err}
		}
	}
	someError := errors.New("planted")
	var before *outcome
	late := func(o outcome) *outcome {
		said := before
		before = &o
		return said
	}
	for name, m := range map[string]mistake{
		"no answer is a refusal for now":       {judge: becomes(channels.VerdictUnknown, channels.RetryAfter(someError, 0))},
		"no answer is an acceptance":           {judge: becomes(channels.VerdictUnknown, nil)},
		"nothing handed over is unknown":       {judge: becomes(channels.VerdictUnavailable, channels.Unknown(someError))},
		"a refusal is an acceptance":           {judge: becomes(channels.VerdictPermanent, nil)},
		"a refusal for now is an acceptance":   {judge: becomes(channels.VerdictRetry, nil)},
		"an acceptance is a refusal for now":   {judge: becomes(channels.VerdictAccepted, channels.RetryAfter(someError, 0))},
		"an acceptance is unknown":             {judge: becomes(channels.VerdictAccepted, channels.Unknown(someError))},
		"the hand-over is noted after it":      {judge: func(o outcome) *outcome { return &outcome{channels.Receipt{}, o.err} }},
		"a word too many is not noticed":       {plant: func(s *session) { s.wire.ahead = quiet }},
		"a verdict is the message's before it": {judge: late},
		"an error repeats the server's words":  {judge: func(o outcome) *outcome { return &outcome{o.receipt, wordy(o)} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, scripts := range []func(func(script) bool){oddities, cuts, pairs} {
				for s := range scripts {
					if _, wrong := play(s, m); len(wrong) > 0 {
						return
					}
				}
			}
			t.Error("nobody noticed")
		})
	}
}

// wordy is the error of an outcome with the server's words.
func wordy(o outcome) error {
	if o.err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", o.err, o.receipt.Words)
}
