package email

import (
	"testing"

	"github.com/sapa-crm/sapa/channels/channeltest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, extensions := range map[string][]string{
		"pipelined":    {"PIPELINING", "8BITMIME"},
		"step by step": {"8BITMIME"},
		"bare":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channeltest.Run(t, func(t *testing.T) channeltest.Provider { return newServer(t, offering(extensions...)) })
		})
	}
}
