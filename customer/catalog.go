package customer

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// catalog is what the database says about the tables that a Config names.
type catalog struct {
	role   string // current_user, for GRANTs
	tables map[TableName]*catalogTable
	names  []TableName // every table and view, read only when one of tables is missing
}

// catalogTable is one table as pg_class and pg_attribute describe it, and what our role may do with it.
type catalogTable struct {
	name      TableName
	exists    bool
	kind      string // relkind: r table, p partitioned table, v view, m materialized view, f foreign table
	useSchema bool   // our role has USAGE on the schema
	columns   []catalogColumn
	primary   []string // columns of the primary key
	unique    []string // columns that alone are unique by a valid index over all rows
}

type catalogColumn struct {
	Column
	base     string // name of the base type: int8, varchar, …
	readable bool   // our role may select it
}

func (t *catalogTable) column(name string) (catalogColumn, bool) {
	for _, c := range t.columns {
		if c.Name == name {
			return c, true
		}
	}
	return catalogColumn{}, false
}

func (t *catalogTable) columnNames() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.Name
	}
	return names
}

func (t *catalogTable) readable() []Column {
	var columns []Column
	for _, c := range t.columns {
		if c.readable {
			columns = append(columns, c.Column)
		}
	}
	return columns
}

// readCatalog describes tables, which may exist or not.
func readCatalog(ctx context.Context, db pg.DBTX, names []TableName) (*catalog, error) {
	cat := &catalog{tables: map[TableName]*catalogTable{}}
	if err := db.QueryRow(ctx, `select current_user`).Scan(&cat.role); err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	missing := false
	for _, name := range names {
		if cat.tables[name] != nil {
			continue
		}
		t, err := readTable(ctx, db, name)
		if err != nil {
			return nil, fmt.Errorf("read the catalog about %s: %w", name, err)
		}
		cat.tables[name] = t
		missing = missing || !t.exists
	}
	if !missing {
		return cat, nil
	}
	var err error
	cat.names, err = readTableNames(ctx, db)
	return cat, err
}

func readTable(ctx context.Context, db pg.DBTX, name TableName) (*catalogTable, error) {
	t := &catalogTable{name: name}
	var oid uint32
	err := db.QueryRow(ctx, `
		select c.oid, c.relkind::text, has_schema_privilege(n.oid, 'usage')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')`,
		name.Schema, name.Name).Scan(&oid, &t.kind, &t.useSchema)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.exists = true
	if err := t.readColumns(ctx, db, oid); err != nil {
		return nil, err
	}
	return t, t.readKeys(ctx, db, oid)
}

// readColumns reads the columns with their base types: domains are looked through to what they are made of.
func (t *catalogTable) readColumns(ctx context.Context, db pg.DBTX, oid uint32) error {
	rows, err := db.Query(ctx, `
		with recursive typed as (
		  select attnum, attname, attnotnull as notnull, atttypid as type, atttypmod as typmod, attcollation as collation,
		    has_column_privilege(attrelid, attnum, 'select') as readable
		  from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped
		union all
		  select d.attnum, d.attname, d.notnull or t.typnotnull, t.typbasetype, t.typtypmod, d.collation, d.readable
		  from typed d join pg_type t on t.oid = d.type where t.typtype = 'd'
		)
		select c.attname, c.notnull, c.readable, format_type(c.type, c.typmod), t.typname, t.typtype::text,
		  case e.typtype when 'e' then 'enum' else coalesce(e.typname, '') end,
		  array(select enumlabel::text from pg_enum where enumtypid = c.type order by enumsortorder),
		  exists (select from pg_collation l where l.oid = c.collation and not l.collisdeterministic)
		from typed c
		join pg_type t on t.oid = c.type and t.typtype <> 'd'
		left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
		order by c.attnum`, oid)
	if err != nil {
		return err
	}
	enforced := t.kind == "r" || t.kind == "p" // elsewhere NOT NULL is a promise at best
	t.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (catalogColumn, error) {
		var c catalogColumn
		var notNull bool
		var typtype, element string
		var labels []string
		err := row.Scan(&c.Name, &notNull, &c.readable, &c.PGType, &c.base, &typtype, &element, &labels, &c.Folds)
		c.Kind = kindOf(c.base, typtype, element)
		if c.Kind == Enum {
			c.Enum = &Labels{labels}
		}
		c.Nullable = !notNull || !enforced
		return c, err
	})
	return err
}

// readKeys reads the primary key, and the columns that a unique index over all rows makes unique by themselves.
func (t *catalogTable) readKeys(ctx context.Context, db pg.DBTX, oid uint32) error {
	return db.QueryRow(ctx, `
		select
		  coalesce((select array_agg(a.attname::text order by k.place)
		    from pg_index i, unnest(i.indkey::int2[]) with ordinality k(attnum, place)
		    join pg_attribute a on a.attrelid = $1 and a.attnum = k.attnum
		    where i.indrelid = $1 and i.indisprimary and k.place <= i.indnkeyatts), '{}'),
		  coalesce((select array_agg(distinct a.attname::text)
		    from pg_index i join pg_attribute a on a.attrelid = $1 and a.attnum = i.indkey[0]
		    where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indimmediate
		      and i.indnkeyatts = 1 and i.indpred is null), '{}')`, oid).Scan(&t.primary, &t.unique)
}

// readTableNames lists every table and view outside the system's schemas, for did-you-mean.
func readTableNames(ctx context.Context, db pg.DBTX) ([]TableName, error) {
	rows, err := db.Query(ctx, `
		select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
		  and n.nspname not in ('information_schema', current_schema()) and n.nspname !~ '^pg_'
		order by 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n TableName, err error) {
		return n, row.Scan(&n.Schema, &n.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	return names, nil
}

// kindOf is the kind of a base type: its name, pg_type.typtype, and for arrays the name of the element's type.
func kindOf(name, typtype, element string) Kind {
	if typtype == "e" {
		return Enum
	}
	switch name {
	case "bool":
		return Bool
	case "int2", "int4", "int8":
		return Int
	case "numeric":
		return Numeric
	case "float4", "float8":
		return Float
	case "text", "varchar", "bpchar", "citext", "name":
		return Text
	case "date":
		return Date
	case "timestamp":
		return Timestamp
	case "timestamptz":
		return Timestamptz
	case "uuid":
		return UUID
	case "json", "jsonb":
		return JSON
	}
	switch element {
	case "text", "varchar", "bpchar", "citext", "name", "uuid", "enum":
		return TextArray
	}
	return Other
}
