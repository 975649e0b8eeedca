package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/web"
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

// callDeps is what the agents' pages work with; nothing where sapa.yaml has no calls.
func (s *session) callDeps(ctx context.Context, a *app) (web.CallDeps, error) {
	if s.config.Channels.Calls == nil {
		return web.CallDeps{}, nil
	}
	desk, err := s.callDesk(ctx, a)
	if err != nil {
		return web.CallDeps{}, err
	}
	return web.CallDeps{
		Desk: desk,
		Runs: func(ctx context.Context) ([]report.CallRun, error) {
			return report.CallRuns(ctx, s.pool, 0, s.businessTime())
		},
		History: func(ctx context.Context, customerKey string) ([]report.Contact, error) {
			return report.History(ctx, s.pool, customerKey, historyShown)
		},
	}, nil
}

// tidyCalls takes calls off the list whose time is over, until the context ends.
func (s *session) tidyCalls(ctx context.Context, a *app) error {
	if s.config.Channels.Calls == nil {
		<-ctx.Done()
		return nil
	}
	desk, err := s.callDesk(ctx, a)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := desk.Tidy(ctx); err != nil && ctx.Err() == nil {
				a.log().Warn("tidy the list of calls", slog.Any("error", err))
			}
		}
	}
}
