// Package alert is the channel to a person of the company: a notice on the page of a desk (/alerts/DESK on the private
// listener), which updates by itself, and, where sapa.yaml says so, by e-mail or to a webhook besides.
//
// Delivering is a row in the table alerts, and a notification that it is there (pg_notify), in one transaction: once that
// is committed, the desk has it. A message that comes again, as after a crash, is the row that is there already.
package alert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
)

// Notify is the channel of LISTEN on which each change of alerts is told: the schema, a blank, and the desk.
const Notify = "sapa_alerts"

// Desk is where somebody of the company looks at alerts.
type Desk struct {
	Ways []Way // what alerts go to besides the page, in this order; one where repeating does harm comes last
}

// Way is another channel by which a desk hears of an alert.
type Way struct {
	Channel  channels.Channel
	From, To channels.Address
}

// Config is what the channel works with. All of it is required.
type Config struct {
	Pool  *pgxpool.Pool
	Desks map[string]Desk
	Now   func() time.Time // business time
}

// Channel is the desks of a company. It is safe for concurrent use.
type Channel struct{ cfg Config }

var _ channels.Channel = (*Channel)(nil)

// New makes the channel.
func New(cfg Config) *Channel { return &Channel{cfg} }

// Name is "alert".
func (c *Channel) Name() string { return "alert" }

// Account is "desks": there are no accounts.
func (c *Channel) Account() string { return "desks" }

// Open looks whether the database answers. The error is an Unavailable.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) {
	if err := c.cfg.Pool.Ping(ctx); err != nil {
		return nil, channels.Unavailable(fmt.Errorf("can't reach the database: %w", err))
	}
	return &session{channel: c}, nil
}

const deskForm = `^[a-z0-9]+(-[a-z0-9]+)*$`

var deskName = regexp.MustCompile(deskForm)

// checkDesk says what is wrong with a desk's name in a campaign. Which desks there are, sapa.yaml says.
func checkDesk(name string) error {
	if !deskName.MatchString(name) {
		return errors.New("a desk's name has lower-case letters, digits and single -, such as front-desk")
	}
	return nil
}

// The longest title and text, in bytes.
const (
	maxTitle = 300
	maxText  = 10_000
)

// check says what is wrong with a message.
func (c *Channel) check(m *channels.Message) error {
	to, title, text := m.Parts["to"], m.Parts["title"], m.Parts["text"]
	switch _, known := c.cfg.Desks[to]; {
	case !known:
		return fmt.Errorf("sapa.yaml has no desk %q below channels.alert.desks; it has %s", to, strings.Join(slices.Sorted(maps.Keys(c.cfg.Desks)), ", "))
	case strings.TrimSpace(title) == "":
		return errors.New("nothing is left of the title for this customer")
	case len(title) > maxTitle || len(text) > maxText:
		return fmt.Errorf("the title has %d bytes, the text %d; at most %d and %d are possible", len(title), len(text), maxTitle, maxText)
	case !utf8.ValidString(title+text) || strings.ContainsRune(text, 0):
		return errors.New("title or text is not valid UTF-8")
	case strings.ContainsFunc(title, unicode.IsControl):
		return errors.New("the title has a line break or another control character")
	}
	return nil
}

// store writes the alert and tells who looks on. It returns the alert's number.
func (c *Channel) store(ctx context.Context, conn *pgxpool.Conn, m *channels.Message) (id int64, err error) {
	err = conn.QueryRow(ctx, `
		with durable as materialized (
			select set_config('synchronous_commit', 'on', true)
		), made as (
			insert into alerts (message_id, desk, title, text, customer_key, campaign, at)
			select @message, @desk, @title, @text, nullif(@customer, ''), @campaign, @at from durable
			on conflict (message_id) do nothing
			returning id
		), told as materialized (
			select id, pg_notify(@notify, current_schema() || ' ' || @desk::text) from made
		)
		select id from told
		union all
		select id from alerts where message_id = @message
		limit 1`, pgx.NamedArgs{
		"message": m.ID, "desk": m.Parts["to"], "title": m.Parts["title"], "text": m.Parts["text"],
		"customer": m.Customer, "campaign": m.Campaign, "at": c.cfg.Now(), "notify": Notify,
	}).Scan(&id)
	return id, err
}
