package main

import (
	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/delivery"
)

// callsConnections is how many calls are written on the list at once.
const callsConnections = 4

// callsAccounts is the list of calls. It has no provider.
func (s *session) callsAccounts() []registered {
	return []registered{{
		calls.Name, s.config.Channels.Calls != nil, func() []string { return nil },
		func() (delivery.Account, error) {
			return delivery.Account{Channel: calls.New(s.pool), Connections: callsConnections}, nil
		},
		`calls: {hours: "08:00-20:00"}`,
	}}
}
