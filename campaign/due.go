package campaign

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// selectDue asks the company's tables, in one short statement, and keeps the answer in a temporary table, with what the
// address book knows. fault is why somebody can't be reached, whatever the ledger says; null: nothing.
func (p *Planner) selectDue(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) error {
	_, err := tx.Exec(ctx, `
		create temporary table due (
			customer_key text collate "C", occasion text collate "C", row_key text collate "C",
			raw text collate "C", region text, zone text, opted_in boolean, address_id bigint, fault text, domain text
		) on commit drop`)
	if err == nil && c.laddered() {
		_, err = tx.Exec(ctx, "alter table due "+ladderColumns)
	}
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	if r.wanted = c.Confirms(); r.wanted {
		if err := p.selectWanted(ctx, tx, c); err != nil {
			return err
		}
	}
	sql, args, err := p.dueSQL(ctx, tx, r, c)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `set local lock_timeout = '2s'; set local plan_cache_mode = force_custom_plan`); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	sql, args = c.withAddresses(sql, args)
	into := "insert into due "
	if c.laddered() {
		into += ladderDue
	}
	tag, err := tx.Exec(ctx, into+sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	r.due = tag.RowsAffected()
	if err := hideErased(ctx, tx, c.laddered()); err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, `set local lock_timeout = 0`); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	if err := analyze(ctx, tx, "due"); err != nil {
		return err
	}
	if c.laddered() {
		return c.fillLadderBooks(ctx, tx, "due")
	}
	// The address book is filled from the same answer, by Go, so that the rest of planning is SQL alone.
	return p.fillAddressBook(ctx, tx, c)
}

// analyze tells PostgreSQL how large a temporary table is, and roughly what is in it.
func analyze(ctx context.Context, tx pgx.Tx, table string) error {
	if _, err := tx.Exec(ctx, "set local default_statistics_target = 10; analyze "+table); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	return nil
}

// withAddresses adds to a select of the due what the address book knows of their addresses.
func (c *Campaign) withAddresses(due string, args []any) (string, []any) {
	if c.laddered() {
		return due, args
	}
	args = append(args[:len(args):len(args)], c.Channel())
	return fmt.Sprintf(`select d.*, a.id, case when `+c.needsAddress()+` and (d.raw is null or d.raw = '') then 'no address' else %s end, %s
		from (%s) d (customer_key, occasion, row_key, raw, region, zone, opted_in)
		left join addresses a on a.channel = $%d::text and a.region = %s and a.raw = d.raw collate "C"`,
		c.badAddress(), c.addressDomain(), due, len(args), c.addressRegion("d")), args
}

// needsAddress is a condition that says whether customers need an address on the campaign's channel.
func (c *Campaign) needsAddress() string { return strconv.FormatBool(!addressless(c.Channel())) }

// badAddress is why an address in the book can't be used; null: it can. Of phones it says more: there are many ways to
// write a number that no text reaches, and each is mended otherwise.
func (c *Campaign) badAddress() string {
	if !c.regional() {
		return "case when a.reason is not null then 'bad address' end"
	}
	return "'bad address: ' || a.reason"
}

// addressDomain is the domain of an address in the book, where somebody asks for it.
func (c *Campaign) addressDomain() string {
	if !c.laned() {
		return "null"
	}
	return "a.domain"
}

// fillAddressBook makes sure that every address of the due is in the book. Mostly all are.
func (p *Planner) fillAddressBook(ctx context.Context, tx pgx.Tx, c *Campaign) error {
	var unseen bool
	err := tx.QueryRow(ctx, `select exists (select from due where raw <> '' and address_id is null)`).Scan(&unseen)
	if err != nil {
		return fmt.Errorf("look into the address book: %w", err)
	}
	if !unseen {
		return nil
	}
	_, err = customer.FillAddressBook(ctx, tx, c.Channel(), `select raw, `+c.addressRegion("due")+` from due where raw <> '' and address_id is null`)
	if err != nil {
		return err
	}
	// One look for each: PostgreSQL does not know yet how many addresses have come in, and might join the other way round.
	_, err = tx.Exec(ctx, `
		update due d set (address_id, fault, domain) = (
			select a.id, `+c.badAddress()+`, `+c.addressDomain()+`
			from addresses a where a.channel = $1 and a.region = `+c.addressRegion("d")+` and a.raw = d.raw)
		where d.raw <> '' and d.address_id is null`, c.Channel())
	if err != nil {
		return fmt.Errorf("look into the address book: %w", err)
	}
	return nil
}

// CompanyError is an SQL error on the company's own tables: nobody's fault among the customers, and never a reason to
// fail them.
type CompanyError struct{ Err error }

func (e *CompanyError) Error() string { return e.Err.Error() }

// Unwrap gives the database's error.
func (e *CompanyError) Unwrap() error { return e.Err }

// dueSQL is the audience as a select of the columns of table due. Where SQL can't say the rule exactly, the rows are
// decided first, one by one, and their keys kept in a temporary table, which then stands for the rule.
func (p *Planner) dueSQL(ctx context.Context, tx pgx.Tx, r *Run, c *Campaign) (string, []any, error) {
	clock := c.clockOf(r)
	q, err := segment.Audience(c.scope, c.base, c.where, &segment.Args{}, clock)
	if err != nil {
		return "", nil, err
	}
	if r.only != "" {
		q.Only(r.only)
	}
	if !q.Exact {
		if err := p.choose(ctx, tx, r, q); err != nil {
			return "", nil, err
		}
		if q, err = segment.Audience(c.scope, nil, nil, &segment.Args{}, clock); err != nil {
			return "", nil, err
		}
		q.Where = "exists (select from chosen h where h.customer_key = " + c.keySQL() + " and h.row_key = " + c.rowKeySQL("''") + ")"
		if r.only != "" {
			q.Only(r.only)
		}
	}
	return c.dueSelect(r, q, clock)
}

// choose asks each candidate of the query and keeps the keys of those whom the rule means. The company's tables are read
// on a connection of their own, in chunks.
func (p *Planner) choose(ctx context.Context, tx pgx.Tx, r *Run, q *segment.Query) error {
	_, err := tx.Exec(ctx, `create temporary table chosen (customer_key text collate "C", row_key text collate "C") on commit drop`)
	if err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	keep := func(keys []segment.Key) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"chosen"}, []string{"customer_key", "row_key"},
			pgx.CopyFromSlice(len(keys), func(i int) ([]any, error) { return []any{keys[i].Customer, keys[i].Each}, nil }))
		return err
	}
	if r.only == "" {
		err = q.Keys(ctx, p.Pool, keep)
	} else { // within the transaction, so that what it has not committed counts, too
		var keys []segment.Key
		if keys, err = allKeys(ctx, tx, q); err == nil {
			err = keep(keys)
		}
	}
	if err != nil {
		return &CompanyError{fmt.Errorf("ask the company's tables: %w", pg.WithoutValues(err))}
	}
	if _, err := tx.Exec(ctx, `analyze chosen`); err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	return nil
}

// allKeys are those of a small audience.
func allKeys(ctx context.Context, db segment.DB, q *segment.Query) (all []segment.Key, err error) {
	err = q.Keys(ctx, db, func(keys []segment.Key) error { all = append(all, keys...); return nil })
	return all, err
}

func (c *Campaign) keySQL() string {
	return segment.CustomerAlias + "." + c.schema.KeyColumn().SQL() + "::text"
}

// rowKeySQL is the key of the row of `each`, or what stands for none.
func (c *Campaign) rowKeySQL(none string) string {
	if c.each == nil {
		return none
	}
	return segment.EachAlias + "." + pgx.Identifier{c.each.Target.Key}.Sanitize() + "::text"
}

func (c *Campaign) dueSelect(r *Run, q *segment.Query, clock segment.Clock) (string, []any, error) {
	occasion, err := c.occasionSQL(r, q, clock)
	if err != nil {
		return "", nil, err
	}
	s := c.schema
	column := func(f customer.Field) string {
		return segment.CustomerAlias + "." + pgx.Identifier{f.Column}.Sanitize()
	}
	zone, optedIn := "null::text", "null::boolean"
	if s.Timezone.Column != "" {
		zone = column(s.Timezone) + "::text"
	}
	if col := s.Consent.Columns[c.Channel()]; col != "" {
		optedIn = column(customer.Field{Column: col})
	}
	where := q.Where
	if r.wanted {
		where += " and " + c.keySQL() + " in (select w.customer_key from wanted w)"
	}
	if c.laddered() {
		return c.ladderSelect(occasion, c.regionSQL(q), zone, q.From, where), q.Args.Values(), nil
	}
	return fmt.Sprintf(`select %s, %s, %s, left(%s::text, 512), %s, %s, %s from %s where %s`,
		c.keySQL(), occasion, c.rowKeySQL("null::text"), c.rawAddressSQL(), c.regionSQL(q), zone, optedIn, q.From, where), q.Args.Values(), nil
}

// rawAddressSQL is the customer's address as it is written.
func (c *Campaign) rawAddressSQL() string {
	raw, mapped := c.schema.AddressSQL(segment.CustomerAlias, c.Channel())
	if !mapped {
		return "null::text"
	}
	return raw
}

// regional says whether the channel's addresses are read by the customer's region.
func (c *Campaign) regional() bool { return slices.ContainsFunc(c.Channels(), customer.Regional) }

// regionSQL is the customer's region: a code of two letters (ISO 3166-1), the default where the column has none; null where
// addresses need none.
func (c *Campaign) regionSQL(q *segment.Query) string {
	if !c.regional() {
		return "null::text"
	}
	return c.schema.RegionSQL(segment.CustomerAlias, q.Args.Bind(c.schema.DefaultRegion(), "text"))
}

// addressRegion is the region of a row's address in the address book.
func (c *Campaign) addressRegion(row string) string {
	if !c.regional() {
		return "''"
	}
	return row + ".region"
}

// occasionSQL is the canonical text of an occasion. Its parts are quoted like JSON strings and separated by commas, so
// that different lists never share a text; golden tests freeze the format. A missing part is written null.
func (c *Campaign) occasionSQL(r *Run, q *segment.Query, clock segment.Clock) (string, error) {
	parts := []string{}
	for _, v := range c.occasion {
		sql, err := v.SQL(q.Args, clock, q.Aliases)
		if err != nil {
			return "", fmt.Errorf("occasion: %w", err)
		}
		parts = append(parts, "coalesce(to_json("+sql+")::text, 'null')")
	}
	if len(parts) == 0 && r.wanted {
		parts = append(parts, `(select '"request ' || w.request || '"' from wanted w where w.customer_key = `+c.keySQL()+")")
	}
	if len(parts) == 0 {
		parts = append(parts, q.Args.Bind(`"`+c.defaultOccasion(r)+`"`, "text"))
		if c.each != nil {
			parts = append(parts, "to_json("+segment.EachAlias+"."+pgx.Identifier{c.each.Target.Key}.Sanitize()+"::text)::text")
		}
	}
	if r.Label != "" {
		parts = append(parts, "to_json("+q.Args.Bind("again "+r.Label, "text")+")::text")
	}
	return strings.Join(parts, " || ',' || "), nil
}

// defaultOccasion is `once` without a schedule, the tick's date with one, and the event with a trigger.
func (c *Campaign) defaultOccasion(r *Run) string {
	switch {
	case r.event != nil:
		return fmt.Sprintf("event %d", r.event.ID)
	case c.calendar == nil || c.calendar.cron == "":
		return "once"
	}
	return r.Tick.Format(time.DateOnly)
}
