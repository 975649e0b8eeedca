package letter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ToConfirm locks the batch, or with Number 0 all batches of the run, that were printed and not confirmed, and gives their
// messages. It is an ErrNothing where there is no such batch.
func ToConfirm(ctx context.Context, tx pgx.Tx, id BatchID) (batches []BatchID, messages []int64, err error) {
	rows, _ := tx.Query(ctx, `
		select number, confirmed_at is not null from letter_batches
		where run_id = $1 and ($2 = 0 or number = $2) order by number for update`, id.Run, id.Number)
	var number, known int
	var confirmed bool
	_, err = pgx.ForEachRow(rows, []any{&number, &confirmed}, func() error {
		known++
		if !confirmed {
			batches = append(batches, BatchID{id.Run, number})
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("lock the batches: %w", err)
	case known == 0 && id.Number != 0:
		return nil, nil, fmt.Errorf("no batch %s: %w; see: sapa letters", id, ErrNothing)
	case known == 0:
		return nil, nil, fmt.Errorf("run %d has no printed letters: %w; print them first: sapa letters print %d", id.Run, ErrNothing, id.Run)
	case len(batches) == 0 && id.Number != 0:
		return nil, nil, fmt.Errorf("batch %s is confirmed already: %w", id, ErrNothing)
	case len(batches) == 0:
		return nil, nil, fmt.Errorf("all batches of run %d are confirmed already: %w", id.Run, ErrNothing)
	}
	rows, _ = tx.Query(ctx, `select message_id from letters where run_id = $1 and batch = any($2) order by batch, place`, id.Run, numbers(batches))
	if messages, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return nil, nil, fmt.Errorf("read the letters of run %d: %w", id.Run, err)
	}
	return batches, messages, nil
}

func numbers(batches []BatchID) []int {
	list := make([]int, len(batches))
	for i, b := range batches {
		list[i] = b.Number
	}
	return list
}

// Confirm notes that the messages' letters were posted, and their batches are.
func Confirm(ctx context.Context, tx pgx.Tx, batches []BatchID, posted []int64, actor string, at time.Time) error {
	for _, b := range batches {
		_, err := tx.Exec(ctx, `update letter_batches set confirmed_at = $3, confirmed_by = $4 where run_id = $1 and number = $2`, b.Run, b.Number, at, actor)
		if err != nil {
			return fmt.Errorf("confirm batch %s: %w", b, err)
		}
	}
	if _, err := tx.Exec(ctx, `update letters set confirmed_at = $2 where message_id = any($1)`, posted, at); err != nil {
		return fmt.Errorf("confirm %d letters: %w", len(posted), err)
	}
	return nil
}

// Withdrawn is a letter that was cancelled, erased or put aside after it was printed: it does not count as posted.
type Withdrawn struct {
	Message int64
	Code    string
	Reason  string // the message's
}

// Shown is the code as it is printed beside the bars.
func (w Withdrawn) Shown() string { return shownCode(w.Code) }

// ListWithdrawn lists what of confirmed batches does not count as posted, in the order of the pile.
func ListWithdrawn(ctx context.Context, tx pgx.Tx, batches []BatchID) (all []Withdrawn, err error) {
	for _, b := range batches {
		rows, _ := tx.Query(ctx, `
			select l.message_id, l.code, coalesce(m.reason, '') from letters l left join messages m on m.id = l.message_id
			where l.run_id = $1 and l.batch = $2 and l.confirmed_at is null order by l.place`, b.Run, b.Number)
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Withdrawn])
		if err != nil {
			return nil, fmt.Errorf("list what is not posted of batch %s: %w", b, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// FindWithdrawn finds, by its code, a letter that does not count as posted though its batch is confirmed. It is an ErrNoLetter,
// ErrNotPosted or ErrNothing where there is no such letter.
func FindWithdrawn(ctx context.Context, tx pgx.Tx, code string) (w Withdrawn, err error) {
	w.Code = code
	p, err := findPrinted(ctx, tx, code)
	switch {
	case err != nil:
		return w, err
	case p.posted:
		return w, fmt.Errorf("it counts as sent already: %w", ErrNothing)
	case !p.confirmed:
		return w, p.notPosted()
	}
	w.Message, w.Reason = p.message, p.reason
	return w, nil
}

// printed is a letter as one finds it by its code.
type printed struct {
	message   int64
	run       int
	code      string
	batch     *int
	confirmed bool // its batch is
	posted    bool
	returned  *time.Time
	reason    string // the message's, of one that was withdrawn
}

// findPrinted locks a letter.
func findPrinted(ctx context.Context, tx pgx.Tx, code string) (printed, error) {
	p := printed{code: code}
	err := tx.QueryRow(ctx, `
		select l.message_id, l.run_id, l.batch, l.confirmed_at is not null, l.returned_at, coalesce(m.reason, ''),
		       exists (select from letter_batches b where b.run_id = l.run_id and b.number = l.batch and b.confirmed_at is not null)
		from letters l left join messages m on m.id = l.message_id where l.code = $1 for update of l`, code).
		Scan(&p.message, &p.run, &p.batch, &p.posted, &p.returned, &p.reason, &p.confirmed)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, ErrNoLetter
	}
	if err != nil {
		return p, fmt.Errorf("look for a letter: %w", err)
	}
	return p, nil
}

// notPosted says why a letter does not count as posted, and what to do where it was.
func (p printed) notPosted() error {
	switch {
	case p.batch == nil:
		return fmt.Errorf("%w: it is not even printed", ErrNotPosted)
	case !p.confirmed:
		return fmt.Errorf("%w; first  sapa letters confirm %s", ErrNotPosted, BatchID{p.run, *p.batch})
	}
	return fmt.Errorf("%w (%s); if it was, first  sapa letters confirm --posted %s", ErrNotPosted, p.reason, shownCode(p.code))
}

// Reason is why a letter came back, as the post ticks it (UPU form CN 15).
type Reason struct {
	Word  string // on the command line and in the ledger
	Words string // for people
	Code  int    // in reports
}

// Reasons are those that can be recorded. With all but "refused", the address is wrong; and who refuses letters does not want
// them: nothing more goes there, whichever it is.
func Reasons() []Reason {
	return []Reason{{"moved", "the customer has moved", 1}, {"unknown", "nobody of that name there, or no such address", 2}, {"refused", "refused", 3}, {"other", "undeliverable", 4}}
}

// ReasonOf finds a reason by its word.
func ReasonOf(word string) (Reason, bool) {
	for _, r := range Reasons() {
		if r.Word == word {
			return r, true
		}
	}
	return Reason{}, false
}

// Back is a letter that came back.
type Back struct {
	Message int64
	Run     int
	Code    string
	Before  *time.Time // it was recorded before, then
}

// The ways in which a code can't be recorded as returned.
var (
	ErrNoLetter  = errors.New("no letter has that code")
	ErrNotPosted = errors.New("it was not posted, as far as Sapa knows")
)

// Return notes that a letter came back. It is an ErrNoLetter or ErrNotPosted for what can't have.
func Return(ctx context.Context, tx pgx.Tx, code string, r Reason, at time.Time) (Back, error) {
	p, err := findPrinted(ctx, tx, code)
	b := Back{Message: p.message, Run: p.run, Code: code, Before: p.returned}
	switch {
	case err != nil:
		return b, err
	case !p.posted:
		return b, p.notPosted()
	case b.Before != nil:
		return b, nil
	}
	_, err = tx.Exec(ctx, `update letters set returned_at = $2, return_reason = $3 where message_id = $1`, b.Message, at, r.Word)
	if err != nil {
		return b, fmt.Errorf("record a letter that came back: %w", err)
	}
	return b, nil
}
