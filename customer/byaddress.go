package customer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// byAddressMost is how many keys KeysByAddress returns at most.
const byAddressMost = 5

// KeysByAddress are the keys of customers whose e-mail address or phone is the one that somebody typed, the first few in
// their order. Neither case nor blanks around it count in an e-mail address. A phone is found as it was typed, as it is
// dialled, and in every way of writing it that the address book has met.
func (s *Schema) KeysByAddress(ctx context.Context, db pg.DBTX, text string) ([]string, error) {
	channel := GuessChannel(text)
	field, mapped := s.Address(channel)
	a, err := Normalise(channel, text, s.Region.Default)
	if err != nil || !mapped || !a.Usable() {
		return nil, err
	}
	h, err := LoadHasher(ctx, db)
	if err != nil {
		return nil, err
	}
	column, key := pgx.Identifier{field.Column}.Sanitize()+"::text", s.KeyColumn().SQL()
	if channel == "email" {
		column = "lower(btrim(" + column + "))"
	}
	rows, _ := db.Query(ctx, fmt.Sprintf(`
		select %[1]s::text from %[2]s
		where %[3]s = any(array(select lower(btrim(raw)) from addresses where channel = $1 and hash = $2 union all select lower(unnest($3::text[]))))
		order by %[1]s limit %[4]d`, key, s.Customer.Table.SQL(), column, byAddressMost),
		channel, h.Hash(channel, a.Normalised), []string{text, a.Normalised})
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for a customer by address: %w", pg.WithoutValues(err))
	}
	return keys, nil
}
