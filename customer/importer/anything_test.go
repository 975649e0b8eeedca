package importer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Whatever a file holds and whatever type is asked for: each row is loaded or rejected, and PostgreSQL never has to refuse a
// value that this package let through, for that would cost the whole file.
func TestAnythingIsLoadedOrRejected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	random := rand.New(rand.NewPCG(2, 26))
	types := []string{"", "text", "boolean", "bigint", "numeric", "numeric:1.234,56", "date:MM/DD/YYYY,DD.MM.YY,YYYY-MM-DD,MON DD YYYY,YYYYMMDD", "timestamp:YYYY-MM-DD", "timestamptz:DD/MM/YYYY,YYYY-MM-DD"}
	loaded := 0
	const files = 144 // each type with each sort of values, twice
	for i := range files {
		opts := Options{Table: fmt.Sprintf("t%d", i)}
		if kind := types[i%len(types)]; kind != "" {
			opts.Types = []string{"a=" + kind}
		}
		if i%2 == 1 {
			opts.Key = []string{"a"}
		}
		text := column("a", anyValues(random, i/len(types))...)
		result, err := b.try(t.Context(), text, opts)
		var refused *pgconn.PgError
		var questions *Questions
		switch {
		case errors.As(err, &refused):
			t.Errorf("PostgreSQL refuses %v of:\n%s%v", opts.Types, text, err)
		case errors.As(err, &questions) || (err != nil && strings.HasPrefix(err.Error(), "none of the ")):
		case err != nil:
			t.Errorf("%v of:\n%s%v", opts.Types, text, err)
		case result.Loaded+result.Rejected != result.Rows:
			t.Errorf("%+v of:\n%s", result, text)
		default:
			loaded++
		}
	}
	if loaded < files/2 {
		t.Errorf("only %d of %d files were loaded: the test proves little", loaded, files)
	}
}

// anyValues are values of one sort, with some of others among them.
func anyValues(random *rand.Rand, which int) []string {
	digits := func(n int) string {
		var s strings.Builder
		for range n {
			s.WriteByte(byte('0' + random.IntN(10)))
		}
		return s.String()
	}
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	sep := pick("/", "-", ".")
	sorts := []func() string{
		func() string { return digits(1 + random.IntN(22)) },
		func() string {
			return pick("", "-", "$", "(", "Rp ") + digits(1+random.IntN(4)) + pick("", ".", ",", "'") + digits(random.IntN(8)) + pick("", ")", " ", ",-")
		},
		func() string {
			return fmt.Sprint(random.IntN(14)) + sep + fmt.Sprint(random.IntN(33)) + sep + pick(digits(2), digits(4))
		},
		func() string {
			return digits(4) + "-" + fmt.Sprintf("%02d-%02d", random.IntN(14), random.IntN(33)) + pick("", "T", " ") +
				pick("", fmt.Sprintf("%d:%02d", random.IntN(26), random.IntN(61)), "08:30:59.1234567891") + pick("", "Z", "+07", "-15:59", "+16", " PM")
		},
		func() string { return pick("Mar", "Agustus", "mei ") + " " + digits(2) + ", " + digits(4) },
		func() string { return pick("Y", "N", "yes", "NO", "t", "off", "0", "1") },
		func() string { return pick("", "NA", "infinity", "NaN", "now", "\\N", "\\", "a\tb", "é", "\\.", "\n") },
		func() string {
			var s strings.Builder
			for range random.IntN(12) {
				s.WriteByte("0123456789.,-/ :$+()YTZ%eE'\\\"\t\n"[random.IntN(30)])
			}
			return s.String()
		},
	}
	sort := sorts[which%len(sorts)]
	values := make([]string, 40)
	for i := range values {
		values[i] = sort()
		if random.IntN(20) == 0 {
			values[i] = sorts[random.IntN(len(sorts))]()
		}
	}
	return values
}
