package email

import (
	"testing"

	"github.com/sapa-crm/sapa/channels/channeltest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, extensions := range map[string][]string{
		"in chunks":    {"PIPELINING", "CHUNKING", "8BITMIME"},
		"pipelined":    {"PIPELINING", "8BITMIME"},
		"step by step": {"8BITMIME"},
		"bare":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channeltest.Run(t, func(t *testing.T) channeltest.Provider {
				s := newServer(t, offering(extensions...))
				if name == "in chunks" {
					return inChunks{s}
				}
				return s
			})
		})
	}
}

// inChunks is a server that gets a message with its envelope: it knows whose it is only when it was handed over.
type inChunks struct{ *server }

func (inChunks) Traits() channeltest.Traits {
	return channeltest.Traits{Never: []channeltest.Answer{channeltest.DropBefore}}
}
