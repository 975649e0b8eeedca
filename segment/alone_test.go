package segment

import (
	"os"
	"strings"
	"testing"
)

// alone skips a test under the race detector, which can find nothing in it, as one goroutine does all the work, and makes
// it take four times as long. "make test" runs these tests in a step of their own; one that its Makefile forgot fails.
func alone(t testing.TB) {
	t.Helper()
	if !raceDetector {
		return
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, step, _ := strings.Cut(string(makefile), "\nALONE := ")
	names, _, _ := strings.Cut(step, "\n")
	for name := range strings.SplitSeq(names, "|") {
		if name == t.Name() {
			t.Skip("make test runs this test without the race detector")
		}
	}
	t.Fatalf("add %s to ALONE in the Makefile: without it, make test does not run this test", t.Name())
}
