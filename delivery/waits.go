package delivery

import "time"

// Waits are how long an engine waits before it tries something again. What is zero is as it should be but for tests and
// drills.
type Waits struct {
	// Again are the waits before another attempt after a refusal for now, in business time; after the last one a message is
	// given up. 1 min, 5 min, 15 min, 1 h, 4 h, 12 h.
	Again []time.Duration
	// LookUp is how long after a hand-over without an answer its provider is asked which messages it took, by the clocks of
	// database and channel: 2 min, 10 min, 1 h, 6 h, a day.
	LookUp []time.Duration
	// LookUpEvery is how often an engine looks whose turn it is to be asked about; 1 min.
	LookUpEvery time.Duration
	// LookUpPause is between two questions of one engine's; 100 ms.
	LookUpPause time.Duration
}

func (w Waits) withDefaults() Waits {
	if w.Again == nil {
		w.Again = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour}
	}
	if w.LookUp == nil {
		w.LookUp = []time.Duration{2 * time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}
	}
	if w.LookUpEvery == 0 {
		w.LookUpEvery = time.Minute
	}
	if w.LookUpPause == 0 {
		w.LookUpPause = 100 * time.Millisecond
	}
	return w
}
