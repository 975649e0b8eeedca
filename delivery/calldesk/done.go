package calldesk

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/wallclock"
	"github.com/sapa-crm/sapa/response"
)

// Result is what an agent says came of a call.
type Result struct {
	Outcome calls.Outcome
	Note    string
	At      string // of calls.CallBack: when, where the customer lives: 14:30, 2026-11-23 14:30, or in 2h
}

// MaxNote is how long a note may be, in bytes.
const MaxNote = 2000

// Said is what became of a call.
type Said struct {
	Outcome calls.Outcome `json:"outcome"`
	Open    bool          `json:"open"`   // it comes again
	DueAt   time.Time     `json:"due_at"` // when; zero where it does not
	Late    bool          `json:"late"`   // the message was not planned any more: its run was cancelled, say; what came of it counts all the same
}

// Done records what came of a call, with everything that follows from it, in one transaction: the message's state, a
// response, a suppression, a withdrawn consent, the audit log. An agent may say so of a call that they have, or that nobody
// has. The errors are ErrNotFound, ErrState and ErrTime, each with what to do, or the database's.
func (d *Desk) Done(ctx context.Context, agent string, id int64, r Result) (said Said, err error) {
	r.Note = clean(r.Note)
	err = d.inTx(ctx, func(tx pgx.Tx) error {
		o, err := d.open(ctx, tx, agent, id)
		if err != nil {
			return err
		}
		said, err = d.finish(ctx, tx, agent, o, r)
		return err
	})
	if err != nil {
		return Said{}, err
	}
	return said, nil
}

// finish writes the outcome of a locked call.
func (d *Desk) finish(ctx context.Context, tx pgx.Tx, agent string, o *openCall, r Result) (Said, error) {
	said := Said{Outcome: r.Outcome}
	var err error
	if said.DueAt, err = d.again(ctx, o, r); err != nil {
		return said, err
	}
	said.Open = !said.DueAt.IsZero() && o.cancelled == ""
	if err := d.note(ctx, tx, agent, o, r, said.DueAt); err != nil {
		return said, err
	}
	if err := d.forbid(ctx, tx, agent, o, r.Outcome); err != nil {
		return said, err
	}
	if said.Open {
		keeper := &agent
		if r.Outcome != calls.CallBack {
			keeper = nil
		}
		_, err := tx.Exec(ctx, `
			update calls set due_at = $2, keeper = $3, tries = tries + $4, claimed_by = null, claimed_at = null, claimed_until = null where message_id = $1`,
			o.id, said.DueAt, keeper, map[bool]int{true: 1}[r.Outcome == calls.NoAnswer])
		return said, err
	}
	said.DueAt = time.Time{}
	moved, err := delivery.FinishByHand(ctx, tx, []int64{o.id}, byHand(r.Outcome, d.Now()))
	if err != nil {
		return said, err
	}
	said.Late = len(moved) == 0
	_, err = tx.Exec(ctx, `
		update calls set done_at = $2, outcome = $3, claimed_by = null, claimed_at = null, claimed_until = null, keeper = null where message_id = $1`,
		o.id, d.Now(), r.Outcome)
	return said, err
}

// again is when a call comes back; zero where it does not.
func (d *Desk) again(ctx context.Context, o *openCall, r Result) (time.Time, error) {
	switch {
	case r.Outcome == calls.CallBack:
		at, err := readTime(r.At, d.Now().In(d.zone(o.zone)))
		if err != nil {
			return at, err
		}
		return at, d.checkTime(ctx, o, at)
	case r.Outcome == calls.NoAnswer && o.tries+1 < d.Settings.Tries:
		at := d.Now().Add(time.Duration(d.Settings.Again))
		if o.notAfter == nil || at.Before(*o.notAfter) {
			return at, nil
		}
	}
	return time.Time{}, nil
}

var (
	inSpan  = regexp.MustCompile(`^(?:in )?([1-9][0-9]{0,3}) ?([mhd])$`)
	atClock = regexp.MustCompile(`^([01]?[0-9]|2[0-3])[:.]([0-5][0-9])$`)
)

// readTime reads when somebody wants to be called: a time of day, which is the next one; a date and a time; or how long
// from now. now is in the customer's zone.
func readTime(text string, now time.Time) (time.Time, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if m := inSpan.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		return now.Add(time.Duration(n) * map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[m[2]]).Truncate(time.Minute), err
	}
	if m := atClock.FindStringSubmatch(text); m != nil {
		civil, err := time.Parse("15:04", m[1]+":"+m[2])
		at := onDay(now, civil)
		if !at.After(now) {
			at = onDay(now.AddDate(0, 0, 1), civil)
		}
		return at, err
	}
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02t15:04", "2006-01-02 15.04", "2006-01-02 15:04:05", "2006-01-02t15:04:05"} {
		if civil, err := time.Parse(form, text); err == nil {
			return wallclock.Instant(civil, now.Location()), nil
		}
	}
	if text == "" {
		return time.Time{}, fmt.Errorf("%w: say when the customer wants to be called", ErrTime)
	}
	return time.Time{}, fmt.Errorf("%w: write a time such as 14:30, a date and a time such as %s, or 2h; not %q", ErrTime, now.AddDate(0, 0, 1).Format("2006-01-02 15:04"), text)
}

// onDay is a time of day on a moment's day, in its zone.
func onDay(day, civil time.Time) time.Time {
	y, m, d := day.Date()
	return wallclock.Instant(time.Date(y, m, d, civil.Hour(), civil.Minute(), 0, 0, time.UTC), day.Location())
}

// farthest is how far ahead a call back may be agreed on.
const farthest = 366 * 24 * time.Hour

// checkTime refuses a time at which the call would not be offered.
func (d *Desk) checkTime(ctx context.Context, o *openCall, at time.Time) error {
	zone := d.zone(o.zone)
	local := at.In(zone).Format("2006-01-02 15:04")
	switch {
	case !at.After(d.Now()):
		return fmt.Errorf("%w: %s has passed; it is %s where the customer lives", ErrTime, local, d.Now().In(zone).Format("2006-01-02 15:04"))
	case at.After(d.Now().Add(farthest)):
		return fmt.Errorf("%w: %s is more than a year ahead", ErrTime, local)
	case o.notAfter != nil && !at.Before(*o.notAfter):
		return fmt.Errorf("%w: the calls of %s end on %s", ErrTime, o.campaign, o.notAfter.In(zone).Format("2006-01-02 15:04"))
	}
	for _, w := range d.windows(ctx, o.version) {
		if !w.Until(at, zone).Equal(at) {
			return fmt.Errorf("%w: from %02d:%02d to %02d:%02d nobody is called; choose another time than %s", ErrTime, w.From/60, w.From%60, w.To/60, w.To%60, local)
		}
	}
	return nil
}

// note keeps what the agent said, counts it as a response, and writes it into the audit log without the note.
func (d *Desk) note(ctx context.Context, tx pgx.Tx, agent string, o *openCall, r Result, at time.Time) error {
	var back *time.Time
	if r.Outcome == calls.CallBack {
		back = &at
	}
	if o.erased { // while they were spoken to; nothing new is kept
		r.Note = ""
	}
	_, err := tx.Exec(ctx, `
		insert into call_tries (message_id, number, agent, at, outcome, note, call_back_at)
		select $1, coalesce(max(number), 0) + 1, $2, $3, $4, nullif($5, ''), $6 from call_tries where message_id = $1`,
		o.id, agent, d.Now(), r.Outcome, r.Note, back)
	if err != nil {
		return fmt.Errorf("keep what came of call %d: %w", o.id, err)
	}
	if err := response.RecordCall(ctx, tx, o.id, r.Outcome, d.Now()); err != nil {
		return err
	}
	return access.Record(ctx, tx, access.Entry{
		Actor: agent, Action: "call", Subject: fmt.Sprintf("message %d", o.id), Detail: map[string]any{"outcome": r.Outcome, "run": o.run},
	})
}

// forbid keeps the number from being called again, where that follows from the outcome; and what the customer said, as
// evidence.
func (d *Desk) forbid(ctx context.Context, tx pgx.Tx, agent string, o *openCall, outcome calls.Outcome) error {
	if outcome != calls.WrongNumber && outcome != calls.DoNotCall {
		return nil
	}
	if o.phone != nil {
		s := customer.Suppression{Reason: string(outcome), Source: fmt.Sprintf("message %d", o.id), At: d.Now()}
		if err := customer.Suppress(ctx, tx, calls.Name, *o.phone, s); err != nil {
			return err
		}
	}
	if outcome == calls.WrongNumber || o.erased {
		return nil
	}
	_, err := d.Schema.ChangeConsent(ctx, tx, agent, customer.ConsentChange{
		CustomerKey: o.customerKey, Channel: calls.Name, Topic: customer.Every, At: d.Now(),
		Evidence: map[string]any{"said": "on the telephone", "message": o.id, "run": o.run, "campaign": o.campaign},
	})
	if errors.Is(err, customer.ErrErased) {
		return nil
	}
	return err
}

// byHand is what an outcome that ends a call makes of its message.
func byHand(o calls.Outcome, at time.Time) delivery.ByHand {
	h := delivery.ByHand{State: "sent", Words: string(o), At: at}
	switch o {
	case calls.WrongNumber:
		h.State, h.Reason = "failed", "wrong number"
	case calls.NoAnswer:
		h.State, h.Reason = "failed", "not reached"
	}
	return h
}

// clean makes a note fit for a text column.
func clean(note string) string {
	note = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(note, "?"), "\x00", ""))
	if len(note) <= MaxNote {
		return note
	}
	end := MaxNote
	for !utf8.RuneStart(note[end]) {
		end--
	}
	return note[:end]
}
