// Package heap sets how the garbage collector weighs memory against processor time.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Room is how much may be allocated between two collections, in bytes. What is alive while sending is a few MB, whatever the
// number of recipients; at Go's default, as much again as is alive, the collector took a tenth of a sending process's time.
const Room = 32 << 20

// Roomy collects less often than Go's default, unless the variable GOGC says how often (https://pkg.go.dev/runtime). The room is
// the same for a small heap and a larger one, until Go's default gives more.
func Roomy() {
	if os.Getenv("GOGC") == "" {
		adjust(&sentinel{})
	}
}

// sentinel is collected with each collection, and says so.
type sentinel struct{ _ [16]byte }

// adjust sets the percentage that gives the room to what the last collection left alive, and sees to it that it is called
// after the next one.
func adjust(s *sentinel) {
	debug.SetGCPercent(percent(alive()))
	runtime.SetFinalizer(s, adjust)
}

// alive is what the last collection left, in bytes.
func alive() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// percent is how much a heap may grow of which so much is alive.
func percent(alive uint64) int {
	const most = 1600                                       // of next to nothing
	return int(min(most, max(100, Room*100/max(1, alive)))) //nolint:gosec // at most 1600
}
