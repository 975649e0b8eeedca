package main

import (
	"context"
	"fmt"
)

// memory measures the most that a sending process takes, at audiences of different sizes.
func (b *bench) memory(ctx context.Context) error {
	fmt.Println("memory of a sending process\n\n| recipients | most resident, MB |\n| --- | --- |")
	for _, size := range []struct {
		n  int
		mb *float64
	}{{b.small, &b.results.SmallRSS}, {b.big, &b.results.BigRSS}} {
		name, err := b.audience(ctx, size.n)
		if err != nil {
			return err
		}
		run, _, err := b.planned(ctx, name)
		if err != nil {
			return err
		}
		var says worked
		if _, err := b.work(ctx, run, &says); err != nil {
			return err
		}
		*size.mb = round(says.PeakMB)
		fmt.Printf("| %d | %.0f |\n", size.n, says.PeakMB)
		if err := b.empty(ctx); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}
