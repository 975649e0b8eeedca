package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
)

// applyOverrides gives columns the types that the author says: COLUMN=TYPE[:FORMAT].
func applyOverrides(columns []Column, overrides []string) (map[string]verdict, []Question, error) {
	chosen := map[string]verdict{}
	var questions []Question
	for _, text := range overrides {
		name, spec, ok := strings.Cut(text, "=")
		if !ok {
			return nil, nil, fmt.Errorf("type %q: say COLUMN=TYPE or COLUMN=TYPE:FORMAT, such as BirthDate=date:MM/DD/YYYY", text)
		}
		col, err := findColumn(columns, name)
		if err != nil {
			return nil, nil, fmt.Errorf("type %q: %w", text, err)
		}
		if _, twice := chosen[col.Name]; twice {
			return nil, nil, fmt.Errorf("type %q: column %s has two types", text, col.Header)
		}
		v, err := override(col, spec)
		if err != nil {
			return nil, nil, fmt.Errorf("type %q: %w", text, err)
		}
		if v.question != nil {
			questions = append(questions, *v.question)
		}
		chosen[col.Name] = v
	}
	return chosen, questions, nil
}

// override is the verdict that a TYPE[:FORMAT] asks for. Where it leaves the format open, the values decide, or raise a question.
func override(col *Column, spec string) (verdict, error) {
	word, format, _ := strings.Cut(spec, ":")
	kind, err := typeNamed(word)
	if err != nil {
		return verdict{}, err
	}
	switch kind {
	case Text, Boolean:
		if format != "" {
			return verdict{}, fmt.Errorf("%s has no format", kind)
		}
		return verdict{kind: kind}, nil
	case BigInt, Numeric:
		return overrideNumber(col, kind, format)
	}
	return overrideDate(col, kind, format)
}

func overrideNumber(col *Column, kind Type, format string) (verdict, error) {
	if format == "" {
		in, question := notationOf(col)
		return verdict{kind: kind, parser: valueParser{notation: in}, format: formatOf(in), question: question}, nil
	}
	in, spaces, ok := notationNamed(format)
	if !ok {
		return verdict{}, fmt.Errorf("unknown number format %q: say 1,234.56 or 1.234,56 or '1 234,56'", format)
	}
	return verdict{kind: kind, parser: valueParser{notation: in, spaces: spaces}, format: format}, nil
}

func formatOf(in notation) string {
	if in == commaDecimal {
		return in.String()
	}
	return ""
}

// notationNamed reads a sample number.
func notationNamed(format string) (in notation, spaces, ok bool) {
	switch format {
	case "1,234.56", "1'234.56", "1234.56":
		return dotDecimal, false, true
	case "1 234.56":
		return dotDecimal, true, true
	case "1.234,56", "1'234,56", "1234,56":
		return commaDecimal, false, true
	case "1 234,56":
		return commaDecimal, true, true
	}
	return undecided, false, false
}

func overrideDate(col *Column, kind Type, format string) (verdict, error) {
	if format == "" {
		return inferDate(col, kind), nil
	}
	var formats []dateFormat
	for part := range strings.SplitSeq(format, ",") {
		f, err := dateFormatNamed(strings.TrimSpace(part))
		if err != nil {
			return verdict{}, err
		}
		if slices.ContainsFunc(formats, func(other dateFormat) bool { return other.pattern == f.pattern }) {
			return verdict{}, fmt.Errorf("two formats of one shape: %s and another", f)
		}
		formats = append(formats, f)
	}
	return verdict{kind: kind, parser: valueParser{formats: formats}, format: formatNames(formats)}, nil
}

// dateFormatNamed reads MM/DD/YYYY and its kin. A time behind the date needs no format: it is recognised by itself.
func dateFormatNamed(text string) (dateFormat, error) {
	date := strings.ToUpper(text)
	if i := strings.IndexAny(date, " T"); i > 0 && strings.HasPrefix(date[i+1:], "HH") {
		date = date[:i]
	}
	for _, f := range knownFormats() {
		if looseFormat(f.String()) == looseFormat(date) {
			return f, nil
		}
	}
	return dateFormat{}, fmt.Errorf("unknown date format %q: say for example MM/DD/YYYY, DD.MM.YYYY, DD-MM-YY, YYYY-MM-DD, YYYYMMDD or 'DD MON YYYY', several with commas between them", text)
}

// looseFormat forgives M for MM, MMM for MON, and signs beside a month's name.
func looseFormat(s string) string {
	s = strings.NewReplacer("MMMM", "MON", "MMM", "MON", "MONTH", "MON").Replace(s)
	if strings.Contains(s, "MON") {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return nameSeparator(byte(r)) }), " ")
	}
	sep := strings.Trim(s, "MDY")
	if sep == "" {
		return s
	}
	parts := strings.Split(s, sep[:1])
	for i, p := range parts {
		if p == "M" || p == "D" {
			parts[i] = p + p
		}
	}
	return strings.Join(parts, sep[:1])
}

// knownFormats are all formats that a column can have.
func knownFormats() []dateFormat {
	formats := []dateFormat{{pattern: datePattern{form: formCompact, digits: 4}}}
	for _, digits := range []uint8{2, 4} {
		formats = append(formats,
			dateFormat{pattern: datePattern{form: formDayName, digits: digits}},
			dateFormat{pattern: datePattern{form: formNameDay, digits: digits}})
		for _, sep := range []byte("/-.") {
			p := datePattern{form: formYearLast, sep: sep, digits: digits}
			for _, o := range p.orders() {
				formats = append(formats, dateFormat{p, o})
			}
		}
	}
	for _, sep := range []byte("/-.") {
		p := datePattern{form: formYearFirst, sep: sep, digits: 4}
		formats = append(formats, dateFormat{pattern: p}, dateFormat{p, yearDayMonth})
	}
	return formats
}

// typeNamed reads a type's name, PostgreSQL's aliases included.
func typeNamed(word string) (Type, error) {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "text", "string", "varchar":
		return Text, nil
	case "boolean", "bool":
		return Boolean, nil
	case "bigint", "integer", "int":
		return BigInt, nil
	case "numeric", "decimal", "money":
		return Numeric, nil
	case "date":
		return Date, nil
	case "timestamp", "datetime":
		return Timestamp, nil
	case "timestamptz":
		return Timestamptz, nil
	}
	known := []string{"text", "boolean", "bigint", "numeric", "date", "timestamp", "timestamptz"}
	return "", fmt.Errorf("unknown type %q: %s", word, diag.DidYouMean(word, known))
}

// findColumn finds a column by its name in the file or in the table.
func findColumn(columns []Column, name string) (*Column, error) {
	name = strings.TrimSpace(name)
	for i := range columns {
		if columns[i].Header == name || columns[i].Name == name {
			return &columns[i], nil
		}
	}
	for i := range columns {
		if strings.EqualFold(columns[i].Header, name) {
			return &columns[i], nil
		}
	}
	var known []string
	for _, c := range columns {
		known = append(known, c.Header)
	}
	return nil, fmt.Errorf("the file has no column %q: %s", name, hint(name, known))
}

func hint(name string, known []string) string {
	if h := diag.DidYouMean(name, known); h != "" {
		return h
	}
	return "its columns are " + strings.Join(known, ", ")
}
