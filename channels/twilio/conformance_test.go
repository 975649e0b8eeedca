package twilio

import (
	"testing"

	"github.com/sapa-crm/sapa/channels/channeltest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"https": true, "http": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channeltest.Run(t, func(t *testing.T) channeltest.Provider { return newServer(t, secure) })
		})
	}
	for name, make := range map[string]func(Config) (*Channel, error){"whatsapp": NewWhatsApp, "voice": NewVoice} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channeltest.Run(t, func(t *testing.T) channeltest.Provider {
				s := newServer(t, false)
				s.make = make
				return s
			})
		})
	}
}
