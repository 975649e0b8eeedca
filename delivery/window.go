package delivery

import "sync"

// InDoubt bounds what a process that is killed leaves unknown: so many messages at most may be handed over while their
// verdicts are not in the ledger yet.
const InDoubt = 64

// reserved are the places of the window that only triggered messages may take.
const reserved = 8

// window counts the messages of a process that may have been handed over and whose verdicts are not in the ledger yet.
type window struct {
	mu    sync.Mutex
	used  int
	freed chan struct{} // closed when places have become free
}

func newWindow() *window { return &window{freed: make(chan struct{})} }

// take reserves up to n places, and says how many; without any, the channel is closed when there may be some.
func (w *window) take(n int, triggered bool) (int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	room := InDoubt - w.used
	if !triggered {
		room -= reserved
	}
	n = max(0, min(n, room))
	w.used += n
	return n, w.freed
}

// free gives places back.
func (w *window) free(n int) {
	if n == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= n
	close(w.freed)
	w.freed = make(chan struct{})
}
