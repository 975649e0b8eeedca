package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// mark begins the comment of every table that an import made. Only such tables are ever written.
const mark = "sapa import"

// existing is a table as the catalog has it.
type existing struct {
	oid     uint32
	kind    string
	comment string
	columns map[string]Type
	key     []string // of the primary key
	keyName string   // of its constraint
}

// target is the table's quoted name.
func (p *Plan) target() string { return pgx.Identifier{p.Schema, p.Table}.Sanitize() }

func (p *Plan) targetName() string { return p.Schema + "." + p.Table }

// lookUp finds the table; nil when there is none.
func (p *Plan) lookUp(ctx context.Context, db pg.DBTX) (*existing, error) {
	var t existing
	err := db.QueryRow(ctx, `
		select c.oid, c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relname = $2`, p.Schema, p.Table).Scan(&t.oid, &t.kind, &t.comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up table %s: %w", p.targetName(), err)
	}
	if err := t.lookInside(ctx, db); err != nil {
		return nil, fmt.Errorf("look up the columns of %s: %w", p.targetName(), err)
	}
	return &t, nil
}

func (t *existing) lookInside(ctx context.Context, db pg.DBTX) error {
	rows, _ := db.Query(ctx, `
		select attname, format_type(atttypid, atttypmod)
		from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped`, t.oid)
	t.columns = map[string]Type{}
	var name, words string
	if _, err := pgx.ForEachRow(rows, []any{&name, &words}, func() error {
		t.columns[name] = catalogType(words)
		return nil
	}); err != nil {
		return err
	}
	rows, _ = db.Query(ctx, `
		select a.attname
		from pg_index i, unnest(i.indkey::int2[]) with ordinality k(attnum, place)
		join pg_attribute a on a.attrelid = $1 and a.attnum = k.attnum
		where i.indrelid = $1 and i.indisprimary
		order by k.place`, t.oid)
	key, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(key) == 0 {
		return err
	}
	t.key = key
	return db.QueryRow(ctx, `select conname from pg_constraint where conrelid = $1 and contype = 'p'`, t.oid).Scan(&t.keyName)
}

func catalogType(words string) Type {
	switch words {
	case "timestamp without time zone":
		return Timestamp
	case "timestamp with time zone":
		return Timestamptz
	}
	return Type(words)
}

// Fit looks at the table that the plan will write and makes the plan fit: columns keep the types of the earlier import where
// the file's values have them, and the key is the table's. An error says what contradicts the table and how to mend it.
// Load does it, too; call it to show the plan as it will be.
func Fit(ctx context.Context, db pg.DBTX, p *Plan) error {
	t, err := p.lookUp(ctx, db)
	if err != nil {
		return err
	}
	p.table = t
	p.Exists = t != nil
	if t == nil {
		return nil
	}
	if t.kind != "r" || !strings.HasPrefix(t.comment, mark) {
		return fmt.Errorf("%s exists and was not made by sapa import, which never writes to it: choose another --table", p.targetName())
	}
	if err := p.fitKey(t); err != nil {
		return err
	}
	return p.fitTypes(t)
}

func (p *Plan) fitKey(t *existing) error {
	name := p.targetName()
	switch {
	case p.opts.Mode == Replace && len(p.Key) > 0:
		return nil
	case len(p.Key) == 0 && len(t.key) == 0 && p.opts.Mode == Merge:
		return fmt.Errorf("%s exists and has no key to merge rows by: say --append to add the file's rows, or --replace to put them in place of the old ones (with --key, too, to merge from then on)", name)
	case len(p.Key) > 0 && len(t.key) == 0:
		return fmt.Errorf("%s was imported without a key: say --replace to import it anew with --key %s", name, strings.Join(p.Key, ","))
	case len(p.Key) > 0 && !slices.Equal(slices.Sorted(slices.Values(p.Key)), slices.Sorted(slices.Values(t.key))):
		return fmt.Errorf("%s has the key %s, not %s: leave --key out, or say --replace", name, strings.Join(t.key, ","), strings.Join(p.Key, ","))
	case len(t.key) > 0 && p.opts.Mode == Append:
		return fmt.Errorf("%s has the key %s, by which rows are merged: leave --append out", name, strings.Join(t.key, ","))
	}
	p.Key = t.key
	for _, k := range t.key {
		if _, err := findColumn(p.Columns, k); err != nil {
			return fmt.Errorf("%s has the key %s: %w", name, strings.Join(t.key, ","), err)
		}
	}
	return nil
}

func (p *Plan) fitTypes(t *existing) error {
	var problems []error
	for i := range p.Columns {
		c := &p.Columns[i]
		there, ok := t.columns[c.Name]
		if !ok || there == c.Type {
			continue
		}
		if err := p.fitType(c, there); err != nil && p.opts.Mode != Replace {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// fitType gives a column the type that it has in the table, where its values allow that.
func (p *Plan) fitType(c *Column, there Type) error {
	if c.Overridden {
		return fmt.Errorf("column %s: --type says %s, but it is %s in %s: leave --type out, say --replace, or change the table: alter table %s alter column %s type %s",
			c.Header, c.Type, there, p.targetName(), p.target(), quote(c.Name), c.Type)
	}
	v, err := override(c, string(there))
	if err != nil {
		return fmt.Errorf("column %s: %s has the type %s, which sapa import does not make: change it back, or say --replace", c.Header, p.targetName(), there)
	}
	if v.question != nil {
		return &Questions{Source: p.Source.Name, List: []Question{*v.question}}
	}
	odd, first := c.stats.misfits(there)
	if odd*toleratedShare > c.stats.values() {
		return fmt.Errorf("column %s: it is %s in %s, but %d of %d values in the file are not, as %q on line %d: say %s to load the other rows and reject these, or --replace",
			c.Header, there, p.targetName(), odd, c.stats.values(), first.value, first.line, c.flag(there, ""))
	}
	if odd > 0 {
		v.notes = append(v.notes, rejection(c, there, odd, first))
	}
	p.settle(c, v)
	return nil
}

// misfits counts the values that are not of the type, and gives the first.
func (s *stats) misfits(kind Type) (int64, sample) {
	switch kind {
	case Text:
		return 0, sample{}
	case Boolean:
		return s.values() - s.bools[0] - s.bools[1], firstOf(s.firstText, s.numbers.firstAny, s.firstCode, s.firstDate())
	case BigInt:
		odd := s.values() - s.numbers.n + s.numbers.fractions
		return odd, firstOf(s.oddOne(kind), s.numbers.firstFrac)
	case Numeric:
		return s.values() - s.numbers.n, s.oddOne(kind)
	}
	odd := s.values() - s.goodDates()
	switch kind {
	case Date:
		return odd + s.clocks, firstOf(s.oddOne(kind), s.firstBadDate, s.firstClock)
	case Timestamp:
		return odd + s.zoned, firstOf(s.oddOne(kind), s.firstBadDate, s.firstZoned)
	}
	return odd + s.unzone, firstOf(s.oddOne(kind), s.firstBadDate, s.firstBare)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// createSchema makes the schema of imported tables unless it is there.
func (p *Plan) createSchema(ctx context.Context, tx pgx.Tx) error {
	var there bool
	if err := tx.QueryRow(ctx, `select exists (select from pg_namespace where nspname = $1)`, p.Schema).Scan(&there); err != nil || there {
		return err
	}
	if _, err := tx.Exec(ctx, `create schema `+quote(p.Schema)); err != nil {
		return fmt.Errorf("create schema %s for imported tables: %w", p.Schema, err)
	}
	return nil
}

// shape makes the table what the plan says: new, or with new columns, or after --replace with other types. It returns the
// names of the columns that an existing table got.
func (p *Plan) shape(ctx context.Context, tx pgx.Tx) (added []string, err error) {
	var statements []string
	if p.table == nil {
		statements = append(statements, `create table `+p.target()+` (`+p.columnList(true)+`)`,
			`comment on table `+p.target()+` is `+literal(mark+": this table is written by sapa import and nothing else of Sapa"))
	} else {
		added, statements = p.changes()
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("make table %s: %w", p.targetName(), err)
		}
	}
	return added, nil
}

// changes are what an existing table lacks. All but new columns happen only after --replace, which has deleted the rows.
func (p *Plan) changes() (added, statements []string) {
	alter := `alter table ` + p.target()
	if len(p.table.key) > 0 && !slices.Equal(p.table.key, p.Key) {
		statements = append(statements, alter+` drop constraint `+quote(p.table.keyName))
		for _, k := range p.table.key {
			statements = append(statements, fmt.Sprintf(`%s alter column %s drop not null`, alter, quote(k)))
		}
		p.table.key = nil
	}
	for _, c := range p.Columns {
		there, ok := p.table.columns[c.Name]
		switch {
		case !ok:
			added = append(added, c.Name)
			statements = append(statements, fmt.Sprintf(`%s add column %s %s`, alter, quote(c.Name), c.Type))
		case there != c.Type:
			statements = append(statements, fmt.Sprintf(`%s alter column %s type %s using null`, alter, quote(c.Name), c.Type))
		}
	}
	return added, statements
}

// columnList is the columns' names, for select and copy, or with their types.
func (p *Plan) columnList(types bool) string {
	parts := make([]string, len(p.Columns))
	for i, c := range p.Columns {
		parts[i] = quote(c.Name)
		if types {
			parts[i] += " " + string(c.Type)
		}
	}
	return strings.Join(parts, ", ")
}

// addKey makes the primary key, after the rows are in.
func (p *Plan) addKey(ctx context.Context, tx pgx.Tx) error {
	if len(p.Key) == 0 || (p.table != nil && len(p.table.key) > 0) {
		return nil
	}
	_, err := tx.Exec(ctx, `alter table `+p.target()+` add primary key (`+quoteAll(p.Key, "")+`)`)
	return err
}

// quoteAll lists quoted names, each behind a prefix such as "t.".
func quoteAll(names []string, prefix string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = prefix + quote(n)
	}
	return strings.Join(parts, ", ")
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
