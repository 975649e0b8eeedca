package customer

import (
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Mailbox is a sender or an address for replies: `Name <address>` or a bare address (RFC 5322).
type Mailbox struct {
	Name string
	Addr string // normalised
}

// UnmarshalScalar reads a mailbox.
func (m *Mailbox) UnmarshalScalar(text string) error {
	const expected = "expected an address such as Bengkel Maju <halo@bengkel.example>"
	parsed, err := mail.ParseAddress(text)
	if err != nil {
		return errors.New(expected)
	}
	addr := NormaliseEmail(parsed.Address)
	if !addr.Usable() {
		return fmt.Errorf("%s (%s)", expected, addr.Reason)
	}
	*m = Mailbox{Name: parsed.Name, Addr: addr.Normalised}
	return nil
}

// Sender is what a text message comes from: a number in the form of E.164, a short code, or a name of at most 11
// letters, digits and blanks.
type Sender string

var (
	shortCode  = regexp.MustCompile(`^[0-9]{3,8}$`)
	senderName = regexp.MustCompile(`^[A-Za-z0-9+_&-]([A-Za-z0-9 +_&-]{0,9}[A-Za-z0-9+_&-])?$`)
)

// UnmarshalScalar reads a sender.
func (s *Sender) UnmarshalScalar(text string) error {
	if number := NormalisePhone(text, ""); number.Usable() {
		*s = Sender(number.Normalised)
		return nil
	}
	if shortCode.MatchString(text) || senderName.MatchString(text) && strings.IndexFunc(text, unicode.IsLetter) >= 0 {
		*s = Sender(text)
		return nil
	}
	return errors.New("expected a number with its country code such as +628111234567, a short code, or a name of at most 11 letters, digits and blanks")
}

// Rate is how many messages may go in a time.
type Rate struct {
	Count int
	Per   time.Duration
}

var ratePattern = regexp.MustCompile(`^([1-9]\d{0,8}) ?/ ?(s|m|h|d)$`)

// UnmarshalScalar reads a rate such as 50/s; the units are s, m, h and d.
func (r *Rate) UnmarshalScalar(text string) error {
	m := ratePattern.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a rate such as 50/s, 600/m, 10000/h or 50000/d")
	}
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	count, err := strconv.Atoi(m[1])
	*r = Rate{Count: count, Per: units[m[2]]}
	return err
}

// PerSecond is the rate as messages per second; 0 for the zero Rate, which is no limit.
func (r Rate) PerSecond() float64 {
	if r.Per == 0 {
		return 0
	}
	return float64(r.Count) / r.Per.Seconds()
}

// UnmarshalScalar reads a table name: customers (in schema public), sales.customers, or with quotes where a part
// holds a dot, "Sales"."Customer.Table". Letters count exactly as written.
func (t *TableName) UnmarshalScalar(text string) error {
	parts, ok := splitName(text)
	if !ok || len(parts) > 2 {
		return errors.New(`expected a table such as public.customers or "Sales"."Customer Table"`)
	}
	*t = TableName{Schema: "public", Name: parts[len(parts)-1]}
	if len(parts) == 2 {
		t.Schema = parts[0]
	}
	return nil
}

// written is the name as UnmarshalScalar reads it: with quotes only where a part holds a dot or a quote.
func (t TableName) written() string {
	if strings.ContainsAny(t.Schema+t.Name, `."`) {
		return t.SQL()
	}
	return t.String()
}

// splitName cuts a dotted name into its parts and unquotes them.
func splitName(text string) (parts []string, ok bool) {
	for {
		part, rest := "", ""
		if strings.HasPrefix(text, `"`) {
			part, rest, ok = unquoteName(text)
		} else {
			part, rest, ok = cutBare(text)
		}
		if !ok || part == "" {
			return nil, false
		}
		parts = append(parts, part)
		if rest == "" {
			return parts, true
		}
		text = rest[1:]
	}
}

func cutBare(text string) (part, rest string, ok bool) {
	end := strings.IndexByte(text, '.')
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:], !strings.Contains(text[:end], `"`)
}

// unquoteName reads one quoted identifier, in which "" stands for a quote. What follows must begin with a dot.
func unquoteName(text string) (part, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '"':
			b.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '"':
			b.WriteByte('"')
			i++
		default:
			rest = text[i+1:]
			return b.String(), rest, rest == "" || rest[0] == '.'
		}
	}
	return "", "", false
}

// keyName is a key column.
type keyName string

const oneKeyColumn = "map a view that makes one key column of them, as in: " +
	"create view … as select club_id || '-' || number as key, * from …"

// UnmarshalNode reads a column name and explains why a list is none.
func (k *keyName) UnmarshalNode(n strictyaml.Node) diag.List {
	if n.Kind() == strictyaml.List {
		return diag.List{n.Problem(oneKeyColumn, "a key of several columns is not supported")}
	}
	return n.Decode((*string)(k))
}

// UnmarshalNode reads a field: the name of a column, or {column: …, default: …} with at least one of them.
func (f *Field) UnmarshalNode(n strictyaml.Node) diag.List {
	if n.Kind() == strictyaml.Text {
		f.Column = n.Text()
		return nil
	}
	var keys struct {
		Column  string `yaml:"column"`
		Default string `yaml:"default"`
	}
	if n.Kind() != strictyaml.Map {
		return diag.List{n.Expected("", "a column, or {column: …, default: …}")}
	}
	problems := n.Decode(&keys)
	if len(n.Entries()) == 0 {
		problems = append(problems, n.Problem("write {column: …, default: …}", "neither a column nor a default"))
	}
	*f = Field{Column: keys.Column, Default: keys.Default}
	return problems
}

// UnmarshalNode reads the consent section: a default, and a boolean column for each channel that has one.
func (c *Consent) UnmarshalNode(n strictyaml.Node) diag.List {
	if n.Kind() != strictyaml.Map {
		return diag.List{n.Expected("", "a group of keys such as {default: granted, email: newsletter_ok}")}
	}
	*c = Consent{Granted: true, Columns: map[string]string{}}
	var problems diag.List
	for _, e := range n.Entries() {
		if e.Key == "default" {
			problems = append(problems, c.setDefault(e.Value)...)
			continue
		}
		problems = append(problems, knownChannel(e)...)
		var column string
		problems = append(problems, e.Value.Decode(&column)...)
		c.Columns[e.Key] = column
	}
	return problems
}

func (c *Consent) setDefault(n strictyaml.Node) diag.List {
	switch word := n.Text(); {
	case !n.File().Sound(n.Path()): // reported already
	case word == "granted":
		c.Granted = true
	case word == "denied":
		c.Granted = false
	default:
		return diag.List{n.Expected("", "granted or denied")}
	}
	return nil
}

func knownChannel(e strictyaml.Entry) diag.List {
	known := Channels()
	for _, channel := range known {
		if channel == e.Key {
			return nil
		}
	}
	return diag.List{e.Value.File().KeyProblem(e.Value.Path(), diag.DidYouMean(e.Key, append(known, "default")),
		"unknown channel %q", e.Key)}
}
