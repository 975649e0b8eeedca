package main

import (
	"context"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/metrics"
)

// watched is the engine with metrics of it, of the database's connections and of the ledger.
func (s *session) watched(ctx context.Context, a *app) (*delivery.Engine, error) {
	s.metrics = metrics.New(version())
	engine, err := s.engine(ctx, a)
	if err != nil {
		return nil, err
	}
	s.health = func() delivery.Health {
		h := engine.Health()
		h.Pools["shared"] = s.pool.Stat()
		return h
	}
	s.metrics.Engine(s.health)
	s.metrics.Ledger(s.pool, a.now, a.log())
	return engine, nil
}
