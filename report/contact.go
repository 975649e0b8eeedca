package report

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Contact is something that passed between the company and a customer: a message, a call, an answer.
type Contact struct {
	At       time.Time `json:"at"`
	Channel  string    `json:"channel"`
	Campaign *string   `json:"campaign"`
	What     string    `json:"what"` // sent; sent, opened, clicked; failed: hard bounce; called: no answer; wrote
	Who      *string   `json:"who"`  // of a call: the agent
	Words    *string   `json:"words"`
}

// History is what passed between the company and a customer, the latest first, at most so many. Messages that are still to go
// are not in it. The texts of messages that were sent are not kept; what customers wrote and agents noted is.
func History(ctx context.Context, db pg.DBTX, customerKey string, most int) ([]Contact, error) {
	rows, _ := db.Query(ctx, `
		with had as (
			select distinct o.message_id as id, g.name as campaign
			from campaigns g join occasions o on o.campaign_id = g.id and o.customer_key = $1
		), mine as materialized (
			select m.id, m.channel, m.state, m.reason, coalesce(m.claimed_at, m.not_before) as at, h.campaign
			from had h join messages m on m.id = h.id where m.customer_key = $1
		), passed as (
			select m.at, m.channel, m.campaign,
			       concat_ws(', ', case when m.state = 'failed' then concat_ws(': ', 'failed', m.reason) else m.state::text end,
			                 (select string_agg(distinct case p.kind when 'open' then 'opened' when 'click' then 'clicked' when 'reply' then 'answered'
			                                             when 'unsubscribe' then 'unsubscribed' else p.kind end, ', ')
			                  from responses p where p.message_id = m.id and p.kind in ('open', 'click', 'reply', 'unsubscribe', 'delivered', 'undelivered', 'read') and p.link = -1)) as what,
			       null::text as who, null::text as words
			from mine m
			where m.state in ('sent', 'failed', 'unknown') and m.channel <> 'calls'
			union all
			select t.at, 'calls', m.campaign, 'called: ' || t.outcome, t.agent, t.note
			from mine m join call_tries t on t.message_id = m.id
			union all
			select i.at, i.channel, (select m.campaign from mine m where m.id = i.message_id), 'wrote', null, i.body
			from inbound i where i.customer_key = $1
		)
		select at, channel, campaign, what, who, words from passed order by at desc limit $2`, customerKey, most)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Contact])
	if err != nil {
		return nil, fmt.Errorf("read the history of a customer: %w", err)
	}
	return list, nil
}
