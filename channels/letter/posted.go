package letter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Posted is a printed letter of which somebody says that it was posted.
type Posted struct {
	Message int64
	Code    string
}

// Shown is the code as it is printed beside the bars.
func (p Posted) Shown() string { return shownCode(p.Code) }

// ToConfirm locks the batch, or with Number 0 all batches of the run, that were printed and not confirmed, and gives their
// letters in the order of the pile. It is an ErrNothing where there is no such batch.
func ToConfirm(ctx context.Context, tx pgx.Tx, id BatchID) (batches []BatchID, letters []Posted, err error) {
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
	rows, _ = tx.Query(ctx, `select message_id, code from letters where run_id = $1 and batch = any($2) order by batch, place`, id.Run, numbers(batches))
	letters, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Posted])
	if err != nil {
		return nil, nil, fmt.Errorf("read the letters of run %d: %w", id.Run, err)
	}
	return batches, letters, nil
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
	b := Back{Code: code}
	var batch *int
	var posted bool
	err := tx.QueryRow(ctx, `
		select message_id, run_id, batch, confirmed_at is not null, returned_at from letters where code = $1 for update`, code).
		Scan(&b.Message, &b.Run, &batch, &posted, &b.Before)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return b, ErrNoLetter
	case err != nil:
		return b, fmt.Errorf("look for a letter: %w", err)
	case !posted && batch == nil:
		return b, fmt.Errorf("%w: it is not even printed", ErrNotPosted)
	case !posted:
		return b, fmt.Errorf("%w; first  sapa letters confirm %s", ErrNotPosted, BatchID{b.Run, *batch})
	case b.Before != nil:
		return b, nil
	}
	_, err = tx.Exec(ctx, `update letters set returned_at = $2, return_reason = $3 where message_id = $1`, b.Message, at, r.Word)
	if err != nil {
		return b, fmt.Errorf("record a letter that came back: %w", err)
	}
	return b, nil
}
