package campaign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// Event is something that happened to a customer, as the company tells it.
type Event struct {
	Name     string
	Customer string          // the customer's key, as text
	At       time.Time       // when it happened; zero: now
	Data     json.RawMessage // a JSON object; nil: {}
	Key      string          // by which a repetition is known; "": none is
	Actor    string
}

// Received is the answer to an event that was taken: it is in the ledger, and what it triggers will be handled whatever
// becomes of this process.
type Received struct {
	ID         int64     `json:"id"`
	Event      string    `json:"event"`
	Customer   string    `json:"customer"` // the key as the database writes it
	At         time.Time `json:"at"`
	ReceivedAt time.Time `json:"received_at"`
	Campaigns  []string  `json:"campaigns"` // that listen, by name; whether they mean the customer is decided next
	Warnings   []string  `json:"warnings,omitempty"`
	Repeated   bool      `json:"-"` // it was taken before, and this is the answer that it had
}

// Codes of an EventError.
const (
	EventInvalid         = "invalid_event"
	EventUnknownCustomer = "unknown_customer"
	EventErased          = "erased_customer"
	EventKeyReused       = "key_reused"
)

// EventError says why an event is not taken, and how to mend it.
type EventError struct{ Code, Problem, Remedy string }

func (e *EventError) Error() string {
	if e.Remedy == "" {
		return e.Problem
	}
	return e.Problem + "; " + e.Remedy
}

func invalidEvent(remedy, format string, args ...any) error {
	return &EventError{EventInvalid, fmt.Sprintf(format, args...), remedy}
}

// Limits of an event.
const (
	MaxEventData = 16 << 10 // bytes of its data
	maxEventKey  = 200      // characters of its key
	maxWarnings  = 20       // that are answered and kept
	// latestYear is of UTC. JSON has no times behind the year 9999 (RFC 3339), and a zone may be some hours ahead.
	latestYear = 9998
)

// Receive takes an event: when it returns, the event is committed, with what it triggers. An event with the key of an earlier
// one is the same event, and gets its answer, when all else is the same, too; else the error is an EventError, as for all that
// is wrong with the event itself.
func (p *Planner) Receive(ctx context.Context, e Event) (*Received, error) {
	data, err := e.check()
	if err != nil {
		return nil, err
	}
	if err := p.findCustomer(ctx, &e); err != nil {
		return nil, err
	}
	var out *Received
	err = pg.InTx(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := delivery.CheckInstallation(ctx, tx); err != nil {
			return err
		}
		// A commit that is answered must not be lost, whatever the database's own setting.
		if _, err := tx.Exec(ctx, `set local synchronous_commit = on`); err != nil {
			return fmt.Errorf("take the event: %w", err)
		}
		if err := p.refuseErased(ctx, tx, e.Customer); err != nil {
			return err
		}
		out, err = p.store(ctx, tx, &e, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// check reads the data, and refuses what can't be an event.
func (e *Event) check() (data map[string]any, err error) {
	switch {
	case !customer.ValidEventName(e.Name):
		return nil, invalidEvent(customer.EventNameHint, "%q can't be the name of an event", e.Name)
	case strings.TrimSpace(e.Customer) == "":
		return nil, invalidEvent("give the customer's key", "the event has no customer")
	case strings.ContainsRune(e.Customer, 0) || !utf8.ValidString(e.Customer):
		return nil, invalidEvent("give the customer's key as your table has it", "no customer can have the key %q", e.Customer)
	case len(e.Data) > MaxEventData:
		return nil, invalidEvent("send what campaigns need, and leave the rest where it is", "the data have %s bytes, and at most %s are taken", thousands(len(e.Data)), thousands(MaxEventData))
	case len(e.Key) > maxEventKey || strings.ContainsFunc(e.Key, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, invalidEvent("such as a UUID, or order-4711-paid", "a key has at most %d characters, of those that ASCII prints", maxEventKey)
	case !e.At.IsZero() && (e.At.UTC().Year() < 1 || e.At.UTC().Year() > latestYear):
		return nil, invalidEvent("such as 2026-11-22T15:04:05+07:00", "the event can't have been in the year %d", e.At.UTC().Year())
	}
	if len(bytes.TrimSpace(e.Data)) == 0 {
		return map[string]any{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(e.Data))
	d.UseNumber()
	if err := d.Decode(&data); err != nil || data == nil {
		return nil, invalidEvent(`such as {"gate": "north", "amount": 75000}`, "the data are not a JSON object%s", because(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalidEvent("send one object", "something follows the JSON object of the data")
	}
	return data, nil
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// findCustomer refuses a customer who is not there, and writes the key as the database does.
func (p *Planner) findCustomer(ctx context.Context, e *Event) error {
	unknown := &EventError{EventUnknownCustomer, fmt.Sprintf("there is no customer %q in %s", e.Customer, p.Schema.Customer.Table), "send the event when the row is committed there"}
	key, ok := p.Schema.CanonicalKey(e.Customer)
	if !ok {
		return unknown
	}
	fetch, err := customer.NewFetch(p.Schema.Customer, nil)
	if err != nil {
		return err
	}
	found, err := fetch.Rows(ctx, p.Pool, []string{key})
	if err != nil {
		return &CompanyError{err}
	}
	if _, ok := found[key]; !ok {
		return unknown
	}
	e.Customer = key
	return nil
}

// refuseErased refuses events about a customer who was erased and whose row is still there, while nobody erases.
func (p *Planner) refuseErased(ctx context.Context, tx pgx.Tx, key string) error {
	if err := customer.ShareErasures(ctx, tx); err != nil {
		return err
	}
	at, err := customer.ErasedAt(ctx, tx, key)
	if err != nil || at.IsZero() {
		return err
	}
	return &EventError{EventErased, fmt.Sprintf("customer %s was erased on %s; nothing is kept of them", key, at.In(p.zone()).Format(time.DateOnly)), ""}
}

// zone is the company's.
func (p *Planner) zone() *time.Location {
	if zone, err := time.LoadLocation(p.Schema.Zone); err == nil {
		return zone
	}
	return time.UTC
}

// store writes the event and what it triggers; or finds what was written for its key before.
func (p *Planner) store(ctx context.Context, tx pgx.Tx, e *Event, data map[string]any) (*Received, error) {
	now := p.Now()
	out := &Received{Event: e.Name, Customer: e.Customer, At: e.At, ReceivedAt: now, Campaigns: []string{}}
	text, digest, err := e.canonical(data)
	if err != nil {
		return nil, err
	}
	if out.At.IsZero() {
		out.At = now
	}
	if e.Key != "" { // mostly, so that repetitions use up no numbers; two at once meet at the index
		before, err := p.repeated(ctx, tx, e, digest)
		if before != nil || err != nil {
			return before, err
		}
	}
	err = tx.QueryRow(ctx, `
		insert into events (name, customer_key, happened_at, data, key, digest, actor, at)
		values ($1, $2, $3, $4::jsonb, nullif($5, ''), $6, $7, $8)
		on conflict (key) where key is not null do nothing
		returning id, happened_at, at`, e.Name, e.Customer, out.At, text, e.Key, digest, e.Actor, now).Scan(&out.ID, &out.At, &out.ReceivedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		if out, err = p.repeated(ctx, tx, e, digest); err == nil && out == nil {
			err = errors.New("the event with the same key was erased at this moment; send it again")
		}
		return out, err
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && (strings.HasPrefix(refused.Code, "22") || refused.Code == "54001") {
		return nil, invalidEvent("", "the data can't be stored: %s", refused.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("take the event: %w", err)
	}
	if out.Campaigns, err = p.listeners(ctx, tx, out.ID, e.Name); err != nil {
		return nil, err
	}
	if out.Warnings, err = p.warnings(ctx, tx, out, data); err != nil {
		return nil, err
	}
	if len(out.Warnings) > 0 {
		if _, err := tx.Exec(ctx, `update events set warnings = $2 where id = $1`, out.ID, out.Warnings); err != nil {
			return nil, fmt.Errorf("take the event: %w", err)
		}
	}
	return out, nil
}

// canonical is the data in one form for all ways of writing them, and the digest of what makes two events the same.
func (e *Event) canonical(data map[string]any) (text string, digest []byte, err error) {
	b, err := json.Marshal(data)
	if err != nil {
		return "", nil, fmt.Errorf("write the event's data: %w", err)
	}
	at := ""
	if !e.At.IsZero() {
		at = e.At.UTC().Format(time.RFC3339Nano)
	}
	h := sha256.New()
	for _, part := range []string{e.Name, e.Customer, at, string(b)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return string(b), h.Sum(nil), nil
}

// repeated is the answer that the event of the same key had; nil where there is none.
func (p *Planner) repeated(ctx context.Context, tx pgx.Tx, e *Event, digest []byte) (*Received, error) {
	out := &Received{Repeated: true, Campaigns: []string{}}
	var before []byte
	err := tx.QueryRow(ctx, `
		select e.id, e.name, e.customer_key, e.happened_at, e.at, e.warnings, e.digest,
		       array(select c.name from triggers t join campaigns c on c.id = t.campaign_id where t.event_id = e.id order by c.name)
		from events e where e.key = $1`, e.Key).
		Scan(&out.ID, &out.Event, &out.Customer, &out.At, &out.ReceivedAt, &out.Warnings, &before, &out.Campaigns)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the event with the same key: %w", err)
	}
	if !bytes.Equal(before, digest) {
		return nil, &EventError{
			EventKeyReused, fmt.Sprintf("event %d came with the same key, and was another: name, customer, at and data must be the same", out.ID),
			"give each event a key of its own",
		}
	}
	return out, nil
}

// EventArgs asks a worker what an event means for a campaign.
type EventArgs struct {
	Event    int64 `json:"event"`
	Campaign int   `json:"campaign"`
}

// Kind names the job.
func (EventArgs) Kind() string { return "event" }

// listeners are the campaigns that the event triggers, each with a job that handles it as soon as the event is committed.
func (p *Planner) listeners(ctx context.Context, tx pgx.Tx, event int64, name string) ([]string, error) {
	rows, _ := tx.Query(ctx, `
		with listening as (
			select c.id, c.name from campaigns c join versions v on v.id = c.version_id join schedules s on s.campaign_id = c.id
			where v.event = $2
		), noted as (
			insert into triggers (event_id, campaign_id) select $1, id from listening
		)
		select id, name from listening order by name`, event, name)
	var id int
	var campaign string
	ids, names := []int{}, []string{}
	_, err := pgx.ForEachRow(rows, []any{&id, &campaign}, func() error {
		ids, names = append(ids, id), append(names, campaign)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the campaigns of event %s: %w", name, err)
	}
	for _, id := range ids {
		err := p.Queue.InsertTx(ctx, tx, EventArgs{Event: event, Campaign: id}, &river.InsertOpts{Queue: delivery.EventQueue, MaxAttempts: 1})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// warnings are what the sender should know although the event was taken.
func (p *Planner) warnings(ctx context.Context, tx pgx.Tx, out *Received, data map[string]any) ([]string, error) {
	var list []string
	declared, known := p.Schema.EventType(out.Event)
	switch {
	case len(out.Campaigns) > 0:
	case known:
		list = append(list, fmt.Sprintf("no campaign is triggered by %s", out.Event))
	default:
		text := fmt.Sprintf("no campaign is triggered by %s, and sapa.yaml does not declare it", out.Event)
		if hint := p.Schema.EventHint(out.Event); strings.HasPrefix(hint, "did you mean") {
			text += "; " + hint
		}
		list = append(list, text)
	}
	if !known {
		return list, nil
	}
	events, err := segment.ReadEvents(ctx, tx, p.Schema.EventEntity(out.Event), p.Schema.Zone, out.ID)
	if err != nil {
		return nil, err
	}
	for _, t := range declared.Data {
		if v, ok := dataAt(data, t.Keys); ok && v != nil && !events[out.ID].Has(t.Keys) {
			list = append(list, fmt.Sprintf("data.%s is no %s, which sapa.yaml says it is, and so it is missing", customer.WrittenPath(t.Keys), customer.JSONWord(t.Kind)))
		}
	}
	return fewWarnings(append(list, undeclared(declared, data)...)), nil
}

// fewWarnings bounds what is kept beside each event of a sender who declares nothing.
func fewWarnings(list []string) []string {
	if len(list) <= maxWarnings {
		return list
	}
	return append(list[:maxWarnings], fmt.Sprintf("and %d more warnings", len(list)-maxWarnings))
}

func dataAt(data map[string]any, keys []string) (any, bool) {
	v, ok := data[keys[0]]
	if len(keys) == 1 || !ok {
		return v, ok
	}
	inner, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	return dataAt(inner, keys[1:])
}

// printed is a name of the data as a terminal may show it.
func printed(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return customer.WrittenPath([]string{name})
}

func undeclared(t customer.EventType, data map[string]any) []string {
	var list []string
	for name := range data {
		if !slices.ContainsFunc(t.Data, func(p customer.JSONPath) bool { return p.Keys[0] == name }) {
			list = append(list, fmt.Sprintf("data.%s is not declared in sapa.yaml, and so no rule can ask about it", printed(name)))
		}
	}
	slices.Sort(list)
	return list
}
