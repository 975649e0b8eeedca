package report

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// Amount is an amount of money, exactly. The zero value is 0.
type Amount struct{ rat big.Rat }

// ScanNumeric reads a column of type numeric.
func (a *Amount) ScanNumeric(n pgtype.Numeric) error {
	if !n.Valid || n.NaN || n.InfinityModifier != pgtype.Finite {
		return fmt.Errorf("an amount of money is missing or not finite")
	}
	a.rat.SetInt(n.Int)
	shift := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n.Exp, -n.Exp))), nil))
	if n.Exp < 0 {
		shift.Inv(shift)
	}
	a.rat.Mul(&a.rat, shift)
	return nil
}

// Add is the sum of both.
func (a *Amount) Add(b *Amount) *Amount {
	var sum Amount
	sum.rat.Add(&a.rat, &b.rat)
	return &sum
}

// Equal says whether two amounts are the same; nil is equal to nil only.
func (a *Amount) Equal(b *Amount) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.rat.Cmp(&b.rat) == 0
}

// String is a decimal number with at least two and at most six decimals.
func (a *Amount) String() string {
	text := strings.TrimRight(a.rat.FloatString(6), "0")
	for len(text)-strings.IndexByte(text, '.') < 3 {
		text += "0"
	}
	return text
}

// short is String without decimals where there are none, as in 500000 IDR.
func (a *Amount) short() string { return strings.TrimSuffix(a.String(), ".00") }

// MarshalJSON writes it as a string, since a reader's numbers may not be exact.
func (a *Amount) MarshalJSON() ([]byte, error) { return []byte(`"` + a.String() + `"`), nil }
