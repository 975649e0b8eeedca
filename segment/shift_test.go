package segment

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

// TestFarDatesDoNotMove: one odd date in a company's table is no error of the whole query. A date beyond the year 200000
// and a period have no sum, in SQL as in Go.
func TestFarDatesDoNotMove(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	db := pgtest.Empty(t)
	w.create(t, db)
	ends := []string{
		"infinity", "-infinity", "5874897-12-31", "300000-01-01", "200000-01-02", "200000-01-01", "3001-01-01 BC", "3002-12-31 BC", "4713-11-24 BC",
	}
	want := map[string][]string{ // whose moved value is missing
		"customer.birth_date + years(18)":                            {"5874897-12-31", "300000-01-01", "200000-01-02", "3002-12-31 BC", "4713-11-24 BC"},
		"customer.birth_date - years(1000)":                          {"5874897-12-31", "300000-01-01", "200000-01-02", "3002-12-31 BC", "4713-11-24 BC"},
		"customer.birth_date + days(18)":                             {"5874897-12-31", "300000-01-01", "200000-01-02", "3002-12-31 BC", "4713-11-24 BC"},
		"customer.birth_date + days(0)":                              nil,
		"customer.birth_date + years(1000) + years(1000)":            {"5874897-12-31", "300000-01-01", "200000-01-02", "200000-01-01", "3002-12-31 BC", "4713-11-24 BC"},
		"max([customer.birth_date, customer.birth_date + years(1)])": nil,
	}
	for text, missing := range want {
		args := &Args{}
		sql, err := mustRule(t, text+" == nil", NewScope(w.schema)).SQL(args, w.clocks[0], map[string]string{"customer": "c"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = db.QueryRow(t.Context(), `select array_agg(d order by n) filter (where `+sql.SQL+`) from unnest(`+
			args.Bind(ends, "text[]")+`) with ordinality u(d, n), lateral (select d::date as birth_date) c`, args.Values()...).Scan(&got)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if d := cmp.Diff(missing, got); d != "" {
			t.Error(text, d)
		}
	}
}
