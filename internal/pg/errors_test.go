package pg_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/internal/pg"
)

func TestWithoutValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a value": {
			fmt.Errorf("read: %w", &pgconn.PgError{Severity: "ERROR", Code: "22007", Message: `invalid input syntax for type date: "Budi"`, Detail: "Budi"}),
			`ERROR: invalid input syntax for type date: "…" (SQLSTATE 22007)`,
		},
		"a name":  {&pgconn.PgError{Severity: "ERROR", Code: "42703", Message: `column "emial" does not exist`}, `ERROR: column "emial" does not exist (SQLSTATE 42703)`},
		"another": {errors.New(`no "Budi"`), `no "Budi"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := pg.WithoutValues(c.err).Error(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
