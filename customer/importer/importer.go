// Package importer brings CSV files into PostgreSQL tables that campaigns can use, for those who start from files:
//
//	src, err := importer.Open("customers.csv", os.Stdin)
//	plan, err := importer.Inspect(ctx, src, importer.Options{Table: "customers", Key: []string{"CustomerKey"}})
//	result, err := importer.Load(ctx, pool, plan)
//
// Inspect reads the whole file and infers each column's type; where a guess would be dangerous (is 01/02/2021 in January?
// is 1.500 one and a half?) it returns Questions, each with the override to type, instead of a plan. Load reads the file
// again and copies it in one transaction into a table of schema "data" which it made itself; every row that can't be
// loaded goes to a file of rejects. Memory does not grow with the file.
//
// What is inferred: boolean (Y/N, yes/no, true/false, ya/tidak, on/off, when both occur), bigint, numeric (exact; with or
// without a currency sign), date, timestamp (without a zone), timestamptz (with one), else text. Digits that are no
// quantity stay text: those with a leading zero or plus, those longer than 18, and columns named like a phone number or
// postal code. Two-digit years are read as the year that lies at most 20 years ahead, in columns named like a birth date
// as one that is not ahead at all.
package importer

import (
	"fmt"
	"strings"
	"time"
)

// DefaultSchema is where imported tables live.
const DefaultSchema = "data"

// Options say what the caller knows about a file and wants of it. Columns may be named as in the file (CustomerKey) or as in
// the table (customer_key).
type Options struct {
	Table     string           // name of the table, without schema; required
	Schema    string           // DefaultSchema when empty
	Key       []string         // columns that identify a row; empty: none, or the table's own from an earlier import
	Types     []string         // overrides, COLUMN=TYPE[:FORMAT]
	Delimiter string           // one character, or "tab"; empty: detected
	Encoding  string           // utf-8, utf-16, windows-1252 or latin-1; empty: detected
	Null      []string         // words that mean "missing", as the empty value always does; nil: DefaultNull
	Rejects   string           // path of the file of rejects; empty: the source's name + ".rejects.csv"
	Mode      Mode             // what to do with a table that has no key and exists already
	Now       func() time.Time // for two-digit years; nil: time.Now
	Progress  func(Progress)   // called at each block read; nil: nobody looks
}

// DefaultNull returns the words that mean "missing" when Options.Null is nil.
func DefaultNull() []string {
	return []string{"NA", "N/A", "n/a", "#N/A", "NULL", "null", `\N`, "NaN", "-", "0000-00-00", "0000-00-00 00:00:00"}
}

// Mode says what to do with rows that a table has already.
type Mode int

// The modes. Merge is the zero value: by key where there is one, refused where there is none.
const (
	Merge   Mode = iota
	Append       // add all rows to a table without a key
	Replace      // delete the rows of earlier imports first, in the same transaction
)

// Progress is how far a reading of the file has come.
type Progress struct {
	Phase string // "reading" or "loading"
	Done  int64  // bytes of the file, compressed if it is
	Total int64  // 0: not known
}

// Plan is what Inspect found and Load will do.
type Plan struct {
	Source    *Source
	Table     string // without schema
	Schema    string
	Columns   []Column
	Key       []string // column names in the table
	Delimiter byte
	Encoding  string // such as "UTF-8", "Windows-1252"
	Rows      int64  // records below the header, malformed ones included
	Notes     []string
	Exists    bool // the table is there from an earlier import; known after Fit

	opts     Options
	encoding encoding
	nulls    map[string]bool
	fields   int       // in a record
	table    *existing // as Fit found it
}

// Column is one column of the table.
type Column struct {
	Name       string // in the table
	Header     string // in the file
	Type       Type
	Format     string   // "MM/DD/YYYY, MM-DD-YY" of dates, "1.234,56" of numbers that are not written 1,234.56
	Overridden bool     // by Options.Types
	Missing    int64    // values that are missing
	Examples   []string // up to three different values, as in the file

	field   int  // position in a record
	unnamed bool // the header leaves it empty
	parser  valueParser
	stats   *stats
}

// Type is a column's type in PostgreSQL.
type Type string

// The types that an import makes.
const (
	Text        Type = "text"
	Boolean     Type = "boolean"
	BigInt      Type = "bigint"
	Numeric     Type = "numeric"
	Date        Type = "date"
	Timestamp   Type = "timestamp"
	Timestamptz Type = "timestamptz"
)

// Result is what a Load did.
type Result struct {
	Table       string // with its schema
	Created     bool   // the table is new
	NewColumns  []string
	Rows        int64 // records read
	Loaded      int64 // Added + Changed + Unchanged
	Added       int64
	Changed     int64
	Unchanged   int64
	Rejected    int64
	RejectsFile string // empty when nothing was rejected
}

// Question is a guess that would be dangerous to make.
type Question struct {
	Column  string // as in the file
	Message string
	Flags   []string // any one of them answers
}

// Questions is the error of a file that can't be loaded before its author has said what it means.
type Questions struct {
	Source string
	List   []Question
}

// Error lists all questions with the flags that answer them.
func (q *Questions) Error() string {
	var b strings.Builder
	for i, one := range q.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: column %s: %s", q.Source, one.Column, one.Message)
		for j, flag := range one.Flags {
			fmt.Fprintf(&b, "\n     %s %s", [...]string{"say which:", "       or:"}[min(j, 1)], flag)
		}
	}
	return b.String()
}

// MissingShare is the share of values that are missing, from 0 to 1.
func (c *Column) MissingShare() float64 {
	if c.stats == nil || c.stats.rows == 0 {
		return 0
	}
	return float64(c.Missing) / float64(c.stats.rows)
}
