package delivery

import (
	"context"
	"fmt"

	"github.com/sapa-crm/sapa/response"
)

// Again looks again at single messages that wait for a person, before a person uses them: as all others are looked at when
// they are filled. All fields are required.
type Again struct {
	Recheck
	URLs *response.URLs
}

// Look says why a message may not be used any more, by the company's tables and the rule, which is asked as of the event that
// triggered it, where one did: "gone", "no consent", "no longer eligible"; "": it may. Where some of its rows of `each` are gone or
// not meant any more, parts is what it says without them, else nil; the reason is "content" where nothing can be said so.
// What Sapa's own tables say of consent and suppression is the caller's to ask.
//
// The error is the version's, or a database's; it concerns the run and not the customer.
func (a *Again) Look(ctx context.Context, id int64) (parts map[string]string, reason string, err error) {
	granted := true
	m := &message{ID: id, Consent: &granted}
	var run int
	var channel string
	err = a.Pool.QueryRow(ctx, `
		select m.run_id, m.channel, m.customer_key,
		       (select array_agg(o.row_key order by o.occasion) from occasions o where o.message_id = m.id and o.row_key is not null)
		from messages m where m.id = $1`, id).Scan(&run, &channel, &m.CustomerKey, &m.RowKeys)
	if err != nil {
		return nil, "", fmt.Errorf("read message %d: %w", id, err)
	}
	f, err := a.filler(ctx, run, channel)
	if err != nil {
		return nil, "", err
	}
	f.engine.URLs, f.engine.books = a.URLs, a.Pool
	return f.again(ctx, m)
}

// again is fill for one message that was filled before.
func (f *filler) again(ctx context.Context, m *message) (parts map[string]string, reason string, err error) {
	one := []*message{m}
	people, rows, err := f.read(ctx, one)
	if err != nil {
		return nil, "", err
	}
	if err := f.findEvents(ctx, one); err != nil {
		return nil, "", err
	}
	still, err := f.stillMeant(ctx, one)
	if err != nil {
		return nil, "", err
	}
	named, reason := f.doubt(m, people, rows, still(m))
	if reason != "" || f.rows == nil || len(named) == len(m.RowKeys) {
		return nil, reason, nil
	}
	full, err := f.compose(m, people[m.CustomerKey], named)
	if err != nil {
		return nil, reasonContent, nil //nolint:nilerr // it is about this customer's values alone
	}
	return full.mail.Parts, "", f.keepShortLinks(ctx, []filled{full})
}
