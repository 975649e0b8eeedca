package customer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/internal/pg"
)

// What a sample may cost: rows, bytes of one value as stored, the time of its statement, and the paths that are kept.
const (
	sampleRows    = 2000
	sampleBytes   = 16 << 10
	sampleTimeout = "2s"
	samplePaths   = 1000
	sampleDepth   = 8
)

// inferJSON gives each JSON column that sapa.yaml declares nothing of the paths that the first rows of its table have.
// What can't be read is no error: a rule that needs it is told why.
func inferJSON(ctx context.Context, db pg.DBTX, s *Schema) error {
	sampled := map[TableName]map[string]*JSONShape{}
	for _, e := range s.entities() {
		names := undeclared(e)
		if len(names) == 0 {
			continue
		}
		shapes, ok := sampled[e.Table]
		if !ok {
			var err error
			if shapes, err = sampleTable(ctx, db, e.Table, names); err != nil {
				return err
			}
			sampled[e.Table] = shapes
		}
		for i, c := range e.Columns {
			if c.Kind == JSON && c.JSON == nil {
				e.Columns[i].JSON = shapes[c.Name]
			}
		}
	}
	return nil
}

// undeclared are the JSON columns of a table. Those that are declared for one relation may not be for another.
func undeclared(e *Entity) []string {
	var names []string
	missing := false
	for _, c := range e.Columns {
		if c.Kind == JSON {
			names = append(names, c.Name)
			missing = missing || c.JSON == nil
		}
	}
	if !missing {
		return nil
	}
	return names
}

func (s *Schema) entities() []*Entity {
	var all []*Entity
	var visit func(*Entity)
	visit = func(e *Entity) {
		all = append(all, e)
		for _, r := range e.Relations {
			visit(r.Target)
		}
	}
	visit(s.Customer)
	return all
}

// sampleTable reads the first rows in a transaction of its own that is rolled back and can change nothing. The error is
// that of ctx or of a lost connection.
func sampleTable(ctx context.Context, db pg.DBTX, table TableName, names []string) (map[string]*JSONShape, error) {
	samples := make([]*sample, len(names))
	for i := range samples {
		samples[i] = &sample{types: map[string]*pathTypes{}}
	}
	err := readSample(ctx, db, table, names, samples)
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if err != nil && !ok {
		return nil, fmt.Errorf("read a sample of %s: %w", table, err)
	}
	shapes := map[string]*JSONShape{}
	for i, name := range names {
		shapes[name] = &JSONShape{Paths: samples[i].paths()}
		if ok {
			shapes[name] = &JSONShape{Unread: pg.WithoutValues(refused).Error()}
		}
	}
	return shapes, nil
}

func readSample(ctx context.Context, db pg.DBTX, table TableName, names []string, samples []*sample) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `set local lock_timeout = '`+pg.LockTimeout+`'; set local statement_timeout = '`+sampleTimeout+`';
		set local transaction_read_only = on; set local synchronize_seqscans = off`); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, sampleSQL(table, names))
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make([]any, len(names))
	for i := range values {
		values[i] = new(*string)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
		for i, v := range values {
			samples[i].document(*v.(**string))
		}
	}
	return rows.Err()
}

func sampleSQL(table TableName, names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		column := "t." + pgx.Identifier{name}.Sanitize()
		list[i] = fmt.Sprintf("case when pg_column_size(%s) <= %d then %s::text end", column, sampleBytes, column)
	}
	return fmt.Sprintf("select %s from %s t limit %d", strings.Join(list, ", "), table.SQL(), sampleRows)
}

// sample collects the types of the values at each path.
type sample struct{ types map[string]*pathTypes }

type pathTypes struct {
	keys []string
	seen map[string]bool // words of jsonWords, "object", "other", and "empty" for an empty array
}

func (s *sample) document(text *string) {
	if text == nil {
		return
	}
	decoder := json.NewDecoder(strings.NewReader(*text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return
	}
	if object, ok := v.(map[string]any); ok {
		s.object(object, nil)
	}
}

func (s *sample) object(object map[string]any, above []string) {
	for _, key := range slices.Sorted(maps.Keys(object)) { // the same paths each time where there are too many
		v := object[key]
		if strings.ContainsAny(key, "\x00\ufffd") || len(above) == sampleDepth {
			continue
		}
		keys := append(slices.Clone(above), key)
		s.add(keys, typeWord(v))
		if inner, ok := v.(map[string]any); ok {
			s.object(inner, keys)
		}
	}
}

func (s *sample) add(keys []string, word string) {
	id := strings.Join(keys, "\x00")
	t, ok := s.types[id]
	if !ok {
		if len(s.types) >= samplePaths {
			return
		}
		t = &pathTypes{keys: keys, seen: map[string]bool{}}
		s.types[id] = t
	}
	if word != "" {
		t.seen[word] = true
	}
}

// typeWord is the type of a decoded value; "" for null, which says nothing.
func typeWord(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return textWord(v)
	case map[string]any:
		return "object"
	case []any:
		return listWord(v)
	}
	return "other"
}

func listWord(list []any) string {
	for _, v := range list {
		if _, ok := v.(string); !ok && v != nil {
			return "other"
		}
	}
	if len(list) == 0 {
		return "empty"
	}
	return "texts"
}

var (
	jsonDate = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	jsonTime = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?$`)
)

// textWord tells dates and times from other texts, as rules read them.
func textWord(s string) string {
	day, word := s, "date"
	if m := jsonTime.FindStringSubmatch(s); m != nil {
		day, word = m[1], "time"
	} else if !jsonDate.MatchString(s) {
		return "text"
	}
	if t, err := time.Parse(time.DateOnly, day); err != nil || t.Year() < 1 {
		return "text"
	}
	return word
}

// paths are what the sample has shown, sorted.
func (s *sample) paths() []JSONPath {
	var paths []JSONPath
	for _, t := range s.types {
		paths = append(paths, t.path())
	}
	sortPaths(paths)
	return paths
}

// path decides on one type: texts of which some are dates are texts, times of which some lack the hours are times.
func (t *pathTypes) path() JSONPath {
	seen := func(word string) bool { return t.seen[word] }
	if seen("text") {
		delete(t.seen, "date")
		delete(t.seen, "time")
	}
	if seen("time") {
		delete(t.seen, "date")
	}
	if seen("texts") || seen("other") {
		delete(t.seen, "empty")
	}
	words := make([]string, 0, len(t.seen))
	for word := range t.seen {
		words = append(words, word)
	}
	slices.Sort(words)
	p := JSONPath{Keys: t.keys, Kind: Other}
	switch {
	case len(words) == 0, len(words) == 1 && (words[0] == "other" || words[0] == "empty"):
	case len(words) > 1:
		p.Mixed = words
	case words[0] == "object":
		p.Kind = JSON
	default:
		p.Kind, _ = jsonKind(words[0])
	}
	return p
}
