package delivery

import "sync"

// InDoubt bounds what a process that is killed leaves unknown: so many messages at most may be handed over while their
// verdicts are not in the ledger yet.
const InDoubt = 64

// reserved are the places of the window that only triggered messages may take.
const reserved = 4

// least are the places of the window that each line can always have, whatever the others hold: a provider that is silent does
// not stop the others.
const least = 4

// window counts the messages of a process that may have been handed over and whose verdicts are not in the ledger yet. Of the
// lines' counts, each taken as least at least, the sum is never more than InDoubt. The lanes of a channel count as a line of
// their own, whose places nobody else may take, and which has no others: who sends without waiting for slots would leave
// them none.
type window struct {
	mu    sync.Mutex
	used  map[string]int // by line
	lanes map[string]int // of those that are lanes: their places
	freed chan struct{}  // closed when places have become free
}

func newWindow() *window {
	return &window{used: map[string]int{}, lanes: map[string]int{}, freed: make(chan struct{})}
}

// admit lets a line have places.
func (w *window) admit(line string) { w.used[line] = 0 }

// admitLanes gives the lanes of a channel so many places; none without any.
func (w *window) admitLanes(line string, places int) {
	if places > 0 {
		w.used[line], w.lanes[line] = 0, places
	}
}

// least is how many places a line can always have.
func (w *window) least(line string) int {
	if places, ok := w.lanes[line]; ok {
		return places
	}
	return least
}

// take reserves up to n places for a line, and says how many; without any, the channel is closed when there may be some.
func (w *window) take(line string, n int, triggered bool) (int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	room := InDoubt
	for name, used := range w.used {
		if name != line {
			used = max(used, w.least(name))
		}
		room -= used
	}
	if !triggered {
		room = max(room-reserved, w.least(line)-w.used[line])
	}
	if places, ok := w.lanes[line]; ok {
		room = min(room, places-w.used[line])
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
