package segment

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/sapa-crm/sapa/customer"
)

// jsonPaths are the values that the test's JSON columns declare.
func jsonPaths(paths string) *customer.JSONShape {
	kinds := map[string]customer.Kind{
		"number": customer.Numeric, "text": customer.Text, "boolean": customer.Bool, "date": customer.Date,
		"time": customer.Timestamptz, "texts": customer.TextArray, "other": customer.Other,
	}
	s := &customer.JSONShape{Declared: true}
	for _, field := range strings.Split(paths, ", ") {
		path, word, _ := strings.Cut(field, ": ")
		s.Paths = append(s.Paths, customer.JSONPath{Keys: strings.Split(path, "."), Kind: kinds[word]})
	}
	return s
}

func jsonCol(name, pgType, paths string) customer.Column {
	return customer.Column{Name: name, Kind: customer.JSON, PGType: pgType, Nullable: true, JSON: jsonPaths(paths)}
}

// jsonTokens are values of every kind as JSON writes them, most of them wrong wherever they stand.
var jsonTokens = []string{
	`5`, `5.0`, `-3`, `0.1`, `1e2`, `-0`, `7.50`, `12345678901234567890.123`, `1` + strings.Repeat("0", 99), `1` + strings.Repeat("0", 100), `1e99`, `1e100`, `1e-98`, `1e-99`,
	`"5"`, `"Solo"`, `"solo"`, `"SOLO"`, `""`, `"A_%"`, `"x\ny"`, `"\u00c9"`, `"É"`, `"NaN"`, `"1e5"`, `"it's"`, `"a\\b"`, `" pad "`, `"\ud83d\ude00"`, `"\\u0000"`,
	`null`, `true`, `false`, `"true"`, `[]`, `["vip", "a", null, 5, "É", ""]`, `["A_%"]`, `[5]`, `[["vip"]]`, `{}`, `{"0": 1}`, `"vip"`, `{"vip": 1}`,
	`"2026-02-28"`, `"2024-02-29"`, `"2026-02-29"`, `"2026-02-30"`, `"1900-02-29"`, `"2000-02-29"`, `"0000-00-00"`, `"0000-02-29"`, `"2026-13-01"`, `"yesterday"`, `"2026-2-1"`, `"infinity"`, `"now"`, `" 2026-02-28"`,
	`"2026-02-28T10:00:00Z"`, `"2026-11-22T01:00:00+07:00"`, `"2026-11-22T01:00:00.25-0500"`, `"2026-11-22 01:00+07"`, `"2026-03-08T02:30:00"`, `"2026-11-01 01:30"`,
	`"2026-11-22T24:00:00Z"`, `"2026-11-22T23:59:60Z"`, `"2026-02-30T10:00:00Z"`, `"2026-11-22T10:00:00+15:00"`, `"2026-11-22T10:00:00 Asia/Tokyo"`, `"2026-11-22T10:00:00.1234567Z"`,
	`20260228`,
}

// onlyText are what the type json stores and jsonb does not.
var onlyText = []string{`1e400000`, `1e1000`, `-1e-20000`, `1E+5`, `"\u0000"`, `"\ud800"`, `"\udc00 \ud83d"`, `"\ud83d\\ude00"`, `5 `}

// fitting are tokens that are right for a kind.
func fitting(r *rand.Rand, kind customer.Kind) string {
	switch kind {
	case customer.Numeric:
		return anyOf(r, jsonTokens[:14])
	case customer.Text:
		return anyOf(r, jsonTokens[14:30])
	case customer.Bool:
		return anyOf(r, []string{"true", "false"})
	case customer.TextArray:
		return anyOf(r, []string{`[]`, `["vip", "a", null, 5, "É", ""]`, `["A_%", "x"]`, `["Solo"]`})
	case customer.Date:
		return anyOf(r, []string{`"2026-02-28"`, `"2024-02-29"`, `"1990-11-22"`, `"2026-11-22"`})
	case customer.Timestamptz:
		return anyOf(r, []string{`"2026-02-28T10:00:00Z"`, `"2026-11-22T01:00:00+07:00"`, `"2026-11-22T01:00:00.25-0500"`, `"2026-11-22 01:00+07"`, `"2026-03-08T02:30:00"`, `"2026-11-01 01:30"`})
	}
	return anyOf(r, jsonTokens)
}

// jsonPool is documents with the paths of a shape, the same each time.
func jsonPool(c customer.Column) []any {
	r := rand.New(rand.NewPCG(11, uint64(len(c.Name))))
	tokens := jsonTokens
	docs := []any{`null`, `5`, `[]`, `[{"km": 5}]`, `"x"`, `{}`, `{"address": null}`, `{"address": ["Solo"]}`, `{"address": "Solo"}`}
	if c.PGType == "json" {
		tokens = append(append([]string{}, jsonTokens...), onlyText...)
		docs = append(docs, `{"km": 1, "km": 7}`, ` {"km" : 5 , "note": "Solo"}`, `{"\u0000": 1, "km": 5}`, `{"km": 5, "other": "\u0000"}`, `{"k\u006d": 5}`)
	}
	if c.JSON == nil {
		return docs
	}
	for range 60 {
		root := &jsonTree{}
		for _, p := range c.JSON.Paths {
			token := fitting(r, p.Kind)
			if r.IntN(2) == 0 {
				token = anyOf(r, tokens)
			}
			if r.IntN(6) > 0 {
				root.set(p.Keys, token)
			}
		}
		docs = append(docs, root.String())
	}
	return docs
}

// jsonTree writes a document with its keys in the order in which they came.
type jsonTree struct {
	keys  []string
	under map[string]*jsonTree
	token string
}

func (n *jsonTree) set(keys []string, token string) {
	if len(keys) == 0 {
		n.token = token
		return
	}
	if n.under == nil {
		n.under = map[string]*jsonTree{}
	}
	if n.under[keys[0]] == nil {
		n.under[keys[0]] = &jsonTree{}
		n.keys = append(n.keys, keys[0])
	}
	n.under[keys[0]].set(keys[1:], token)
}

func (n *jsonTree) String() string {
	if n.token != "" {
		return n.token
	}
	var parts []string
	for _, k := range n.keys {
		key, _ := json.Marshal(k)
		parts = append(parts, string(key)+": "+n.under[k].String())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// addWithin puts what is within a row's JSON columns into the row, as loading would. It is written without PostgreSQL, so
// that the SQL is compared with something.
func addWithin(row map[string]any, e *customer.Entity, zone string) {
	for _, c := range e.Columns {
		if c.Kind != customer.JSON || c.JSON == nil {
			continue
		}
		text, _ := row[c.Name].(string)
		for _, p := range c.JSON.Paths {
			for i := 1; i <= len(p.Keys); i++ {
				v, _ := c.Value(p.Keys[:i])
				row[v.Name] = readWithin(text, c, p.Keys[:i], v.Kind, zone)
			}
		}
	}
}

func readWithin(text string, c customer.Column, keys []string, kind customer.Kind, zone string) any {
	if text == "" || c.PGType == "json" && hasBadEscape(text) {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil
	}
	for _, key := range keys {
		object, _ := v.(map[string]any)
		v = object[key]
	}
	if v == nil {
		return nil
	}
	switch kind {
	case customer.JSON:
		if _, ok := v.(map[string]any); !ok {
			return nil
		}
		return true
	case customer.Other:
		return true
	}
	return typedWithin(v, kind, zone)
}

func typedWithin(v any, kind customer.Kind, zone string) any {
	switch v := v.(type) {
	case bool:
		if kind == customer.Bool {
			return v
		}
	case json.Number:
		if kind == customer.Numeric {
			return numberWithin(v.String())
		}
	case []any:
		if kind != customer.TextArray {
			return nil
		}
		texts := []string{}
		for _, item := range v {
			if s, ok := item.(string); ok {
				texts = append(texts, s)
			}
		}
		return texts
	case string:
		return textWithinJSON(v, kind, zone)
	}
	return nil
}

func numberWithin(token string) any {
	if _, exponent, ok := strings.Cut(strings.ToLower(token), "e"); ok && len(strings.Trim(exponent, "+-")) > 3 {
		return nil
	}
	d, err := decimal.NewFromString(token)
	if err != nil || len(d.StringFixed(max(0, -d.Exponent()))) > 100 {
		return nil
	}
	return d
}

func textWithinJSON(s string, kind customer.Kind, zone string) any {
	switch kind {
	case customer.Text:
		return s
	case customer.Date:
		if t, err := time.Parse(time.DateOnly, s); err == nil && t.Year() > 0 {
			return t
		}
	case customer.Timestamptz:
		return timeWithin(s, zone)
	}
	return nil
}

func timeWithin(s, zone string) any {
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	for _, clock := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		for _, offset := range []string{"Z07:00", "Z0700", "Z07"} {
			if t, err := time.Parse(clock+offset, s); err == nil && clock != "2006-01-02" {
				if _, seconds := t.Zone(); seconds > 14*3600+59*60 || seconds < -14*3600-59*60 {
					return nil
				}
				return t.UTC().Round(time.Microsecond)
			}
		}
		if t, err := time.Parse(clock, s); err == nil && t.Year() > 0 {
			return toInstant(t, mustZone(zone))
		}
	}
	return nil
}

var escape = regexp.MustCompile(`\\(u([0-9a-fA-F]{4})|.)`)

// hasBadEscape finds escapes of NUL and halves of surrogate pairs.
func hasBadEscape(text string) bool {
	high := -1 // where a high half ended
	for _, m := range escape.FindAllStringSubmatchIndex(text, -1) {
		word := ""
		if m[4] >= 0 {
			word = strings.ToLower(text[m[4]:m[5]])
		}
		low := word >= "dc00" && word <= "dfff"
		if word == "0000" || low != (high == m[0]) || high >= 0 && high != m[0] {
			return true
		}
		if high = -1; word >= "d800" && word <= "dbff" {
			high = m[1]
		}
	}
	return high >= 0
}
