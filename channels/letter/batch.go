package letter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// BatchID names a batch: the run and its number in it, written 7-1.
type BatchID struct{ Run, Number int }

// String is the name as people write it.
func (b BatchID) String() string { return fmt.Sprintf("%d-%d", b.Run, b.Number) }

// ParseBatch reads 7-1, or the number of a run, of which Number is 0 then.
func ParseBatch(text string) (BatchID, error) {
	run, number, isBatch := strings.Cut(text, "-")
	id := BatchID{}
	var err error
	if id.Run, err = strconv.Atoi(run); err == nil && isBatch {
		id.Number, err = strconv.Atoi(number)
	}
	if err != nil || id.Run < 1 || isBatch && id.Number < 1 {
		return BatchID{}, fmt.Errorf("%q is neither a run such as 7 nor a batch such as 7-1", text)
	}
	return id, nil
}

// ErrNothing says that there are no letters for what was asked.
var ErrNothing = errors.New("there is nothing to do")

// byHand is true of messages that the engine has recorded as waiting for a person (delivery.FinishByHand).
const byHand = `m.state = 'planned' and m.not_before >= '9000-01-01'`

// Order says what is printed, and where to.
type Order struct {
	Batch    BatchID // Number 0: a new batch of what waits
	Actor    string
	Now      time.Time
	Settings Settings // of a new batch
	PDF      io.Writer
	CSV      io.Writer // nil: none
}

// ToPrint says what there is to print of a run: Number 0 stands for a new batch of what waits; where nothing does, it is the last
// batch that is not confirmed. A batch is itself. It is an ErrNothing where there is neither, and an error where the run is paused.
func ToPrint(ctx context.Context, db pg.DBTX, id BatchID) (BatchID, error) {
	if err := checkSending(ctx, db, id.Run); err != nil || id.Number != 0 {
		return id, err
	}
	var waits bool
	err := db.QueryRow(ctx, `
		select exists (select from letters l join messages m on m.id = l.message_id
		               where l.run_id = $1 and l.batch is null and l.content is not null and `+byHand+`),
		       coalesce((select max(number) from letter_batches where run_id = $1 and confirmed_at is null), 0)`, id.Run).Scan(&waits, &id.Number)
	switch {
	case err != nil:
		return id, fmt.Errorf("look for letters of run %d: %w", id.Run, err)
	case waits:
		id.Number = 0
	case id.Number == 0:
		return id, nothingWaits(id.Run)
	}
	return id, nil
}

func nothingWaits(run int) error {
	return fmt.Errorf("no letters of run %d wait to be printed: %w", run, ErrNothing)
}

// checkSending refuses to print for a run that somebody has paused, or Sapa has.
func checkSending(ctx context.Context, db pg.DBTX, run int) error {
	var paused bool
	var why string
	err := db.QueryRow(ctx, `select state = 'paused', coalesce(': ' || reason, '') from runs where id = $1`, run).Scan(&paused, &why)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("no run %d; see: sapa status", run)
	case err != nil:
		return fmt.Errorf("look at run %d: %w", run, err)
	case paused:
		return fmt.Errorf("run %d is paused%s; nothing of it is printed before  sapa resume %d", run, why, run)
	}
	return nil
}

// Unposted lists messages whose letters a batch has, or, with Number 0, no batch has yet, and that still wait: the next ones behind
// an id, in their order, at most 1000.
func Unposted(ctx context.Context, db pg.DBTX, id BatchID, after int64) ([]int64, error) {
	rows, _ := db.Query(ctx, `
		select m.id from letters l join messages m on m.id = l.message_id
		where l.run_id = $1 and coalesce(l.batch, 0) = $2 and l.message_id > $3 and `+byHand+`
		order by m.id limit 1000`, id.Run, id.Number, after)
	list, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("list letters of run %d: %w", id.Run, err)
	}
	return list, nil
}

// Printed is what an order came to.
type Printed struct {
	Batch   BatchID
	Again   bool // the batch was printed before
	Pieces  int
	Pages   int
	LeftOut int // of a batch that is printed again: what is not to be posted any more
}

// Print writes the PDF of a batch, and its addresses. A new batch is made of the run's letters that were not printed yet; it is
// there when the transaction commits. The same batch gives the same bytes again, less what is not to be posted any more. It is
// an ErrNothing where no letter waits, and an error where the run is paused.
func Print(ctx context.Context, tx pgx.Tx, o Order) (*Printed, error) {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa letters ' || current_schema(), $1))`, o.Batch.Run)
	if err != nil {
		return nil, fmt.Errorf("wait for who else prints: %w", err)
	}
	out := &Printed{Batch: o.Batch, Again: true}
	if o.Batch.Number == 0 {
		if err := o.choose(ctx, tx, out); err != nil {
			return nil, err
		}
	}
	var printedAt time.Time
	var settings Settings
	var pieces int
	err = tx.QueryRow(ctx, `select printed_at, settings, pieces from letter_batches where run_id = $1 and number = $2`,
		out.Batch.Run, out.Batch.Number).Scan(&printedAt, &settings, &pieces)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, fmt.Errorf("no batch %s: %w; see: sapa letters", out.Batch, ErrNothing)
	case err != nil:
		return nil, fmt.Errorf("read batch %s: %w", out.Batch, err)
	}
	e := edition{tx: tx, batch: out.Batch, press: newPress(o.PDF, &settings), pictures: map[string]*picture{}, again: out.Again}
	if o.CSV != nil {
		e.csv = newAddressList(o.CSV, &settings)
	}
	if err := e.print(ctx, printedAt); err != nil {
		return nil, fmt.Errorf("print batch %s: %w", out.Batch, err)
	}
	out.Pieces, out.Pages, out.LeftOut = e.pieces, e.press.pages, pieces-e.pieces
	return out, checkSending(ctx, tx, o.Batch.Run) // it may have been paused since
}

// choose makes a batch of what waits.
func (o *Order) choose(ctx context.Context, tx pgx.Tx, out *Printed) error {
	settings, err := json.Marshal(o.Settings)
	if err != nil {
		return fmt.Errorf("write the settings down: %w", err)
	}
	err = tx.QueryRow(ctx, `
		with waiting as (
			select l.message_id, row_number() over (order by l.message_id) as place
			from letters l join messages m on m.id = l.message_id
			where l.run_id = @run and l.batch is null and l.content is not null and `+byHand+`
		), made as (
			insert into letter_batches (run_id, number, pieces, printed_at, printed_by, settings)
			select @run, coalesce((select max(number) from letter_batches where run_id = @run), 0) + 1, count(*), @now, @actor, @settings
			from waiting having count(*) > 0
			returning number
		), placed as (
			update letters l set batch = made.number, place = w.place from waiting w, made where l.message_id = w.message_id
		)
		select number from made`,
		pgx.NamedArgs{"run": o.Batch.Run, "now": o.Now, "actor": o.Actor, "settings": settings}).Scan(&out.Batch.Number)
	if err == nil {
		out.Again = false
		return nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nothingWaits(o.Batch.Run)
	}
	return fmt.Errorf("make a batch of run %d: %w", o.Batch.Run, err)
}

// edition is one printing of a batch.
type edition struct {
	tx       pgx.Tx
	batch    BatchID
	press    *press
	csv      *addressList // nil: none
	pictures map[string]*picture
	again    bool
	pieces   int
}

// editionChunk is how many pieces are read at a time.
const editionChunk = 500

// row is a letter as it is read for printing.
type row struct {
	place      int
	code, size string
	content    Content
	front      []byte
}

func (e *edition) print(ctx context.Context, at time.Time) error {
	for after := 0; ; {
		rows, err := e.read(ctx, after)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := e.piece(ctx, &rows[i]); err != nil {
				return fmt.Errorf("%s: %w", shownCode(rows[i].code), err)
			}
		}
		if len(rows) < editionChunk {
			break
		}
		after = rows[len(rows)-1].place
	}
	if e.pieces == 0 {
		return fmt.Errorf("none of its letters is to be printed any more: %w", ErrNothing)
	}
	if e.csv != nil {
		if err := e.csv.finish(); err != nil {
			return fmt.Errorf("write the addresses: %w", err)
		}
	}
	return e.press.finish("Letters "+e.batch.String(), at)
}

// read reads the next letters: those that still are to be posted, and those that were.
func (e *edition) read(ctx context.Context, after int) ([]row, error) {
	rows, _ := e.tx.Query(ctx, `
		select l.place, l.code, l.size, l.content, l.front
		from letters l join messages m on m.id = l.message_id
		where l.run_id = $1 and l.batch = $2 and l.place > $3 and l.content is not null and (m.state = 'sent' or `+byHand+`)
		order by l.place limit $4`, e.batch.Run, e.batch.Number, after, editionChunk)
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (one row, err error) {
		err = r.Scan(&one.place, &one.code, &one.size, &one.content, &one.front)
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("read letters: %w", err)
	}
	return list, nil
}

func (e *edition) piece(ctx context.Context, r *row) error {
	p := &Piece{Code: r.code, Size: r.size, Content: r.content}
	var err error
	if p.front, err = e.front(ctx, r.front); err != nil {
		return err
	}
	first := e.press.pages + 1
	pages, err := e.press.print(p)
	if err != nil {
		return err
	}
	e.pieces++
	if e.csv == nil {
		return nil
	}
	return e.csv.add(p, r.place, first, pages)
}

// front reads a picture, once.
func (e *edition) front(ctx context.Context, hash []byte) (*picture, error) {
	if hash == nil {
		return nil, nil
	}
	if p := e.pictures[string(hash)]; p != nil {
		return p, nil
	}
	var data []byte
	if err := e.tx.QueryRow(ctx, `select data from letter_pictures where hash = $1`, hash).Scan(&data); err != nil {
		return nil, fmt.Errorf("read its picture: %w", err)
	}
	p, err := readPicture(data)
	if err != nil {
		return nil, fmt.Errorf("its picture: %w", err)
	}
	e.pictures[string(hash)] = p
	return p, nil
}

// Listed is how far the letters of a run are.
type Listed struct {
	Run       int           `json:"run"`
	Campaign  string        `json:"campaign"`
	Waiting   int           `json:"waiting"`   // composed, not printed
	Printed   int           `json:"printed"`   // not confirmed
	Posted    int           `json:"posted"`    // confirmed
	Returned  int           `json:"returned"`  // of these
	Withdrawn int           `json:"withdrawn"` // cancelled or erased before they were posted
	Batches   []ListedBatch `json:"batches"`
}

// ListedBatch is one printing.
type ListedBatch struct {
	Batch       string     `json:"batch"`
	Pieces      int        `json:"pieces"`
	PrintedAt   time.Time  `json:"printed_at"`
	PrintedBy   string     `json:"printed_by"`
	ConfirmedAt *time.Time `json:"confirmed_at"`
	ConfirmedBy *string    `json:"confirmed_by"`
}

// List says how far the letters of the runs are that have some to print, to post or to confirm; with all, of every run.
func List(ctx context.Context, db pg.DBTX, all bool) ([]Listed, error) {
	rows, _ := db.Query(ctx, `
		select * from (
			select l.run_id, c.name,
			       count(*) filter (where l.batch is null and `+byHand+`) as waiting,
			       count(*) filter (where l.batch is not null and `+byHand+`) as printed,
			       count(*) filter (where l.confirmed_at is not null) as posted,
			       count(*) filter (where l.returned_at is not null) as returned,
			       count(*) filter (where l.confirmed_at is null and m.state in ('skipped', 'failed')) as withdrawn
			from letters l
			join runs r on r.id = l.run_id join campaigns c on c.id = r.campaign_id
			left join messages m on m.id = l.message_id
			group by l.run_id, c.name
		) t where $1 or waiting + printed > 0 order by run_id`, all)
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (l Listed, err error) {
		err = r.Scan(&l.Run, &l.Campaign, &l.Waiting, &l.Printed, &l.Posted, &l.Returned, &l.Withdrawn)
		l.Batches = []ListedBatch{}
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("list letters: %w", err)
	}
	for i := range list {
		if list[i].Batches, err = listBatches(ctx, db, list[i].Run); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func listBatches(ctx context.Context, db pg.DBTX, run int) ([]ListedBatch, error) {
	rows, _ := db.Query(ctx, `
		select number, pieces, printed_at, printed_by, confirmed_at, confirmed_by
		from letter_batches where run_id = $1 order by number`, run)
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (b ListedBatch, err error) {
		id := BatchID{Run: run}
		err = r.Scan(&id.Number, &b.Pieces, &b.PrintedAt, &b.PrintedBy, &b.ConfirmedAt, &b.ConfirmedBy)
		b.Batch = id.String()
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the batches of run %d: %w", run, err)
	}
	return list, nil
}
