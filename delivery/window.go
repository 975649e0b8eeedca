package delivery

import "sync"

// InDoubt bounds what a process that is killed leaves unknown: so many messages at most may be handed over while their
// verdicts are not in the ledger yet.
const InDoubt = 64

// reserved are the places of the window that only triggered messages may take.
const reserved = 8

// least are the places of the window that each line can always have, whatever the others hold: a provider that is silent does
// not stop the others.
const least = 4

// window counts the messages of a process that may have been handed over and whose verdicts are not in the ledger yet. Of the
// lines' counts, each taken as least at least, the sum is never more than InDoubt.
type window struct {
	mu    sync.Mutex
	used  map[string]int // by line
	freed chan struct{}  // closed when places have become free
}

func newWindow() *window { return &window{used: map[string]int{}, freed: make(chan struct{})} }

// take reserves up to n places for a line, and says how many; without any, the channel is closed when there may be some.
func (w *window) take(line string, n int, triggered bool) (int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	room := InDoubt
	for name, used := range w.used {
		if name != line {
			used = max(used, least)
		}
		room -= used
	}
	if !triggered {
		room = max(room-reserved, least-w.used[line])
	}
	n = max(0, min(n, room))
	w.used[line] += n
	return n, w.freed
}

// free gives places of a line back.
func (w *window) free(line string, n int) {
	if n == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used[line] -= n
	close(w.freed)
	w.freed = make(chan struct{})
}
