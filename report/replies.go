package report

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Reply is a message of a customer. It has no address; its text is the customer's own and may name anybody.
type Reply struct {
	ID          int64      `json:"id"`
	At          time.Time  `json:"at"`
	Channel     string     `json:"channel"`
	Kind        string     `json:"kind"` // reply; stop, start and help where all are asked for
	CustomerKey *string    `json:"customer_key"`
	Campaign    *string    `json:"campaign"` // of the last message to the customer
	Run         *int       `json:"run"`
	MessageID   *int64     `json:"message_id,string"`
	Text        *string    `json:"text"` // null: blanked
	Media       int        `json:"media"`
	Answer      *string    `json:"answer"` // what they were told
	SeenAt      *time.Time `json:"seen_at"`
}

// ReplyFilter chooses messages of customers; the zero value chooses replies that nobody has read.
type ReplyFilter struct {
	All      bool   // also those that were read, and STOP, START and HELP
	Campaign string // only answers to this campaign
	Limit    int    // at most so many, the latest; 0: all
}

// Replies lists messages of customers in the order in which they came.
func Replies(ctx context.Context, db pg.DBTX, f ReplyFilter) ([]Reply, error) {
	rows, _ := db.Query(ctx, `
		select * from (
			select i.id, i.at, i.channel, i.kind, i.customer_key, c.name as campaign, r.id as run, i.message_id, i.body as text,
			       i.media::int as media, i.answer, i.seen_at
			from inbound i
			left join runs r on r.message_base < i.message_id and i.message_id <= r.message_base + r.message_count
			left join campaigns c on c.id = r.campaign_id
			where (@all::boolean or i.kind = 'reply' and i.seen_at is null) and (@campaign = '' or c.name = @campaign)
			order by i.id desc
			limit nullif(@limit, 0)
		) latest order by id`, pgx.NamedArgs{"all": f.All, "campaign": f.Campaign, "limit": f.Limit})
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Reply])
	if err != nil {
		return nil, fmt.Errorf("list messages of customers: %w", err)
	}
	return list, nil
}

// WriteRepliesCSV writes one line per message (RFC 4180), with a head.
func WriteRepliesCSV(w io.Writer, list []Reply) error {
	c := csv.NewWriter(w)
	if err := c.Write([]string{"id", "at", "channel", "kind", "customer_key", "campaign", "run", "text", "media", "answer", "seen_at"}); err != nil {
		return fmt.Errorf("write messages of customers: %w", err)
	}
	for _, r := range list {
		run := ""
		if r.Run != nil {
			run = strconv.Itoa(*r.Run)
		}
		err := c.Write([]string{
			strconv.FormatInt(r.ID, 10), timeText(&r.At), r.Channel, r.Kind, value(r.CustomerKey), value(r.Campaign), run,
			harmless(value(r.Text)), strconv.Itoa(r.Media), harmless(value(r.Answer)), timeText(r.SeenAt),
		})
		if err != nil {
			return fmt.Errorf("write messages of customers: %w", err)
		}
	}
	c.Flush()
	return c.Error()
}

// harmless keeps a spreadsheet from taking a stranger's text for a formula.
func harmless(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@' || text[0] == '\t' || text[0] == '\r') {
		return "'" + text
	}
	return text
}
