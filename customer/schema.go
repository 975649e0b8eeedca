// Package customer knows whom the engine may speak to: the mapping of the company's own tables (sapa.yaml), checked
// against the database's catalog, the address book, consent and suppression. The company's tables are only read.
package customer

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/almanac"
)

// Kind is what rules and templates need to know of a column's type.
type Kind int

// The kinds. Other is a column that can be tested for nil and nothing else.
const (
	Other       Kind = iota
	Bool             // boolean
	Int              // smallint, integer, bigint
	Numeric          // numeric: exact
	Float            // real, double precision
	Text             // text, varchar, char, citext, name
	Date             // date
	Timestamp        // timestamp without time zone: civil time of the company's zone
	Timestamptz      // timestamp with time zone: an instant
	UUID             // uuid, written as text in rules
	Enum             // an enum type, written as text in rules
	TextArray        // text[], varchar[], and arrays of the other kinds of text, of uuids and of enums
	JSON             // json, jsonb
)

// String is the kind's word in messages to authors.
func (k Kind) String() string {
	return [...]string{
		"other", "boolean", "whole number", "number", "number", "text", "date", "date and time",
		"instant", "uuid", "text", "list of texts", "json",
	}[k]
}

// TableName is a table or view of the company, both parts exactly as in the catalog.
type TableName struct {
	Schema, Name string
}

// SQL is the quoted, qualified name.
func (t TableName) SQL() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// String is the name as an author would write it.
func (t TableName) String() string { return t.Schema + "." + t.Name }

// Column is one column of a mapped table, as the catalog describes it.
type Column struct {
	Name     string // exactly as in the catalog
	Kind     Kind
	PGType   string // format_type's words, such as "character varying(80)"
	Nullable bool   // false only where the catalog says NOT NULL (columns of views are nullable)

	JSON   *JSONShape // of a JSON column: what is known of the values within; nil for nothing
	Within *JSONValue // of what Value gives: where it stands
	Enum   *Labels    // of an Enum column: its values
	Folds  bool       // its collation takes texts for equal that are not the same
}

// Labels are the values of an enum type, in its order.
type Labels struct{ Values []string }

// SQL is the quoted column name.
func (c Column) SQL() string { return pgx.Identifier{c.Name}.Sanitize() }

// Entity is a mapped table: the customers themselves, or the rows behind a relation.
type Entity struct {
	Name      string // the word in rules: "customer", "vehicles"
	Table     TableName
	Key       string   // key column; "" when the relation declares none
	Columns   []Column // in catalog order
	Relations []*Relation
	At        string // column of the row's own time, "" when not declared
	Amount    string // column of the row's value, "" when not declared
	Event     string // of an event, which is no table of the company's: its name
}

// Column finds a column by its exact name.
func (e *Entity) Column(name string) (Column, bool) {
	for _, c := range e.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// Relation finds a relation by its name.
func (e *Entity) Relation(name string) (*Relation, bool) {
	for _, r := range e.Relations {
		if r.Name == name {
			return r, true
		}
	}
	return nil, false
}

// Names lists everything that can follow "customer." for did-you-mean: columns, then relations.
func (e *Entity) Names() []string {
	names := make([]string, 0, len(e.Columns)+len(e.Relations))
	for _, c := range e.Columns {
		names = append(names, c.Name)
	}
	for _, r := range e.Relations {
		names = append(names, r.Name)
	}
	return names
}

// Relation joins a parent row to rows of Target by parent.Local = target.Remote.
type Relation struct {
	Name   string
	One    bool   // to-one: at most one row (a missing one is nil); otherwise a list
	Local  string // column of the parent
	Remote string // column of Target.Table
	Target *Entity
}

// Field is a property of the customer that is a column, a constant, or neither.
type Field struct {
	Column  string // "" when not mapped to a column
	Default string // used where the column is missing or not mapped
}

// Consent says what the company's own opt-in columns mean.
type Consent struct {
	Granted bool              // the default where neither the ledger nor a column says anything
	Columns map[string]string // channel → boolean column of the customers table
}

// Schema is sapa.yaml's customers section, resolved against the catalog: everything that rules, templates and
// planning need to know about the company's data. It is immutable.
type Schema struct {
	Customer *Entity // Name "customer"
	Email    Field
	Phone    Field
	Post     *Post // the columns of the postal address; nil: there are none
	Name     Field
	Locale   Field
	Timezone Field
	Region   Field
	Where    string // rule that says who counts as a customer; "" for every row
	Consent  Consent
	Topics   []Topic // of sapa.yaml, in its order
	Zone     string  // the company's own IANA zone: Timezone.Default, or UTC
	Rails    Rails
	// Throttles are what the servers of some recipients of e-mail take: their messages are planned in lanes of their own.
	Throttles Throttles
	Country   string                  // the company's, by ISO 3166: Config.HomeCountry; "" when neither is there
	Holidays  map[string]almanac.Days // the company's own
	// Preferred is the column with the channel that a customer prefers; "": there is none. Costs are estimates of what a message
	// costs, by channel; those that sapa.yaml says nothing of are missing.
	Preferred string
	Costs     map[string]Money
	// Desks are the names that alerts can go to, in alphabetical order; nil where sapa.yaml has no section of them.
	Desks []string
	// Events are those that sapa.yaml declares, by name.
	Events []EventType
}

// KeyColumn is the customers' key. Keys are bigint, integer, text or uuid; elsewhere in the engine a key is its text.
func (s *Schema) KeyColumn() Column {
	c, _ := s.Customer.Column(s.Customer.Key)
	return c
}

// Address is the field that holds the customer's address on a channel; false when none is mapped.
func (s *Schema) Address(channel string) (Field, bool) {
	switch addressKind(channel) {
	case channels.NoAddress:
	case channels.MailAddress:
		return s.Email, s.Email.Column != ""
	case channels.PhoneAddress:
		return s.Phone, s.Phone.Column != ""
	case channels.PostAddress:
		if s.Post != nil {
			return Field{Column: s.Post.Lines[0]}, true // the first of several: AddressSQL has all
		}
	}
	return Field{}, false
}

// Singular is the default word for one row of a relation: vehicles → vehicle, categories → category.
func Singular(relation string) string {
	switch {
	case strings.HasSuffix(relation, "ies") && len(relation) > 4:
		return relation[:len(relation)-3] + "y"
	case strings.HasSuffix(relation, "s") && !strings.HasSuffix(relation, "ss"):
		return relation[:len(relation)-1]
	}
	return relation
}
