package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/sapa-crm/sapa/channels/kinds"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// warmUps are the states of the accounts whose warm-up is not over. Without a sapa.yaml that can be read there are none.
func (a *app) warmUps(ctx context.Context, db pg.DBTX) ([]delivery.WarmUpState, error) {
	text, err := a.readConfig()
	if err != nil {
		return nil, nil //nolint:nilerr // the runs can be looked at without it
	}
	config, problems := customer.LoadConfig("sapa.yaml", string(text), a.env, kinds.Names(kinds.All())...)
	if len(problems) > 0 || !warming(config.Channels) {
		return nil, nil // sapa validate says what is wrong
	}
	accounts, err := (&session{config: config, businessTime: a.now}).accounts()
	if err != nil {
		return nil, err
	}
	all, err := delivery.WarmUps(ctx, db, accounts, cmp.Or(config.Customers.Timezone.Default, "UTC"), a.now())
	if err != nil {
		return nil, err
	}
	var list []delivery.WarmUpState
	for _, s := range all {
		if !s.Over {
			list = append(list, s)
		}
	}
	return list, nil
}

// warming says whether an account has a warm-up.
func warming(c customer.ChannelsConfig) bool {
	e, t := c.Email, c.SMS
	return e != nil && (e.WarmUp != nil || e.Fallback != nil && e.Fallback.WarmUp != nil) ||
		t != nil && (t.WarmUp != nil || t.Fallback != nil && t.Fallback.WarmUp != nil)
}

func (a *app) printWarmUps(list []delivery.WarmUpState) {
	for i, s := range list {
		if i == 0 {
			fmt.Fprintln(a.stdout)
		}
		which := ""
		if s.Second {
			which = " (fallback)"
		}
		fmt.Fprintf(a.stdout, "warm-up: %s%s\n", s, which)
	}
}
