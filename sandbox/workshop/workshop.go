// Package workshop is the demo's company: Bengkel Maju, a car workshop in Semarang with invented customers, their
// vehicles, services and orders, in a database schema of its own; and the project with its campaigns.
//
// The data is a function of a seed and of the day that it is made for, so that on any day there are birthdays, due oil
// changes and big spenders. It is as imperfect as real data: a tenth of the values is missing, some addresses are
// nonsense or bounce, some customers were deleted, and some names are in capitals. Nobody in it exists: the e-mail domains are reserved
// (RFC 2606) and the phone numbers are in no network.
package workshop

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Schema is the database schema that Create makes.
const Schema = "workshop"

// madeBy marks the schema as ours, so that nobody else's is ever replaced.
const madeBy = "Bengkel Maju: invented data, made by sapa demo"

// Config says how large the workshop is.
type Config struct {
	Customers int       // 20,000 by default
	Vehicles  int       // 26,000 by default
	Today     time.Time // the civil day that the data is made for; its time of day does not matter
	Seed      uint64
}

func (c Config) withDefaults() Config {
	if c.Customers == 0 {
		c.Customers = 20_000
	}
	if c.Vehicles == 0 {
		c.Vehicles = 26_000
	}
	y, m, d := c.Today.Date()
	c.Today = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	return c
}

func (c Config) check() error {
	if c.Today.Year() < 1990 || c.Today.Year() > 9000 {
		return errors.New("the day that the data is made for is missing")
	}
	if c.Customers < 10 || c.Vehicles < 3 {
		return fmt.Errorf("%d customers with %d vehicles: at least 10 and 3 are needed", c.Customers, c.Vehicles)
	}
	return nil
}

// Counts are the rows that Create made.
type Counts struct {
	Customers, Vehicles, Services, Orders int64
}

// Create makes the schema and fills it, in one transaction. A schema that it made before is replaced; one of that name
// that somebody else made is an error.
func Create(ctx context.Context, pool *pgxpool.Pool, config Config) (Counts, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return Counts{}, fmt.Errorf("make the workshop: %w", err)
	}
	var counts Counts
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := replaceSchema(ctx, tx); err != nil {
			return err
		}
		var err error
		counts, err = fill(ctx, tx, newWorld(config))
		return err
	})
	if err != nil {
		return Counts{}, fmt.Errorf("make the workshop: %w", err)
	}
	return counts, nil
}

func replaceSchema(ctx context.Context, tx pgx.Tx) error {
	var comment string
	err := tx.QueryRow(ctx, `
		select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1`, Schema).Scan(&comment)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return err
	case comment != madeBy:
		return fmt.Errorf("the database has a schema %s that is not the demo's: use another database", Schema)
	}
	_, err = tx.Exec(ctx, `
		drop schema if exists workshop cascade;
		create schema workshop;
		comment on schema workshop is '`+madeBy+`';

		create table workshop.customers (
			id bigint not null, full_name text not null, first_name text, email text, phone text, street text, postcode text,
			birth_date date, city text, income numeric(14, 0), newsletter_ok boolean, premium boolean, tags text[], timezone text,
			preferred_channel text, created_at timestamptz not null, deleted_at timestamptz);
		create table workshop.vehicles (
			id bigint not null, customer_id bigint not null, plate text not null, brand text not null, model text not null,
			year int not null, odometer_km int, next_service_on date, last_service_on date);
		create table workshop.services (
			id bigint not null, vehicle_id bigint not null, customer_id bigint not null, kind text not null,
			serviced_on date not null, price numeric(12, 0) not null);
		create table workshop.orders (
			id bigint not null, customer_id bigint not null, ordered_at timestamptz not null, kind text,
			total numeric(12, 0) not null);`)
	return err
}

func fill(ctx context.Context, tx pgx.Tx, w *world) (c Counts, err error) {
	for _, t := range []struct {
		name    string
		columns []string
		rows    iter.Seq[[]any]
		count   *int64
	}{
		{"customers", []string{
			"id", "full_name", "first_name", "email", "phone", "street", "postcode", "birth_date", "city", "income", "newsletter_ok",
			"premium", "tags", "timezone", "preferred_channel", "created_at", "deleted_at",
		}, w.customers(), &c.Customers},
		{"vehicles", []string{
			"id", "customer_id", "plate", "brand", "model", "year", "odometer_km", "next_service_on", "last_service_on",
		}, w.vehicles(), &c.Vehicles},
		{"services", []string{"id", "vehicle_id", "customer_id", "kind", "serviced_on", "price"}, w.services(), &c.Services},
		{"orders", []string{"id", "customer_id", "ordered_at", "kind", "total"}, w.orders(), &c.Orders},
	} {
		if *t.count, err = copyRows(ctx, tx, t.name, t.columns, t.rows); err != nil {
			return c, fmt.Errorf("fill %s: %w", t.name, err)
		}
	}
	_, err = tx.Exec(ctx, `
		alter table workshop.customers add primary key (id);
		alter table workshop.vehicles add primary key (id), add unique (plate),
			add foreign key (customer_id) references workshop.customers;
		alter table workshop.services add primary key (id),
			add foreign key (vehicle_id) references workshop.vehicles, add foreign key (customer_id) references workshop.customers;
		alter table workshop.orders add primary key (id), add foreign key (customer_id) references workshop.customers;
		create index on workshop.vehicles (customer_id);
		create index on workshop.vehicles (next_service_on);
		create index on workshop.services (vehicle_id);
		create index on workshop.services (customer_id);
		create index on workshop.orders (customer_id, ordered_at);
		analyze workshop.customers, workshop.vehicles, workshop.services, workshop.orders;`)
	return c, err
}

func copyRows(ctx context.Context, tx pgx.Tx, table string, columns []string, rows iter.Seq[[]any]) (int64, error) {
	next, stop := iter.Pull(rows)
	defer stop()
	return tx.CopyFrom(ctx, pgx.Identifier{Schema, table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, _ := next()
		return row, nil
	}))
}
