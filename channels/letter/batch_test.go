package letter

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pg"
)

// print prints a batch of the run, or with 0 what there is to print, in a transaction of its own.
func (o *office) print(number int) (pdf, csv []byte, printed *Printed, err error) {
	o.t.Helper()
	var p, c bytes.Buffer
	id, err := ToPrint(o.t.Context(), o.pool, BatchID{o.run.ID, number})
	if err != nil {
		return nil, nil, nil, err
	}
	err = pg.InTx(o.t.Context(), o.pool, func(tx pgx.Tx) error {
		printed, err = Print(o.t.Context(), tx, Order{
			Batch: id, Actor: "ani", Now: noon(), Settings: *company(), PDF: &p, CSV: &c,
		})
		return err
	})
	return p.Bytes(), c.Bytes(), printed, err
}

func TestPrint(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 5)
	if _, _, _, err := o.print(0); !errors.Is(err, ErrNothing) || err.Error() != "no letters of run 1 wait to be printed: there is nothing to do" {
		t.Errorf("%v", err)
	}
	o.compose(3)
	ledgertest.Exec(t, o.pool, `update letters set code = 'CODE' || message_id % 16`)
	first, addresses, printed, err := o.print(0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Printed{Batch: BatchID{1, 1}, Pieces: 3, Pages: 6}, printed); diff != "" {
		t.Error(diff)
	}
	want := `place,code,size,first_page,pages,address_1,address_2,address_3,address_4,address_5,address_6,address_7,country,link
1,CODE1,postcard-a6,1,2,Budi Santoso,Jl. Merdeka 17,Semarang 50241,,,,,ID,https://sapa.bengkel.example/l/aB3dE6gH
2,CODE2,postcard-a6,3,2,Budi Santoso,Jl. Merdeka 17,Semarang 50241,,,,,ID,https://sapa.bengkel.example/l/aB3dE6gH
3,CODE3,postcard-a6,5,2,Budi Santoso,Jl. Merdeka 17,Semarang 50241,,,,,ID,https://sapa.bengkel.example/l/aB3dE6gH
`
	if diff := cmp.Diff(want, string(addresses)); diff != "" {
		t.Error(diff)
	}
	again, _, printed, err := o.print(0)
	if err != nil || !bytes.Equal(first, again) || !printed.Again || printed.Batch.Number != 1 {
		t.Errorf("again: %+v, %v, equal: %t", printed, err, bytes.Equal(first, again))
	}
}

// TestPaused holds that nothing of a paused run is printed, also when it is paused while it is being printed.
func TestPaused(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 2)
	o.compose(2)
	const want = "run 1 is paused: addresses bounced; nothing of it is printed before  sapa resume 1"
	paused := func(state, reason string) {
		ledgertest.Exec(t, o.pool, `update runs set state = $1::run_state, reason = nullif($2, '')`, state, reason)
	}
	paused("paused", "addresses bounced")
	if _, _, _, err := o.print(0); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	paused("paused", "")
	if _, _, _, err := o.print(0); err == nil || err.Error() != "run 1 is paused; nothing of it is printed before  sapa resume 1" {
		t.Errorf("%v", err)
	}
	paused("sending", "")
	err := pg.InTx(t.Context(), o.pool, func(tx pgx.Tx) error {
		_, err := Print(t.Context(), tx, Order{Batch: BatchID{Run: 1}, Actor: "ani", Now: noon(), Settings: *company(), PDF: pausing(func() { paused("paused", "addresses bounced") })})
		return err
	})
	if err == nil || err.Error() != want {
		t.Errorf("paused meanwhile: %v", err)
	}
	if list, err := List(t.Context(), o.pool, true); err != nil || len(list) != 1 || list[0].Waiting != 2 || len(list[0].Batches) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if ids, err := Unposted(t.Context(), o.pool, BatchID{Run: 1}, o.run.Base+1); err != nil || !slices.Equal(ids, []int64{o.run.Base + 2}) {
		t.Errorf("%v, %v", ids, err)
	}
}

// pausing is a file during whose writing something happens.
type pausing func()

func (p pausing) Write(b []byte) (int, error) {
	p()
	return len(b), nil
}

func TestPrintAfterChanges(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 5)
	o.compose(3)
	if _, _, _, err := o.print(0); err != nil {
		t.Fatal(err)
	}
	// One is cancelled, one erased, and two more are composed; a sixth message is still with the engine.
	ledgertest.Exec(t, o.pool, `update messages set state = 'skipped', reason = 'cancelled' where id = $1`, o.run.Base+1)
	ledgertest.Exec(t, o.pool, `update messages set state = 'skipped', reason = 'erased' where id = $1`, o.run.Base+2)
	ledgertest.Exec(t, o.pool, `update letters set content = null where message_id = $1`, o.run.Base+2)
	if _, err := o.deliver(t.Context(), o.message(4), o.message(5)); err != nil {
		t.Fatal(err)
	}
	ledgertest.Exec(t, o.pool, `update messages set not_before = $2 where id = $1`, o.run.Base+5, noon())
	for _, tt := range []struct {
		number int
		want   Printed
	}{
		{0, Printed{Batch: BatchID{1, 2}, Pieces: 1, Pages: 2}},
		{1, Printed{Batch: BatchID{1, 1}, Again: true, Pieces: 1, Pages: 2, LeftOut: 2}},
	} {
		_, _, printed, err := o.print(tt.number)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&tt.want, printed); diff != "" {
			t.Error(diff)
		}
	}
	if _, _, _, err := o.print(3); err == nil || err.Error() != "no batch 1-3: there is nothing to do; see: sapa letters" {
		t.Errorf("%v", err)
	}
	ledgertest.Exec(t, o.pool, `update messages set state = 'skipped', reason = 'cancelled' where id = $1`, o.run.Base+4)
	if _, _, _, err := o.print(2); err == nil || err.Error() != "print batch 1-2: none of its letters is to be printed any more: there is nothing to do" {
		t.Errorf("%v", err)
	}
	list, err := List(t.Context(), o.pool, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []Listed{{Run: 1, Campaign: "oil-change", Printed: 1, Withdrawn: 3, Batches: []ListedBatch{
		{Batch: "1-1", Pieces: 3, PrintedAt: noon(), PrintedBy: "ani"}, {Batch: "1-2", Pieces: 1, PrintedAt: noon(), PrintedBy: "ani"},
	}}}
	if diff := cmp.Diff(want, list, cmp.Transformer("utc", time.Time.UTC)); diff != "" {
		t.Error(diff)
	}
}

// confirm says that a batch was posted, as far as this package goes.
func (o *office) confirm(id BatchID, posted ...int64) error {
	return pg.InTx(o.t.Context(), o.pool, func(tx pgx.Tx) error {
		batches, _, err := ToConfirm(o.t.Context(), tx, id)
		if err != nil {
			return err
		}
		return Confirm(o.t.Context(), tx, batches, posted, "ani", noon())
	})
}

func TestConfirmAndReturn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 2)
	o.compose(2)
	var codes []string
	rows, _ := o.pool.Query(t.Context(), `select code from letters order by message_id`)
	codes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want string, err error) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	back := func(code string) (b Back, err error) {
		err = pg.InTx(t.Context(), o.pool, func(tx pgx.Tx) error {
			b, err = Return(t.Context(), tx, code, Reasons()[0], noon())
			return err
		})
		return b, err
	}
	refused("run 1 has no printed letters: there is nothing to do; print them first: sapa letters print 1", o.confirm(BatchID{1, 0}))
	_, err = back(codes[0])
	refused("it was not posted, as far as Sapa knows: it is not even printed", err)
	if _, _, _, err := o.print(0); err != nil {
		t.Fatal(err)
	}
	_, err = back(codes[0])
	refused("it was not posted, as far as Sapa knows; first  sapa letters confirm 1-1", err)
	refused("no batch 1-7: there is nothing to do; see: sapa letters", o.confirm(BatchID{1, 7}))
	if err := o.confirm(BatchID{1, 0}, o.run.Base+1); err != nil {
		t.Fatal(err)
	}
	refused("batch 1-1 is confirmed already: there is nothing to do", o.confirm(BatchID{1, 1}))
	refused("all batches of run 1 are confirmed already: there is nothing to do", o.confirm(BatchID{1, 0}))
	_, err = back("00000000")
	refused("no letter has that code", err)
	b, err := back(codes[0])
	if diff := cmp.Diff(Back{Message: o.run.Base + 1, Run: 1, Code: codes[0]}, b); diff != "" || err != nil {
		t.Error(diff, err)
	}
	ledgertest.Exec(t, o.pool, `update messages set state = 'skipped', reason = 'cancelled' where id = $1`, o.run.Base+2)
	_, err = back(codes[1])
	refused("it was not posted, as far as Sapa knows (cancelled); if it was, first  sapa letters confirm --posted "+shownCode(codes[1]), err)
	if b, err := back(codes[0]); err != nil || b.Before == nil || !b.Before.Equal(noon()) {
		t.Errorf("again: %+v, %v", b, err)
	}
}

// TestRetried holds what is printed of a letter that was withdrawn and planned again: with its batch where that is still to be
// posted, and else with the next one, as it is composed then.
func TestRetried(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 2)
	o.compose(2)
	if _, _, _, err := o.print(0); err != nil {
		t.Fatal(err)
	}
	again := func(i int, want string) {
		t.Helper()
		ledgertest.Exec(t, o.pool, `update messages set not_before = '2026-01-01' where id = $1`, o.run.Base+int64(i))
		m := o.message(i)
		m.Parts["text"] = "Halo lagi"
		if _, err := o.deliver(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		var got string
		err := o.pool.QueryRow(t.Context(), `
			select concat_ws(' ', coalesce(batch || '.' || place, 'waits'), left(content ->> 'text', 9)) from letters where message_id = $1`, m.ID).Scan(&got)
		if err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	again(1, "1.1 # Waktuny")
	if err := o.confirm(BatchID{1, 1}, o.run.Base+1); err != nil {
		t.Fatal(err)
	}
	again(2, "waits Halo lagi")
	_, _, printed, err := o.print(0)
	if diff := cmp.Diff(&Printed{Batch: BatchID{1, 2}, Pieces: 1, Pages: 2}, printed); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestParseBatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]BatchID{"7": {7, 0}, "7-12": {7, 12}} {
		if got, err := ParseBatch(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "0", "7-", "7-0", "-1", "7-1-1"} {
		if _, err := ParseBatch(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
