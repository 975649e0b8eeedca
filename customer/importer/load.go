package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Load reads the file again and copies it into the plan's table: all of it in one transaction, so that after an error the
// table is as it was. Rows that can't be loaded are counted and go to the file of rejects, which appears with the commit.
// A plan of which no row can be loaded is an error, and the rejects are kept to show why.
func Load(ctx context.Context, db pg.DBTX, p *Plan) (Result, error) {
	if err := p.Source.unchanged(); err != nil {
		return Result{}, err
	}
	rejected, err := p.newRejects()
	if err != nil {
		return Result{}, err
	}
	l := &loader{plan: p, rejected: rejected}
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error { return l.run(ctx, tx) })
	if errors.Is(err, errNothingLoaded) {
		err = fmt.Errorf("none of the %d rows of %s can be loaded (see %s): %s is unchanged", p.Rows, p.Source.Name, rejected.path, p.targetName())
		return Result{}, errors.Join(err, rejected.publish(), rejected.close())
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // rather than what it did to the connection
	}
	if err != nil {
		return Result{}, errors.Join(fmt.Errorf("import %s into %s: %w", p.Source.Name, p.targetName(), err), rejected.close())
	}
	return l.result(), errors.Join(rejected.publish(), rejected.close())
}

var errNothingLoaded = errors.New("no row can be loaded")

// loader is one Load under way.
type loader struct {
	plan       *Plan
	rejected   *rejects
	duplicates int64 // rows of a key that came before
	done       Result
}

func (l *loader) result() Result {
	l.done.Table = l.plan.targetName()
	l.done.Rows = l.plan.Rows
	l.done.Loaded = l.done.Added + l.done.Changed + l.done.Unchanged
	l.done.Rejected = l.rejected.n
	if l.rejected.n > 0 {
		l.done.RejectsFile = l.rejected.path
	}
	return l.done
}

// run is the transaction.
func (l *loader) run(ctx context.Context, tx pgx.Tx) error {
	p := l.plan
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, "sapa import "+p.targetName()); err != nil {
		return err
	}
	if err := Fit(ctx, tx, p); err != nil {
		return err
	}
	if err := p.createSchema(ctx, tx); err != nil {
		return err
	}
	l.done.Created = p.table == nil
	load := l.plain
	if len(p.Key) > 0 {
		load = l.keyed
	}
	if err := load(ctx, tx); err != nil {
		return err
	}
	if err := l.rejected.finish(); err != nil {
		return err
	}
	if l.result().Loaded == 0 {
		return errNothingLoaded
	}
	_, err := tx.Exec(ctx, `analyze `+p.target())
	return err
}

// prepare empties and shapes the table.
func (l *loader) prepare(ctx context.Context, tx pgx.Tx) (err error) {
	p := l.plan
	if p.opts.Mode == Replace && p.table != nil {
		if _, err := tx.Exec(ctx, `delete from `+p.target()); err != nil {
			return err
		}
	}
	l.done.NewColumns, err = p.shape(ctx, tx)
	return err
}

// plain copies straight into a table without a key.
func (l *loader) plain(ctx context.Context, tx pgx.Tx) (err error) {
	p := l.plan
	if err := l.prepare(ctx, tx); err != nil {
		return err
	}
	l.done.Added, err = l.copy(ctx, tx, `copy `+p.target()+` (`+p.columnList(false)+`) from stdin (format text, encoding 'UTF8')`, false)
	return err
}

// keyed copies into a temporary table first, whose rows are then merged.
func (l *loader) keyed(ctx context.Context, tx pgx.Tx) error {
	p := l.plan
	if _, err := tx.Exec(ctx, `create temp table sapa_import ("sapa import line" bigint, `+p.columnList(true)+`) on commit drop`); err != nil {
		return err
	}
	sql := `copy pg_temp.sapa_import ("sapa import line", ` + p.columnList(false) + `) from stdin (format text, encoding 'UTF8')`
	staged, err := l.copy(ctx, tx, sql, true)
	if err != nil {
		return err
	}
	if err := l.rejectDuplicates(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `analyze pg_temp.sapa_import`); err != nil {
		return err
	}
	if err := l.prepare(ctx, tx); err != nil {
		return err
	}
	if p.table == nil || p.opts.Mode == Replace {
		return l.fresh(ctx, tx)
	}
	return l.merge(ctx, tx, staged-l.duplicates)
}

// copy streams the file through COPY.
func (l *loader) copy(ctx context.Context, tx pgx.Tx, sql string, lines bool) (n int64, err error) {
	r, _, done, err := l.plan.records(ctx, "loading")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	stream := &copyStream{plan: l.plan, in: r, rejected: l.rejected, lines: lines, key: l.plan.keyColumns()}
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, stream, sql)
	if stream.err != nil {
		return 0, stream.err // rather than the server's words about our own error
	}
	if err != nil {
		return 0, err
	}
	if stream.records != l.plan.Rows {
		return 0, fmt.Errorf("%s has changed since it was read: import it again", l.plan.Source.Name)
	}
	return tag.RowsAffected(), nil
}

// rejectDuplicates takes rows out whose key came before, and reads the file once more for their records.
func (l *loader) rejectDuplicates(ctx context.Context, tx pgx.Tx) (err error) {
	key := quoteAll(l.plan.Key, "")
	tag, err := tx.Exec(ctx, `
		create temp table sapa_import_again on commit drop as
		select line, first from (
			select "sapa import line" as line, first_value("sapa import line") over same as first
			from pg_temp.sapa_import window same as (partition by `+key+` order by "sapa import line")) numbered
		where line > first`)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	l.duplicates = tag.RowsAffected()
	if err := l.writeDuplicates(ctx, tx); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `delete from pg_temp.sapa_import using pg_temp.sapa_import_again a where "sapa import line" = a.line`)
	return err
}

func (l *loader) writeDuplicates(ctx context.Context, tx pgx.Tx) (err error) {
	r, _, done, err := l.plan.records(ctx, "rejecting")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	rows, _ := tx.Query(ctx, `select line, first from pg_temp.sapa_import_again order by line`)
	var line, first int
	_, err = pgx.ForEachRow(rows, []any{&line, &first}, func() error {
		rec, err := recordAt(r, line)
		if err != nil {
			return err
		}
		return l.rejected.add(rec, l.plan.keyHeaders(), l.plan.keyOf(rec), fmt.Sprintf("the key is on line %d already", first))
	})
	return err
}

// recordAt goes on to the record that begins on the line.
func recordAt(r *csvReader, line int) (*record, error) {
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the file has no line %d any more: import it again", line)
		}
		if err != nil || rec.line == line {
			return rec, err
		}
	}
}

// fresh fills a table that has no rows.
func (l *loader) fresh(ctx context.Context, tx pgx.Tx) error {
	p := l.plan
	columns := p.columnList(false)
	tag, err := tx.Exec(ctx, `insert into `+p.target()+` (`+columns+`) select `+columns+` from pg_temp.sapa_import order by "sapa import line"`)
	if err != nil {
		return err
	}
	l.done.Added = tag.RowsAffected()
	return p.addKey(ctx, tx)
}

// merge changes the rows whose key the table has, where they differ, and adds the others.
func (l *loader) merge(ctx context.Context, tx pgx.Tx, staged int64) error {
	p := l.plan
	columns := p.columnList(false)
	if set, differ := p.assignments(); set != "" {
		tag, err := tx.Exec(ctx, `update `+p.target()+` t set `+set+` from pg_temp.sapa_import s where `+p.sameKey()+` and `+differ)
		if err != nil {
			return err
		}
		l.done.Changed = tag.RowsAffected()
	}
	tag, err := tx.Exec(ctx, `insert into `+p.target()+` (`+columns+`) select `+columns+` from pg_temp.sapa_import s
		where not exists (select from `+p.target()+` t where `+p.sameKey()+`) order by "sapa import line"`)
	if err != nil {
		return err
	}
	l.done.Added = tag.RowsAffected()
	l.done.Unchanged = staged - l.done.Added - l.done.Changed
	return nil
}

// assignments are the columns outside the key, as "a = s.a", and the condition that one of them differs.
func (p *Plan) assignments() (set, differ string) {
	var rest []string
	for _, c := range p.Columns {
		if slices.Contains(p.Key, c.Name) {
			continue
		}
		rest = append(rest, c.Name)
		if set != "" {
			set += ", "
		}
		set += quote(c.Name) + " = s." + quote(c.Name)
	}
	return set, `(` + quoteAll(rest, "t.") + `) is distinct from (` + quoteAll(rest, "s.") + `)`
}

func (p *Plan) sameKey() string {
	sql := ""
	for i, k := range p.Key {
		if i > 0 {
			sql += " and "
		}
		sql += "t." + quote(k) + " = s." + quote(k)
	}
	return sql
}
