// Package heap sets how the garbage collector weighs memory against processor time.
package heap

import (
	"os"
	"runtime/debug"
)

// growth is how much a heap may grow, in percent of what is alive, before it is collected. What is alive while sending is
// a few MB, whatever the number of recipients; at Go's 100 the collector took a tenth of a sending process's time.
const growth = 400

// Roomy collects less often than Go's default, unless the variable GOGC says how often (https://pkg.go.dev/runtime).
func Roomy() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}
