package customer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
)

// Regional says whether a channel's addresses are read by the customer's region.
func Regional(channel string) bool { return channel != "email" }

// RegionSQL is the customer's region in SQL, which the address book knows addresses by: a code of two letters (ISO
// 3166-1), byDefault where the column has none. alias is the customers table's, byDefault the default's SQL, in capitals.
func (s *Schema) RegionSQL(alias, byDefault string) string {
	if s.Region.Column == "" {
		return byDefault
	}
	written := "upper(btrim(" + alias + "." + pgx.Identifier{s.Region.Column}.Sanitize() + "::text))"
	return "case when " + written + " ~ '^[A-Z]{2}$' then " + written + " else " + byDefault + " end"
}

// AddressSQL is the customer's address on a channel in SQL, as the address book knows it by its written text.
func (s *Schema) AddressSQL(alias, channel string) (string, bool) {
	f, ok := s.Address(channel)
	if ok && addressKind(channel) == channels.PostAddress {
		return fmt.Sprintf("left(%s, %d)", s.postSQL(alias), MaxRawAddress), true
	}
	return fmt.Sprintf("left(%s.%s::text, %d)", alias, pgx.Identifier{f.Column}.Sanitize(), MaxRawAddress), ok
}

// DefaultRegion is the region of customers whose column has none, in capitals.
func (s *Schema) DefaultRegion() string { return strings.ToUpper(s.Region.Default) }

// Reachable are the channels whose addresses the address book can read.
func Reachable() []string {
	return slices.DeleteFunc(Channels(), func(channel string) bool {
		_, err := normaliser(channel)
		return err != nil
	})
}
