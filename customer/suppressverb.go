package customer

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ChannelAddress is a normalised address with its channel.
type ChannelAddress struct {
	Channel, Address string
}

// ReadSuppressible reads an address that somebody typed, to be suppressed or permitted. channel may be "": it is guessed.
// An address that is none has a reason.
func ReadSuppressible(channel, raw, region string) (ChannelAddress, Address, error) {
	if channel == "" {
		channel = GuessChannel(raw)
	}
	a, err := readSuppressible(channel, raw, region)
	return ChannelAddress{channel, a.Normalised}, a, err
}

// SuppressByHand suppresses addresses in one transaction with the audit log, and says of each whether it was permitted
// before. Source is the actor.
func SuppressByHand(ctx context.Context, db pg.DBTX, list []ChannelAddress, s Suppression) (added []bool, err error) {
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		for _, a := range list {
			was, err := suppress(ctx, tx, a.Channel, a.Address, s)
			if err != nil {
				return err
			}
			added = append(added, was)
		}
		return recordSuppression(ctx, tx, s.Source, "suppress", list, added)
	})
	return added, err
}

// UnsuppressByHand permits addresses again, and says of each whether it was suppressed.
func UnsuppressByHand(ctx context.Context, db pg.DBTX, actor string, list []ChannelAddress) (was []bool, err error) {
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		for _, a := range list {
			yes, err := Unsuppress(ctx, tx, a.Channel, a.Address)
			if err != nil {
				return err
			}
			was = append(was, yes)
		}
		return recordSuppression(ctx, tx, actor, "unsuppress", list, was)
	})
	return was, err
}

// recordSuppression notes how many addresses were changed, and none of them.
func recordSuppression(ctx context.Context, tx pgx.Tx, actor, action string, list []ChannelAddress, changed []bool) error {
	counts := map[string]any{}
	for i, a := range list {
		if changed[i] {
			n, _ := counts[a.Channel].(int)
			counts[a.Channel] = n + 1
		}
	}
	if len(counts) == 0 {
		return nil
	}
	return access.Record(ctx, tx, access.Entry{Actor: actor, Action: action, Subject: "addresses", Detail: counts})
}
