// Package sapa is a campaign engine: it greets each customer of a company with the right message at the right time,
// out of the company's own PostgreSQL. This root package holds no code, only what concerns all packages:
// their import order, which a test keeps.
//
// Read in this order: README.md, docs/architecture.md, delivery/delivery.go (how a message leaves), campaign/plan.go
// (how a run becomes messages), segment/segment.go (how a rule becomes SQL), cmd/sapa/run.go.
package sapa
