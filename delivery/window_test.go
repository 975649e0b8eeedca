package delivery

import "testing"

// A process never has more than 64 messages in doubt, and no line, however silent its provider, takes all places of the others,
// nor others those of triggered messages.
func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWindow()
	w.used["email"], w.used["sms"] = 0, 0
	take := func(line string, n int, triggered bool, want int) {
		t.Helper()
		if got, _ := w.take(line, n, triggered); got != want {
			t.Errorf("%s gets %d places of %d (triggered %v), want %d: %v", line, got, n, triggered, want, w.used)
		}
	}
	take("sms", 100, false, InDoubt-reserved-least)
	take("sms", 1, false, 0)
	take("email", 100, false, least)
	_, freed := w.take("email", 1, false)
	take("email", 3, true, 3)
	take("sms", 100, true, reserved-3)
	take("email", 1, true, 0)
	if sum := w.used["email"] + w.used["sms"]; sum != InDoubt {
		t.Errorf("%d are in doubt", sum)
	}
	select {
	case <-freed:
		t.Error("places are said to be free, and none is")
	default:
	}
	w.free("sms", 20)
	<-freed
	take("email", 100, false, 20-reserved)
	take("email", 100, true, reserved)
}

// Where there is one line, it has the whole window.
func TestWindowOfOneLine(t *testing.T) {
	t.Parallel()
	w := newWindow()
	w.used["email"] = 0
	if n, _ := w.take("email", 100, false); n != InDoubt-reserved {
		t.Errorf("it gets %d places", n)
	}
	if n, _ := w.take("email", 100, true); n != reserved {
		t.Errorf("triggered messages get %d places more", n)
	}
}
