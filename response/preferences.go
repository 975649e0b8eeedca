package response

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pg"
)

// PauseFor is how long a pause of the page of preferences lasts.
const PauseFor = 30 * 24 * time.Hour

// Preferences are what the page of preferences shows: what a customer gets, by their own choice or the company's
// word, and no word about who they are.
type Preferences struct {
	Topics   []TopicChoices
	Blocked  []Block   // channels whose address is suppressed: nothing goes there, whatever is chosen
	Paused   time.Time // nothing comes until then; zero: no pause
	EndedAll bool      // the last that was said ended everything
	Nobody   bool      // there is nobody to choose for any more, and nothing else is said
	Shown    string    // stands for this state in a form
	Done     Done      // what a form did
}

// TopicChoices are a topic and whether it comes, on each channel that it may come by.
type TopicChoices struct {
	customer.Topic
	Choices []Choice
}

// Choice is one box to tick.
type Choice struct {
	Channel string
	Topic   string
	On      bool // it comes, but for pauses and blocks
	Pending bool // it was asked for, and the customer has not confirmed it yet
	Fixed   bool // the company's own column says no, which goes before what is chosen here
	Despite bool // it comes although everything else rests, because it was granted later
}

// Name stands for the choice in a form.
func (c Choice) Name() string { return c.Channel + " " + c.Topic }

// Block is a channel whose address is suppressed.
type Block struct {
	Channel string
	ByStop  bool // by the customer's own STOP, which START lifts
}

// Done says what a form of the page of preferences did.
type Done string

// What forms do. Stale: the choices had changed since the page was shown, and nothing was saved.
const (
	NothingDone Done = ""
	Saved       Done = "saved"
	AllEnded    Done = "everything"
	PauseBegun  Done = "pause"
	PauseOver   Done = "resume"
	Stale       Done = "stale"
)

// PreferenceForm is a form of the page of preferences.
type PreferenceForm struct {
	Do     Done     // Saved, AllEnded, PauseBegun or PauseOver
	Shown  string   // Preferences.Shown of the page
	Ticked []string // names of the choices that are ticked, of Saved
}

// ErrForm says that a form is none of ours.
var ErrForm = errors.New("this form says nothing that we know")

// Preferences records that the page of preferences was asked for, which changes nothing, and returns what it shows. The
// errors are those of Click.
func (t *Tracker) Preferences(ctx context.Context, token string, v Visit) (*Preferences, error) {
	tok, d, err := t.desk(ctx, token, v)
	if err != nil {
		return nil, err
	}
	l, err := customer.ReadLedger(ctx, t.pool, d.who.key)
	if err != nil {
		return nil, err
	}
	t.record(ctx, newHit(tok, HitPage, v))
	return d.show(ctx, t.pool, l, v.At)
}

// ChangePreferences does what a form says, and returns after the commit what holds then. Sending a form again changes
// nothing. The errors are ErrForm and those of Click.
func (t *Tracker) ChangePreferences(ctx context.Context, token string, form PreferenceForm, v Visit) (p *Preferences, err error) {
	tok, d, err := t.desk(ctx, token, v)
	if err != nil {
		return nil, err
	}
	if d.nobody {
		return &Preferences{Nobody: true}, nil
	}
	err = t.act(ctx, d.who, newHit(tok, d.hitKind(form), v), func(tx pgx.Tx, l customer.Ledger, hit Hit) error {
		changes, done, err := d.changes(form, l, hit.At)
		if err != nil {
			return err
		}
		for _, c := range changes {
			c.CustomerKey, c.Source, c.Evidence, c.At = d.who.key, ByPreferences, evidence(d.who.message, hit), hit.At
			if err := customer.SetConsent(ctx, tx, c); err != nil {
				return err
			}
		}
		if l, err = customer.ReadLedger(ctx, tx, d.who.key); err != nil {
			return err
		}
		if p, err = d.show(ctx, tx, l, v.At); err == nil {
			p.Done = done
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// desk is where one customer's preferences are chosen.
type desk struct {
	schema *customer.Schema
	who    recipient
	topics []customer.Topic
	offer  []string // channels
	person *customer.Person
	nobody bool
}

// desk finds whom a token of preferences speaks for, and what there is to choose. The company's row is read before any
// transaction of ours: it may be locked for a while.
func (t *Tracker) desk(ctx context.Context, token string, v Visit) (Token, *desk, error) {
	tok, who, err := t.recipient(ctx, token, PreferencesPage, v)
	if err != nil {
		return tok, nil, err
	}
	if t.schema == nil {
		return tok, nil, fmt.Errorf("message %d: no page of preferences: %w", who.message, ErrNoLink)
	}
	d := &desk{schema: t.schema, who: who}
	if d.nobody, err = erased(ctx, t.pool, who.key); err != nil || d.nobody {
		return tok, d, err
	}
	d.person, err = t.schema.Person(ctx, t.pool, who.key)
	if d.nobody = errors.Is(err, customer.ErrNoCustomer); d.nobody {
		return tok, d, nil
	}
	if err != nil {
		return tok, nil, err
	}
	for _, channel := range t.offered {
		if _, mapped := t.schema.Address(channel); mapped {
			d.offer = append(d.offer, channel)
		}
	}
	d.topics, err = t.schema.AllTopics(ctx, t.pool)
	if !slices.ContainsFunc(d.topics, func(x customer.Topic) bool { return x.Name == who.run.Topic }) {
		d.topics = append(d.topics, customer.Topic{Name: who.run.Topic})
	}
	return tok, d, err
}

// erased says whether the key is the pseudonym of an erased customer, or one whom nobody writes to any more.
func erased(ctx context.Context, db pg.DBTX, key string) (yes bool, err error) {
	err = db.QueryRow(ctx, `select exists (select from erasures where pseudonym = $1 or customer_key = $1)`, key).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for an erasure: %w", err)
	}
	return yes, nil
}

// choices are the boxes, as the ledger has them.
func (d *desk) choices(l customer.Ledger, now time.Time) []TopicChoices {
	paused := !l.PausedUntil(now).IsZero()
	var list []TopicChoices
	for _, topic := range d.topics {
		row := TopicChoices{Topic: topic}
		for _, channel := range d.offer {
			if !topic.On(channel) {
				continue
			}
			opted := d.person.Opted(channel)
			st := d.schema.LastingStanding(l, opted, channel, topic.Name)
			row.Choices = append(row.Choices, Choice{
				Channel: channel, Topic: topic.Name, On: st.Granted,
				Pending: st.Entry != nil && st.Entry.Pending,
				Fixed:   opted != nil && !*opted,
				Despite: paused && d.schema.Standing(l, opted, channel, topic.Name, now).Granted,
			})
		}
		if len(row.Choices) > 0 {
			list = append(list, row)
		}
	}
	return list
}

// show is the page.
func (d *desk) show(ctx context.Context, db pg.DBTX, l customer.Ledger, now time.Time) (*Preferences, error) {
	if d.nobody {
		return &Preferences{Nobody: true}, nil
	}
	p := &Preferences{Topics: d.choices(l, now), EndedAll: l.EndedAll(), Shown: d.shown(l)}
	if until := l.PausedUntil(now); !p.EndedAll && !until.IsZero() {
		p.Paused = until.In(zone(d.schema))
	}
	for _, channel := range d.offer {
		raw, written := d.person.Addresses[channel]
		if !written {
			continue
		}
		address, err := customer.Normalise(channel, raw, d.person.Region)
		if err != nil || !address.Usable() {
			continue // nothing goes there, and nobody but the company can mend it
		}
		s, yes, err := customer.Suppressed(ctx, db, channel, address.Normalised)
		if err != nil {
			return nil, err
		}
		if yes {
			p.Blocked = append(p.Blocked, Block{Channel: channel, ByStop: slices.Contains(liftedByStart, s.Reason)})
		}
	}
	return p, nil
}

// zone is the company's own, in which its customers read dates.
func zone(s *customer.Schema) *time.Location {
	if s != nil {
		if z, err := time.LoadLocation(s.Zone); err == nil {
			return z
		}
	}
	return time.UTC
}

// shown stands for the ledger as it is, and says nothing about it.
func (d *desk) shown(l customer.Ledger) string {
	var latest int64
	if len(l) > 0 {
		latest = l[0].ID
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", d.who.key, latest))
	return hex.EncodeToString(sum[:8])
}

// hitKind is unsubscribe for a form that ends the message's own topic, which reports count.
func (d *desk) hitKind(form PreferenceForm) HitKind {
	if form.Do == AllEnded {
		return HitUnsubscribe
	}
	return HitPreferences
}

// changes are what a form adds to the ledger. A form that was shown before the latest change may be an old one that is
// sent again: what it would change is refused, unless it ends everything.
func (d *desk) changes(form PreferenceForm, l customer.Ledger, now time.Time) (list []customer.ConsentChange, done Done, err error) {
	paused := l.PausedUntil(now)
	everything := customer.ConsentChange{Channel: customer.Every, Topic: customer.Every}
	switch form.Do {
	case AllEnded:
		if !l.EndedAll() {
			list = append(list, everything)
		}
		return list, form.Do, nil
	case PauseBegun:
		if paused.IsZero() && !l.EndedAll() {
			everything.Until = now.Add(PauseFor)
			list = append(list, everything)
		}
	case PauseOver:
		if !paused.IsZero() {
			everything.Granted, everything.Resumes = true, true
			list = append(list, everything)
		}
	case Saved:
		list = d.chosen(form.Ticked, l, now)
	default:
		return nil, "", ErrForm
	}
	if len(list) > 0 && form.Shown != d.shown(l) {
		return nil, Stale, nil
	}
	return list, form.Do, nil
}

// chosen are the boxes that were changed. A grant during a pause is followed by the pause, so that it goes on.
func (d *desk) chosen(ticked []string, l customer.Ledger, now time.Time) (list []customer.ConsentChange) {
	again := false
	for _, topic := range d.choices(l, now) {
		for _, c := range topic.Choices {
			want := slices.Contains(ticked, c.Name())
			if want == c.On || c.Fixed {
				continue
			}
			list = append(list, customer.ConsentChange{Channel: c.Channel, Topic: c.Topic, Granted: want})
			again = again || want
		}
	}
	if paused := l.PausedUntil(now); again && !paused.IsZero() {
		list = append(list, customer.ConsentChange{Channel: customer.Every, Topic: customer.Every, Until: paused})
	}
	return list
}
