// Package holidays is the dated table behind the rule holiday("idul_fitri", days(7)): one YAML file for each country, one
// for what all countries share, and what sapa.yaml adds.
//
//	official: [2024, 2025, 2026]       # years whose dates have been announced; the dates of all others are expected
//	holidays:
//	  idul_fitri: {title: Idul Fitri, also: [lebaran], on: [2026-03-21, 2026-03-22]}
//	  mothers_day: {title: Mother's Day, on: second sunday of may}
//
// A file of a country goes before the common one, and sapa.yaml before both. Package almanac has the forms of days.
package holidays

import (
	"cmp"
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sapa-crm/sapa/internal/almanac"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

//go:embed *.yaml
var files embed.FS

// Status says how sure a date is.
type Status string

// The statuses.
const (
	Every    Status = "every year" // by a rule
	Official Status = "official"   // announced by the country's authorities
	Expected Status = "expected"   // calculated, and not yet announced
	Own      Status = "sapa.yaml"  // written by the company
)

// Day is one day of a holiday: midnight UTC stands for the date.
type Day struct {
	Date   time.Time
	Status Status
}

// Holiday is one holiday of a table.
type Holiday struct {
	Name  string   // as rules write it
	Title string   // as people write it; "" where only sapa.yaml knows it
	Also  []string // other names

	days, own almanac.Days
	official  []int
}

// String is the holiday's name.
func (h *Holiday) String() string { return h.Name }

// In are the holiday's days of a year; none where the table does not know them.
func (h *Holiday) In(year int) []Day {
	merged := h.days.Over(h.own)
	var days []Day
	for _, date := range merged.In(year) {
		days = append(days, Day{date, h.status(merged, date.Year())})
	}
	return days
}

func (h *Holiday) status(merged almanac.Days, year int) Status {
	switch {
	case len(h.own.In(year)) > 0:
		return Own
	case !merged.Has(year):
		return Every
	case slices.Contains(h.official, year):
		return Official
	}
	return Expected
}

// Missing is the error that the table does not know a holiday's days of a year: it says what to add to sapa.yaml.
func (h *Holiday) Missing(year int) error {
	return fmt.Errorf("no date of %s in %d is known: write it in sapa.yaml, as in holidays: {%s: %d-…}", h.Name, year, h.Name, year)
}

// Table is the holidays of a country, the company's own among them.
type Table struct {
	Country string // ISO 3166; "" where none is known
	all     []*Holiday
}

// For is the table of a country with the company's own days. A country without a file has what all share.
func For(country string, own map[string]almanac.Days) *Table {
	t := &Table{Country: country}
	t.add(shipped()["common"])
	t.add(shipped()[strings.ToLower(country)])
	for _, name := range slices.Sorted(maps.Keys(own)) {
		h := Holiday{Name: name}
		if known, ok := t.Find(name); ok {
			h = *known
		}
		h.own = own[name]
		t.put(&h)
	}
	slices.SortFunc(t.all, func(a, b *Holiday) int { return cmp.Compare(a.Name, b.Name) })
	return t
}

func (t *Table) add(holidays []*Holiday) {
	for _, h := range holidays {
		t.put(h)
	}
}

// put adds a holiday, or replaces the one of that name.
func (t *Table) put(h *Holiday) {
	if i := slices.IndexFunc(t.all, func(k *Holiday) bool { return k.Name == h.Name }); i >= 0 {
		t.all[i] = h
		return
	}
	t.all = append(t.all, h)
}

// All are the holidays by name.
func (t *Table) All() []*Holiday { return t.all }

// Find is the holiday of a name, or of another name that it has.
func (t *Table) Find(name string) (*Holiday, bool) {
	for _, h := range t.all {
		if h.Name == name {
			return h, true
		}
	}
	for _, h := range t.all {
		if slices.Contains(h.Also, name) {
			return h, true
		}
	}
	return nil, false
}

// Names are all names of holidays, the other ones last.
func (t *Table) Names() []string {
	var names, also []string
	for _, h := range t.all {
		names = append(names, h.Name)
		also = append(also, h.Also...)
	}
	return append(names, also...)
}

// Countries are those that have a file, as ISO 3166 writes them.
func Countries() []string {
	var codes []string
	for name := range shipped() {
		if len(name) == 2 {
			codes = append(codes, strings.ToUpper(name))
		}
	}
	slices.Sort(codes)
	return codes
}

// shipped are the embedded files, read once. A mistake in one is a mistake of the program; a test reads them all.
var shipped = sync.OnceValue(func() map[string][]*Holiday {
	tables, err := load()
	if err != nil {
		panic(err)
	}
	return tables
})

type tableFile struct {
	Official []int                `yaml:"official"`
	Holidays map[string]tableLine `yaml:"holidays,required"`
}

type tableLine struct {
	Title string       `yaml:"title,required"`
	Also  []string     `yaml:"also"`
	On    almanac.Days `yaml:"on,required"`
}

func load() (map[string][]*Holiday, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	tables := map[string][]*Holiday{}
	for _, e := range entries {
		holidays, problems := read(e.Name())
		if err := problems.Err(); err != nil {
			return nil, err
		}
		tables[strings.TrimSuffix(e.Name(), ".yaml")] = holidays
	}
	return tables, nil
}

func read(name string) ([]*Holiday, diag.List) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, diag.List{{Message: err.Error()}}
	}
	var t tableFile
	f, problems := strictyaml.Parse(name, string(text))
	problems = append(problems, f.Decode(&t)...)
	var holidays []*Holiday
	for _, key := range f.Keys("$.holidays") {
		line := t.Holidays[key]
		holidays = append(holidays, &Holiday{Name: key, Title: line.Title, Also: line.Also, days: line.On, official: t.Official})
	}
	return holidays, problems
}
