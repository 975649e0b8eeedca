package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ErrNoTables says that a rule asks what Sapa knows in a database that has none of Sapa's tables.
var ErrNoTables = errors.New("the rule asks what Sapa itself has sent and heard, and this database has no tables of Sapa's yet; make them with: sapa migrate")

// FillFacts makes ready what the questions' facts are asked of. For has_channel the address book must have the address of
// every customer whom base means (nil: of all): those that it has not met are read as a plan reads them, and stay in the
// book. Of erased customers nothing is read. It commits a transaction of its own; without facts it does nothing. The error
// is ErrNoTables before the database was migrated.
func FillFacts(ctx context.Context, db DB, base *Rule, clock Clock, questions ...Question) error {
	channels, schema := map[string]bool{}, (*customer.Schema)(nil)
	for _, q := range questions {
		r := q.asked()
		if r == nil {
			continue
		}
		for _, f := range r.Facts() {
			schema = r.scope.Schema
			if f.Name == "has_channel" {
				channels[f.Of] = true
			}
		}
	}
	if schema == nil {
		return nil
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return fmt.Errorf("prepare the rule: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := haveTables(ctx, tx); err != nil {
		return err
	}
	if len(channels) == 0 {
		return nil
	}
	if err := customer.ShareErasures(ctx, tx); err != nil {
		return err
	}
	for _, channel := range slices.DeleteFunc(customer.Reachable(), func(c string) bool { return !channels[c] }) {
		if err := fillBook(ctx, tx, schema, base, clock, channel); err != nil {
			return fmt.Errorf("read the addresses of channel %s: %w", channel, err)
		}
	}
	return tx.Commit(ctx)
}

func haveTables(ctx context.Context, tx pgx.Tx) error {
	var have bool
	err := tx.QueryRow(ctx, `select to_regclass('messages') is not null and to_regclass('responses') is not null
		and to_regclass('consents') is not null and to_regclass('addresses') is not null and to_regclass('erasures') is not null`).Scan(&have)
	if err != nil {
		return fmt.Errorf("look for Sapa's tables: %w", err)
	}
	if !have {
		return ErrNoTables
	}
	return nil
}

// fillBook keeps the company's addresses that are not in the book in a temporary table first, so that the company's tables
// are asked by one short statement.
func fillBook(ctx context.Context, tx pgx.Tx, schema *customer.Schema, base *Rule, clock Clock, channel string) error {
	q, err := Audience(NewScope(schema), base, nil, &Args{}, clock)
	if err != nil {
		return err
	}
	raw, ok := schema.AddressSQL(CustomerAlias, channel)
	if !ok {
		return errors.New("no column is mapped for the address")
	}
	region := "''"
	if customer.Regional(channel) {
		region = schema.RegionSQL(CustomerAlias, q.Args.Bind(schema.DefaultRegion(), "text"))
	}
	key := CustomerAlias + "." + schema.KeyColumn().SQL() + `::text collate "C"`
	_, err = tx.Exec(ctx, `
		create temporary table unmet (raw text collate "C", region text) on commit drop;
		set local lock_timeout = '`+pg.LockTimeout+`'`)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf(`
		insert into unmet
		select given.raw, given.region
		from (select %s collate "C" as raw, %s as region, %s as key from %s where %s) given
		where given.raw <> ''
		  and not exists (select from addresses a where a.channel = %s and a.region = given.region and a.raw = given.raw)
		  and not exists (select from erasures e where e.customer_key = given.key)`,
		raw, region, key, q.From, q.Where, q.Args.Bind(channel, "text")), append([]any{pgx.QueryExecModeExec}, q.Args.Values()...)...)
	if err != nil {
		return pg.WithoutValues(err)
	}
	if _, err := tx.Exec(ctx, `set local lock_timeout = 0`); err != nil {
		return err
	}
	if _, err := customer.FillAddressBook(ctx, tx, channel, `select raw, region from unmet`); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `drop table unmet`)
	return err
}
