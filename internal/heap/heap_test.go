package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	t.Parallel()
	for alive, want := range map[uint64]int{
		0: 1600, 1 << 20: 1600, 4 << 20: 800, 8 << 20: 400, 16 << 20: 200, 32 << 20: 100, 1 << 30: 100,
	} {
		if got := percent(alive); got != want {
			t.Errorf("of %d bytes alive it may grow by %d percent, want %d", alive, got, want)
		}
	}
}

// The percentage follows what is alive.
func TestRoomy(t *testing.T) { //nolint:paralleltest // the collector is everybody's
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	Roomy()
	held := make([]byte, 2*Room)
	for range 100 {
		runtime.GC()
		now := debug.SetGCPercent(100)
		if now == 100 {
			runtime.KeepAlive(held)
			return
		}
		debug.SetGCPercent(now)
		time.Sleep(10 * time.Millisecond) // the finalizer runs by itself
	}
	t.Error("with much alive the heap still grows by more than Go's default")
}
