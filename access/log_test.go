package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// entries reads the log as lines without time and number.
func entries(t *testing.T, ctx context.Context, db pg.DBTX, f LogFilter) []string {
	t.Helper()
	list, err := Log(ctx, db, f)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, e := range list {
		lines = append(lines, fmt.Sprint(e.Actor, " ", e.Action, " ", e.Subject, " ", e.Detail))
	}
	return lines
}

func TestLog(t *testing.T) {
	t.Parallel()
	pool, ctx := pgtest.Pool(t), t.Context()
	for _, e := range []Entry{
		{"ani", "run", "run 1", map[string]any{"campaign": "birthday"}},
		{"sapa", "pause", "run 1", nil},
		{"ani", "apply", "campaign birthday", nil},
		{"ani", "pause", "run 12", nil},
	} {
		if err := Record(ctx, pool, e); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"ani pause run 12 map[]", "ani apply campaign birthday map[]", "sapa pause run 1 map[]", "ani run run 1 map[campaign:birthday]"}
	for _, tt := range []struct {
		what string
		f    LogFilter
		want []string
	}{
		{"everything", LogFilter{}, all},
		{"an actor", LogFilter{Actor: "sapa"}, all[2:3]},
		{"an action", LogFilter{Action: "pause"}, []string{all[0], all[2]}},
		{"a run", LogFilter{Subject: "run 1"}, all[2:]},
		{"a kind", LogFilter{Subject: "run"}, []string{all[0], all[2], all[3]}},
		{"half a word", LogFilter{Subject: "ru"}, []string{}},
		{"two at once", LogFilter{Actor: "ani", Action: "pause"}, all[:1]},
		{"a page", LogFilter{Limit: 2}, all[:2]},
		{"the next page", LogFilter{Limit: 2, Before: 3}, all[2:]},
		{"since", LogFilter{Since: time.Now().Add(-time.Minute)}, all},
		{"since later", LogFilter{Since: time.Now().Add(time.Minute)}, []string{}},
		{"nobody", LogFilter{Actor: "' or true --"}, []string{}},
	} {
		if diff := cmp.Diff(tt.want, entries(t, ctx, pool, tt.f)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// What is written is neither changed nor taken away, and goes with the transaction it belongs to.
func TestLogStays(t *testing.T) {
	t.Parallel()
	pool, ctx := pgtest.Pool(t), t.Context()
	if err := Record(ctx, pool, Entry{Actor: "ani", Action: "run", Subject: "run 1"}); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`update audit_log set actor = 'budi'`, `delete from audit_log`, `truncate audit_log`, `delete from audit_log where false`} {
		_, err := pool.Exec(ctx, sql)
		verb := strings.Fields(sql)[0]
		if err == nil || !strings.Contains(err.Error(), "the audit log is only appended to: "+verb+" refused") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	gone := errors.New("taken back")
	err := pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		return errors.Join(Record(ctx, tx, Entry{Actor: "ani", Action: "run", Subject: "run 2"}), gone)
	})
	if !errors.Is(err, gone) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ani run run 1 map[]"}, entries(t, ctx, pool, LogFilter{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
