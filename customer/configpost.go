package customer

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Post says which columns of the customers' table make their postal address.
type Post struct {
	Name     string   `yaml:"name"` // to whom; "": the customer's name
	Lines    []string `yaml:"lines,required"`
	Postcode string   `yaml:"postcode"`
	City     string   `yaml:"city,required"`
	Province string   `yaml:"province"`
	Country  string   `yaml:"country"` // as a code of ISO 3166 or a name; "", and where there is none: the customer's region
}

// UnmarshalNode reads the mapping; lines may be one column.
func (p *Post) UnmarshalNode(n strictyaml.Node) diag.List {
	type plain Post
	if n.Kind() != strictyaml.Map {
		return diag.List{n.Expected("", "a group of keys such as {lines: [street], postcode: postcode, city: city}")}
	}
	return n.Decode((*plain)(p))
}

// mostPostLines is how many columns a street may have.
const mostPostLines = 4

func (c *checker) post(p *Post) {
	if p == nil || !c.wellMade {
		return
	}
	if n := len(p.Lines); n < 1 || n > mostPostLines {
		c.problem("$.customers.post.lines", "such as  lines: [street, street2]", "%d columns: a postal address has 1 to %d lines besides the city", n, mostPostLines)
	}
}

// post checks the columns of the postal address.
func (r *resolver) post(t *catalogTable, p *Post) {
	if p == nil {
		return
	}
	const post = customersPath + ".post"
	r.column(post+".name", t, p.Name, Text)
	for i, column := range p.Lines {
		r.column(strictyaml.Index(post+".lines", i), t, column, Text)
	}
	r.column(post+".postcode", t, p.Postcode, Text, Int)
	r.column(post+".city", t, p.City, Text, Enum)
	r.column(post+".province", t, p.Province, Text, Enum)
	r.column(post+".country", t, p.Country, Text, Enum)
}

// PostColumns are the columns of the postal address in the order in which they are written into the address book, "" for what
// is not mapped: the name, the lines, postcode, city, province, country.
func (s *Schema) PostColumns() []string {
	if s.Post == nil {
		return nil
	}
	p := *s.Post
	if p.Name == "" {
		p.Name = s.Name.Column
	}
	columns := append([]string{p.Name}, p.Lines...)
	return append(columns, p.Postcode, p.City, p.Province, p.Country)
}

// joinedPost is JoinPost of a row's columns.
func (s *Schema) joinedPost(row map[string]any) string {
	columns := s.PostColumns()
	values := make([]string, len(columns))
	for i, column := range columns {
		if v := row[column]; column != "" && v != nil {
			values[i] = fmt.Sprint(v)
		}
	}
	return JoinPost(values)
}

// postSQL is the postal address as the address book knows it: the columns' texts on lines of their own, those that are
// missing as empty ones, the blanks within each made single, line breaks made commas. It is null for whoever has neither street
// nor postcode nor city. JoinPost does the same in Go.
func (s *Schema) postSQL(alias string) string {
	columns := s.PostColumns()
	texts := make([]string, len(columns))
	for i, column := range columns {
		texts[i] = "''"
		if column != "" {
			texts[i] = `btrim(regexp_replace(regexp_replace(coalesce(` + alias + `.` + pgx.Identifier{column}.Sanitize() +
				`::text, ''), '[ ,\t]*[\r\n]+[ ,\t\r\n]*', ', ', 'g'), '[ \t]+', ' ', 'g'), ' ,')`
		}
	}
	n := len(texts)
	return "case when concat(" + strings.Join(texts[1:n-2], ", ") + ") <> '' then concat_ws(chr(10), " + strings.Join(texts, ", ") + ") end"
}
