package delivery

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

// What has reached its recipient is sent when the last attempt of a further way is refused, and its words say what that way said;
// until then both kinds are tried again.
func TestReachedIsNotGivenUp(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	e := &Engine{Config: Config{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }}}
	e.Waits.Again = []time.Duration{time.Minute}
	refused := errors.New("the page has the alert; by webhook: HTTP 503")
	for name, tt := range map[string]struct {
		attempts int
		err      error
		want     [4]string
	}{
		"reached, the first attempt": {0, channels.RetryRest(refused, 0), [4]string{"planned", "", "retry", refused.Error()}},
		"reached, the last attempt":  {1, channels.RetryRest(refused, 0), [4]string{"sent", "", "accepted", refused.Error()}},
		"refused, the last attempt":  {1, channels.RetryAfter(refused, 0), [4]string{"failed", "gave up", "retry", refused.Error()}},
	} {
		o := e.judge(&message{Attempts: tt.attempts}, channels.Receipt{}, tt.err)
		if diff := cmp.Diff(tt.want, [4]string{o.state, o.reason, o.verdict, o.receipt.Words}); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
