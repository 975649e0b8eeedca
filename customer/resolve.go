package customer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Resolve checks the mapping against the database's catalog and gives the columns their types. The list says what the
// author of sapa.yaml (or, where rights are missing, the database's administrator) must mend; with any problem there is
// no Schema. The error is the database's own. Nothing but the catalog is read, and a sample of those tables that have JSON
// columns of which sapa.yaml declares nothing.
func Resolve(ctx context.Context, db pg.DBTX, cfg *Config) (*Schema, diag.List, error) {
	names := append([]TableName{cfg.Customers.Table}, relationTables(cfg.Customers.Relations)...)
	cat, err := readCatalog(ctx, db, names)
	if err != nil {
		return nil, nil, err
	}
	r := &resolver{checker: checker{file: cfg.File}, cat: cat}
	schema := r.schema(&cfg.Customers)
	r.callCard(cfg.Channels.Calls, cat.tables[cfg.Customers.Table])
	schema.Topics = cfg.topicList()
	schema.Rails, schema.Costs = cfg.Rails, cfg.Channels.Costs()
	if alert := cfg.Channels.Alert; alert != nil {
		schema.Desks = slices.Sorted(maps.Keys(alert.Desks))
	}
	schema.Events = cfg.eventTypes()
	if email := cfg.Channels.Email; email != nil {
		schema.Throttles = email.Domains
	}
	schema.Country, schema.Holidays = cfg.HomeCountry(), cfg.Holidays
	if len(r.problems) > 0 {
		return nil, r.problems, nil
	}
	if err := inferJSON(ctx, db, schema); err != nil {
		return nil, nil, err
	}
	return schema, nil, nil
}

func relationTables(relations map[string]*RelationConfig) []TableName {
	var names []TableName
	for _, r := range relations {
		names = append(names, r.Table)
		names = append(names, relationTables(r.Relations)...)
	}
	return names
}

// resolver turns a Config into a Schema and collects problems on the way.
type resolver struct {
	checker
	cat *catalog
}

const customersPath = "$.customers"

func (r *resolver) schema(cfg *CustomersConfig) *Schema {
	s := &Schema{
		Email: cfg.Email, Phone: cfg.Phone, Post: cfg.Post, Name: cfg.Name, Locale: cfg.Locale, Timezone: cfg.Timezone, Region: cfg.Region,
		Where: cfg.Where, Consent: cfg.Consent, Zone: cmp.Or(cfg.Timezone.Default, "UTC"), Preferred: cfg.Preferred,
	}
	t := r.table(customersPath, cfg.Table)
	s.Customer = &Entity{Name: "customer", Table: cfg.Table, Key: string(cfg.Key), Columns: t.readable()}
	r.key(customersPath, t, string(cfg.Key))
	r.fields(t, cfg)
	r.post(t, cfg.Post)
	r.preference(t, cfg.Preferred)
	for channel, column := range cfg.Consent.Columns {
		r.column(strictyaml.Key(customersPath+".consent", channel), t, column, Bool)
	}
	r.json(customersPath, t, s.Customer, cfg.JSON)
	s.Customer.Relations = r.relations(customersPath, t, s.Customer, cfg.Relations)
	return s
}

// fields checks the columns that say something about a customer.
func (r *resolver) fields(t *catalogTable, cfg *CustomersConfig) {
	for _, f := range []struct {
		name  string
		field Field
		kinds []Kind
	}{
		{"email", cfg.Email, []Kind{Text}},
		{"phone", cfg.Phone, []Kind{Text}},
		{"name", cfg.Name, []Kind{Text}},
		{"locale", cfg.Locale, []Kind{Text, Enum}},
		{"timezone", cfg.Timezone, []Kind{Text, Enum}},
		{"region", cfg.Region, []Kind{Text, Enum}},
	} {
		path := strictyaml.Key(customersPath, f.name)
		if r.file.Has(path + ".column") {
			path += ".column"
		}
		r.column(path, t, f.field.Column, f.kinds...)
	}
}

func (r *resolver) relations(parent string, pt *catalogTable, pe *Entity, relations map[string]*RelationConfig) []*Relation {
	var resolved []*Relation
	for _, name := range r.file.Keys(parent + ".relations") {
		cfg, path := relations[name], strictyaml.Key(parent+".relations", name)
		if _, taken := pt.column(name); taken {
			r.keyProblem(path, "give the relation another name", "%s has a column %q already", pt.name, name)
		}
		resolved = append(resolved, r.relation(path, pt, pe, name, cfg))
	}
	return resolved
}

func (r *resolver) relation(path string, pt *catalogTable, pe *Entity, name string, cfg *RelationConfig) *Relation {
	t := r.table(path, cfg.Table)
	e := &Entity{Name: name, Table: cfg.Table, Key: string(cfg.Key), Columns: t.readable(), At: cfg.At, Amount: cfg.Amount}
	rel := &Relation{Name: name, Target: e, One: cfg.Via != "", Local: pe.Key, Remote: cfg.By}
	if rel.One {
		rel.Local, rel.Remote = cfg.Via, e.Key
	}
	r.joinColumns(path, pt, t, rel)
	if !rel.One && e.Key != "" {
		r.key(path, t, e.Key)
	}
	r.column(path+".at", t, cfg.At, Date, Timestamp, Timestamptz)
	r.column(path+".amount", t, cfg.Amount, Int, Numeric, Float)
	r.json(path, t, e, cfg.JSON)
	e.Relations = r.relations(path, t, e, cfg.Relations)
	return rel
}

// joinColumns checks that both ends of a relation exist and can be compared.
func (r *resolver) joinColumns(path string, pt, t *catalogTable, rel *Relation) {
	joinPath := path + ".by"
	if rel.One {
		joinPath = path + ".via"
		r.column(joinPath, pt, rel.Local)
		r.key(path, t, rel.Remote)
	} else {
		r.column(joinPath, t, rel.Remote)
	}
	local, okLocal := pt.column(rel.Local)
	remote, okRemote := t.column(rel.Remote)
	if okLocal && okRemote && !canCompare(local.Kind, remote.Kind) {
		r.problem(joinPath, "map a view that casts one of them to the other's type",
			"%s.%s is %s and %s.%s is %s: they can't be compared",
			pt.name, local.Name, local.PGType, t.name, remote.Name, remote.PGType)
	}
}

// canCompare says whether PostgreSQL compares columns of these kinds by =.
func canCompare(a, b Kind) bool {
	number := func(k Kind) bool { return k == Int || k == Numeric }
	return a == b && a != Other && a != JSON && a != Enum || number(a) && number(b)
}

// table finds a table and says what is missing: the schema, the table, the right to see it. It is then taken as
// unknown: a table without columns, about which nothing more is reported.
func (r *resolver) table(path string, name TableName) *catalogTable {
	t := r.cat.tables[name]
	switch path += ".table"; {
	case !t.exists:
		r.problem(path, r.tableHint(name), "no table or view %q in schema %q", name.Name, name.Schema)
	case !t.useSchema:
		r.problem(path, fmt.Sprintf("an administrator can allow it: grant usage on schema %s to %s; grant select on %s to %s;",
			pgx.Identifier{name.Schema}.Sanitize(), r.roleSQL(), name.SQL(), r.roleSQL()),
			"the database role %s may not look into schema %q", r.cat.role, name.Schema)
	case len(t.columns) > 0 && len(t.readable()) == 0:
		r.problem(path, fmt.Sprintf("an administrator can allow it: grant select on %s to %s;", name.SQL(), r.roleSQL()),
			"the database role %s may not read %s", r.cat.role, name)
	default:
		return t
	}
	return &catalogTable{name: name}
}

func (r *resolver) roleSQL() string { return pgx.Identifier{r.cat.role}.Sanitize() }

// tableHint looks for what a table name could have meant: other capitals, another schema, a misspelt name.
func (r *resolver) tableHint(name TableName) string {
	var near, schemas, elsewhere []string
	for _, n := range r.cat.names {
		if strings.EqualFold(n.String(), name.String()) {
			return fmt.Sprintf("did you mean %s? Capital letters count", n.written())
		}
		if n.Schema == name.Schema {
			near = append(near, n.Name)
		}
		if n.Name == name.Name {
			elsewhere = append(elsewhere, n.written())
		}
		schemas = append(schemas, n.Schema)
	}
	switch {
	case len(elsewhere) > 0:
		return "there is " + strings.Join(elsewhere, ", ")
	case len(near) > 0:
		return suggest(name.Name, near)
	}
	return cmp.Or(suggestSchema(name.Schema, slices.Compact(schemas)), "the database has no tables that "+r.cat.role+" can see")
}

func suggestSchema(name string, schemas []string) string {
	hint := suggest(name, schemas)
	if list, ok := strings.CutPrefix(hint, "known here: "); ok {
		return "schemas with tables: " + list
	}
	return strings.Replace(hint, "did you mean", "did you mean schema", 1)
}

// column checks that a column exists, may be read and is of one of the kinds, if any are given. No name is no problem,
// nor is anything about a table that is unknown.
func (r *resolver) column(path string, t *catalogTable, name string, kinds ...Kind) bool {
	if name == "" || !t.exists {
		return name == ""
	}
	c, ok := t.column(name)
	switch {
	case !ok:
		r.problem(path, suggest(name, t.columnNames()), "no column %q in %s", name, t.name)
	case !c.readable:
		r.problem(path, fmt.Sprintf("an administrator can allow it: grant select (%s) on %s to %s;", c.SQL(), t.name.SQL(), r.roleSQL()),
			"the database role %s may not read %s.%s", r.cat.role, t.name, name)
		ok = false
	case len(kinds) > 0 && !slices.Contains(kinds, c.Kind):
		r.problem(path, "", "%s.%s is %s, but it must be %s", t.name, name, c.PGType, kindWords(kinds))
		ok = false
	}
	return ok
}

// kindWords are the kinds as "text or enum", each word once.
func kindWords(kinds []Kind) string {
	words := map[Kind]string{
		Text: "text", Enum: "an enum", Bool: "boolean", Date: "a date", Timestamp: "a timestamp",
		Timestamptz: "a timestamp", JSON: "json or jsonb", Int: "a number", Numeric: "a number", Float: "a number",
	}
	var list []string
	for _, k := range kinds {
		list = append(list, words[k])
	}
	return strings.Join(slices.Compact(list), " or ")
}

// suggest is diag.DidYouMean that says so when only capital letters differ.
func suggest(name string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return fmt.Sprintf("did you mean %q? Capital letters count", k)
		}
	}
	return diag.DidYouMean(name, known)
}

// key checks a key column: there, of a type that keys may have, and not just a part of the table's key.
func (r *resolver) key(path string, t *catalogTable, name string) {
	path += ".key"
	if !r.column(path, t, name) {
		return
	}
	c, _ := t.column(name)
	if !slices.Contains([]string{"int2", "int4", "int8", "text", "varchar", "uuid"}, c.base) {
		r.problem(path, fmt.Sprintf("map a view that casts it, as in: create view … as select %s::text as key, * from %s", c.SQL(), t.name.SQL()),
			"the key %s.%s is %s; keys are bigint, integer, smallint, text, character varying or uuid", t.name, name, c.PGType)
		return
	}
	if len(t.primary) > 1 && slices.Contains(t.primary, name) && !slices.Contains(t.unique, name) {
		r.problem(path, compositeHint(t), "the primary key of %s has %d columns (%s): %s alone does not tell its rows apart",
			t.name, len(t.primary), strings.Join(t.primary, ", "), name)
	}
}

// compositeHint is the view that makes one key of several columns.
func compositeHint(t *catalogTable) string {
	parts := make([]string, len(t.primary))
	for i, name := range t.primary {
		parts[i] = pgx.Identifier{name}.Sanitize()
	}
	return fmt.Sprintf("map a view with one key column, as in: create view … as select concat_ws('-', %s) as key, * from %s",
		strings.Join(parts, ", "), t.name.SQL())
}
