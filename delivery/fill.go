package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/segment"
)

// filler makes messages of a batch's claims: it reads what the templates print and renders them.
type filler struct {
	engine    *Engine
	lease     *lease
	content   *Content
	composer  *Composer
	account   Account
	customers *customer.Fetch
	rows      *customer.Fetch // of `each`; nil when there is none
	consent   string          // the company's opt-in column for the channel; "" when there is none
}

func newFiller(e *Engine, l *lease, c *Content) (*filler, error) {
	composer, err := NewComposer(e.Schema, c, l.channel, l.tick)
	if err != nil {
		return nil, err
	}
	f := &filler{engine: e, lease: l, content: c, composer: composer, account: e.Accounts[l.channel]}
	f.consent = e.Schema.Consent.Columns[l.channel]
	paths := composer.customerPaths
	if f.consent != "" {
		paths = append(slices.Clone(paths), []string{f.consent})
	}
	if f.customers, err = customer.NewFetch(e.Schema.Customer, paths); err != nil {
		return nil, err
	}
	if c.Each != nil {
		f.rows, err = customer.NewRowFetch(e.Schema, c.Each, composer.rowPaths)
	}
	return f, err
}

// fill returns the messages that can be handed over and the outcomes of those that can't. The error is the company's
// database's and concerns the whole claim.
func (f *filler) fill(ctx context.Context, claimed []*message) (ready []filled, refused []outcome, err error) {
	people, rows, err := f.read(ctx, claimed)
	if err != nil {
		return nil, nil, err
	}
	if err := f.findEvents(ctx, claimed); err != nil {
		return nil, nil, err
	}
	stillOf, err := f.stillMeant(ctx, claimed)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range claimed {
		meant, reason := f.doubt(m, people, rows, stillOf(m))
		if reason != "" {
			refused = append(refused, outcome{message: m, state: "skipped", reason: reason, at: f.engine.Now()})
			continue
		}
		full, err := f.compose(m, people[m.CustomerKey], meant)
		if err != nil {
			refused = append(refused, unfit(m, err, f.engine.Now()))
			continue
		}
		ready = append(ready, full)
	}
	return ready, refused, nil
}

// doubt says why a message may not be sent, by the company's tables and the rule; "": it may, and names these rows.
func (f *filler) doubt(m *message, people, rows map[string]map[string]any, still meant) (named []any, reason string) {
	person, ok := people[m.CustomerKey]
	its, named := pick(rows, m, nil), pick(rows, m, still)
	switch {
	case !ok || (f.rows != nil && len(its) == 0) || f.content.Event != nil && m.event == nil:
		return nil, reasonGone
	case f.rows == nil && !still.means(m.CustomerKey, "") || f.rows != nil && len(named) == 0:
		return nil, reasonChanged
	case !f.consents(m, person):
		return nil, reasonNoConsent
	}
	return named, ""
}

// filled is a claimed message with what is handed over for it.
type filled struct {
	*message
	mail  *channels.Message
	short []response.ShortLink // of its text, not kept yet
}

func unfit(m *message, err error, at time.Time) outcome {
	return outcome{
		message: m, state: "failed", reason: reasonContent, verdict: "content", at: at,
		receipt: channels.Receipt{Words: cut(err.Error(), channels.MaxWords)},
	}
}

func (f *filler) read(ctx context.Context, claimed []*message) (people, rows map[string]map[string]any, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	keys, rowKeys := make([]string, len(claimed)), []string{}
	for i, m := range claimed {
		keys[i] = m.CustomerKey
		rowKeys = append(rowKeys, m.RowKeys...)
	}
	if people, err = f.customers.Rows(ctx, f.engine.Pool, keys); err != nil || f.rows == nil {
		return people, nil, err
	}
	rows, err = f.rows.Rows(ctx, f.engine.Pool, rowKeys)
	return people, rows, err
}

// ruleHolds is how long after a run's moment its rule is taken to mean the same people; after that it is asked again.
const ruleHolds = 10 * time.Minute

// meant is who a rule means now; nil when it was not asked.
type meant map[segment.Key]bool

func (s meant) means(customerKey, rowKey string) bool {
	return s == nil || s[segment.Key{Customer: customerKey, Each: rowKey}]
}

// stillMeant asks the run's rule again, when it was asked long ago: the oil may have been changed since.
func (f *filler) stillMeant(ctx context.Context, claimed []*message) (func(*message) meant, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if f.content.Event != nil {
		return f.stillMeantByEvents(ctx, claimed)
	}
	if f.engine.Now().Sub(f.lease.asOf) <= ruleHolds {
		return func(*message) meant { return nil }, nil
	}
	customers := make([]string, len(claimed))
	for i, m := range claimed {
		customers[i] = m.CustomerKey
	}
	keys, err := f.engine.Library.Still(ctx, f.lease.run, customers)
	if err != nil {
		return nil, err
	}
	still := newMeant(keys)
	return func(*message) meant { return still }, nil
}

// pick chooses the rows that are still there and still the customer's, and that the rule means.
func pick(rows map[string]map[string]any, m *message, still meant) []any {
	var found []any
	for _, k := range m.RowKeys {
		if row, ok := rows[customer.OwnedKey(k, m.CustomerKey)]; ok && still.means(m.CustomerKey, k) {
			found = append(found, row)
		}
	}
	return found
}

// consents asks the company's own column, which may have changed since the run was planned, in planning's order: a
// column that says no, the ledger's word, a column that says yes (not of a topic with opt_in: double), the default.
func (f *filler) consents(m *message, person map[string]any) bool {
	granted, known := person[f.consent].(bool)
	switch {
	case f.account.Internal:
		return true
	case known && !granted:
		return false
	case m.Consent != nil:
		return *m.Consent
	}
	topic := f.content.Topic
	return known && f.engine.Schema.ColumnGrants(topic) || f.engine.Schema.GrantedByDefault(topic)
}

func (f *filler) compose(m *message, person map[string]any, rows []any) (filled, error) {
	who := Person{Customer: person, Rows: rows, Event: m.event}
	if f.lease.channel != "email" {
		return f.composeShort(m, who)
	}
	mail, err := f.composer.Compose(who, trackedURLs{f.engine.URLs, m.ID})
	if err != nil {
		return filled{}, err
	}
	f.address(m, mail)
	if mail.ReplyTo == "" {
		mail.ReplyTo = f.account.ReplyTo
	}
	return filled{message: m, mail: mail}, nil
}

// address fills in what a message has of its account and of the ledger.
func (f *filler) address(m *message, mail *channels.Message) {
	mail.ID, mail.Token = m.ID, f.engine.URLs.MessageToken(m.ID)
	mail.From, mail.To.Addr, mail.Customer = f.account.From, m.Address, m.CustomerKey
	mail.Date = f.engine.Now()
}
