package channels_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/channels"
)

// A verdict is found through whatever wraps it, and an error without one is the unknown that nobody repeats.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	cause := io.ErrUnexpectedEOF
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, "accepted"},
		{channels.Permanent(cause), "permanent"},
		{channels.Suppress(cause, "hard bounce"), "suppress"},
		{channels.RetryAfter(cause, time.Minute), "retry"},
		{channels.Unknown(cause), "unknown"},
		{channels.Unavailable(cause), "unavailable"},
		{fmt.Errorf("send message 7: %w", channels.Permanent(cause)), "permanent"},
		{channels.Unavailable(channels.Permanent(cause)), "unavailable"},
		{cause, "unknown"},
	} {
		if got := channels.VerdictOf(test.err).String(); got != test.want {
			t.Errorf("the verdict of %v is %s, want %s", test.err, got, test.want)
		}
		if test.err != nil && !errors.Is(test.err, cause) {
			t.Errorf("%v hides its cause", test.err)
		}
	}
	wrapped := fmt.Errorf("x: %w", channels.RetryAfter(cause, time.Minute))
	if d := channels.RetryDelay(wrapped); d != time.Minute {
		t.Errorf("RetryDelay %v", d)
	}
	if why := channels.SuppressReason(fmt.Errorf("x: %w", channels.Suppress(cause, "hard bounce"))); why != "hard bounce" {
		t.Errorf("SuppressReason %q", why)
	}
	if channels.RetryDelay(cause) != 0 || channels.SuppressReason(cause) != "" {
		t.Error("an error without verdict has a delay or a reason")
	}
}
