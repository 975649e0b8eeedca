package customer

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/sapa-crm/sapa/channels"
)

// ErrNoCustomer says that no customer has a key.
var ErrNoCustomer = errors.New("there is no such customer")

// Person is what the company's row says about reaching one customer.
type Person struct {
	Key       string            // as the database writes it
	OptedIn   map[string]bool   // by channel: what the company's opt-in column holds; without it, missing
	Addresses map[string]string // by channel: the address as the company wrote it; without it, missing
	Region    string
}

// Opted is what the company's column for a channel holds; nil where there is no column, or nothing in it.
func (p *Person) Opted(channel string) *bool {
	v, ok := p.OptedIn[channel]
	if !ok {
		return nil
	}
	return &v
}

// CanonicalKey is a key as the database writes it: 7 for 007, a UUID in small letters. False: no customer can have it.
func (s *Schema) CanonicalKey(text string) (string, bool) {
	column := s.KeyColumn()
	switch column.Kind {
	case Int:
		bits := map[string]int{"smallint": 16, "integer": 32}[column.PGType]
		if bits == 0 {
			bits = 64
		}
		n, err := strconv.ParseInt(text, 10, bits)
		return strconv.FormatInt(n, 10), err == nil
	case UUID:
		id, err := uuid.Parse(text)
		return id.String(), err == nil
	}
	return text, text != ""
}

// People reads what the company's rows say about customers, by key; keys that nobody has are missing from the result.
func (s *Schema) People(ctx context.Context, db Querier, keys []string) (map[string]*Person, error) {
	fields := map[string]Field{}
	var paths [][]string
	need := func(column string) {
		if column != "" {
			paths = append(paths, []string{column})
		}
	}
	for _, channel := range Channels() {
		if f, ok := s.Address(channel); ok {
			fields[channel] = f
			need(f.Column)
		}
		need(s.Consent.Columns[channel])
	}
	need(s.Region.Column)
	for _, column := range s.PostColumns() {
		need(column)
	}
	fetch, err := NewFetch(s.Customer, paths)
	if err != nil {
		return nil, err
	}
	rows, err := fetch.Rows(ctx, db, keys)
	if err != nil {
		return nil, err
	}
	people := make(map[string]*Person, len(rows))
	for key, row := range rows {
		people[key] = s.person(key, row, fields)
	}
	return people, nil
}

func (s *Schema) person(key string, row map[string]any, fields map[string]Field) *Person {
	p := &Person{Key: key, OptedIn: map[string]bool{}, Addresses: map[string]string{}, Region: s.Region.Default}
	for channel, column := range s.Consent.Columns {
		if v, ok := row[column].(bool); ok {
			p.OptedIn[channel] = v
		}
	}
	for channel, f := range fields {
		if addressKind(channel) == channels.PostAddress {
			if v := s.joinedPost(row); v != "" {
				p.Addresses[channel] = v
			}
			continue
		}
		if v, ok := row[f.Column].(string); ok && v != "" {
			p.Addresses[channel] = v
		}
	}
	if v, ok := row[s.Region.Column].(string); ok && v != "" {
		p.Region = v
	}
	return p
}

// Person reads what the company's row says about one customer. The error is an ErrNoCustomer where there is none.
func (s *Schema) Person(ctx context.Context, db Querier, key string) (*Person, error) {
	canonical, ok := s.CanonicalKey(key)
	if ok {
		people, err := s.People(ctx, db, []string{canonical})
		if err != nil {
			return nil, err
		}
		if p := people[canonical]; p != nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("customer %q: %w in %s", key, ErrNoCustomer, s.Customer.Table)
}
