package campaign

import (
	"context"
	"errors"
	"fmt"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// fillFacts makes ready what the campaign's rules ask of Sapa's own tables, in a transaction of its own: the address book
// is locked before the campaign, and only while it is filled.
func (c *Campaign) fillFacts(ctx context.Context, db segment.DB, r *Run) error {
	err := segment.FillFacts(ctx, db, c.base, c.clock(r.Tick, r.AsOf), c.questions()...)
	if err == nil || errors.Is(err, segment.ErrNoTables) {
		return err
	}
	return &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
}
