package campaign

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/segment"
)

// Of a campaign with several channels, table due has what the company's tables say for each: raws and opteds in the order of
// the campaign's channels, and the channel that the customer prefers. Table reach then says of each customer and channel
// whether it reaches them, and why not; table fresh gets the first that does.

// ladderColumns are the additional columns of tables due and fresh.
const ladderColumns = `add column raws text[], add column opteds boolean[], add column preferred text`

// ladderKept is what table fresh keeps of table due besides.
const ladderKept = `, d.region, d.raws, d.opteds, d.preferred`

// ladderPerson is the part of a select over the company's table that says how a customer can be reached.
func (c *Campaign) ladderPerson() (raws, opteds, preferred string) {
	column := func(name string) string { return segment.CustomerAlias + "." + pgx.Identifier{name}.Sanitize() }
	for i, channel := range c.channels {
		separator := ", "
		if i == 0 {
			separator = ""
		}
		optedIn := "null::boolean"
		if name := c.schema.Consent.Columns[channel]; name != "" {
			optedIn = column(name)
		}
		raws += fmt.Sprintf("%sleft(%s::text, %d)", separator, c.By(channel).rawAddressSQL(), customer.MaxRawAddress)
		opteds += separator + optedIn
	}
	preferred = "null::text"
	if c.schema.Preferred != "" {
		preferred = column(c.schema.Preferred) + "::text"
	}
	return "array[" + raws + "]", "array[" + opteds + "]", preferred
}

// ladderSelect is dueSelect for several channels.
func (c *Campaign) ladderSelect(occasion, region, zone, from, where string) string {
	raws, opteds, preferred := c.ladderPerson()
	return fmt.Sprintf(`select %s, %s, %s, %s, %s, %s, %s, %s from %s where %s`,
		c.keySQL(), occasion, c.rowKeySQL("null::text"), region, zone, raws, opteds, preferred, from, where)
}

// ladderDue fills table due from a ladderSelect.
const ladderDue = `(customer_key, occasion, row_key, region, zone, raws, opteds, preferred) `

// fillLadderBooks makes sure that the address book has the addresses of all channels, in the order of their names: two plans
// with the same channels lock them in the same order.
func (c *Campaign) fillLadderBooks(ctx context.Context, tx pgx.Tx, table string) error {
	for _, channel := range slices.Sorted(slices.Values(c.channels)) {
		if addressless(channel) {
			continue
		}
		raw := "raws[" + strconv.Itoa(slices.Index(c.channels, channel)+1) + "]"
		_, err := customer.FillAddressBook(ctx, tx, channel, `select `+raw+`, `+c.By(channel).addressRegion(table)+` from `+table+` where `+raw+` <> ''`)
		if err != nil {
			return err
		}
	}
	return nil
}

// reachSQL judges each channel for each of some people, in the order in which a plan asks: erased, address, suppression, consent. place
// is the customer's order: the preferred channel first, then the campaign's order; tried channels are left out.
// who names the person in table reach: a customer, or the message that another is to follow.
const reachSQL = `
with people as (
	%s
), rungs as (
	select * from unnest(@channels::text[], @regional::boolean[], @addressless::boolean[], @internal::boolean[]) with ordinality k(channel, regional, addressless, internal, n)
), latest as (
	select distinct on (c.customer_key, k.channel) c.customer_key, k.channel, c.granted, c.until is not null as paused
	from consents c join rungs k on c.channel in (k.channel, '*')
	where c.topic in (@topic, '*') and not c.resumes and c.customer_key in (select p.customer_key from people p)
	  and (c.until is null or c.until > @now::timestamptz and not exists (
	       select from consents r where r.customer_key = c.customer_key and r.resumes and r.id > c.id))
	order by c.customer_key, k.channel, c.id desc
)
insert into reach
select p.who, k.channel, row_number() over (partition by p.who order by k.channel is distinct from p.preferred, k.n), a.id, a.domain,
       case
       when p.fault is not null then p.fault
       when k.addressless then w.reason
       when coalesce(p.raws[k.n], '') = '' then 'no address'
       when a.id is null then 'bad address'
       when a.reason is not null then 'bad address' || case when k.regional then ': ' || a.reason else '' end
       when s.hash is not null then 'suppressed'
       else w.reason
       end
from people p
cross join rungs k
left join addresses a on a.channel = k.channel and a.region = case when k.regional then p.region else '' end and a.raw = p.raws[k.n] collate "C"
left join suppressions s on s.channel = k.channel and s.hash = a.hash
left join latest l on l.customer_key = p.customer_key and l.channel = k.channel
cross join lateral (
	select case when not k.internal and not coalesce(case when p.opteds[k.n] is false then false end, l.granted, case when @column_grants::boolean then p.opteds[k.n] end, @granted::boolean)
	            then case when l.paused and p.opteds[k.n] is not false then 'paused' else 'no consent' end end as reason
) w
where k.channel <> all(p.tried)`

// chosenSQL makes a choice of table reach: the first channel that reaches, else the first of all, with the reason that all share.
const chosenSQL = `
select who,
       (array_agg(channel order by reason is not null, place))[1] as channel, (array_agg(address_id order by reason is not null, place))[1] as address_id,
       (array_agg(domain order by reason is not null, place))[1] as domain,
       case when bool_and(reason is not null) then case when count(distinct reason) = 1 then min(reason) else 'no channel' end end as reason
from reach group by who`

// freshPeople are the people of table fresh, for reachSQL.
const freshPeople = `select distinct on (f.customer_key) f.customer_key as who, f.customer_key, f.region, f.raws, f.opteds, lower(btrim(f.preferred)) as preferred, f.fault, '{}'::text[] as tried
	from fresh f order by f.customer_key`

// reachArgs are what reachSQL asks for.
func (c *Campaign) reachArgs(p *Planner) pgx.NamedArgs {
	regional, none, within := make([]bool, len(c.channels)), make([]bool, len(c.channels)), make([]bool, len(c.channels))
	for i, channel := range c.channels {
		regional[i], none[i], within[i] = customer.Regional(channel), addressless(channel), internal(channel)
	}
	return pgx.NamedArgs{
		"channels": c.channels, "regional": regional, "addressless": none, "internal": within, "topic": c.Topic(), "now": p.Now(),
		"granted": c.schema.GrantedByDefault(c.Topic()), "column_grants": c.schema.ColumnGrants(c.Topic()),
	}
}

// fillReach makes table reach of some people.
func (p *Planner) fillReach(ctx context.Context, tx pgx.Tx, c *Campaign, people string) error {
	_, err := tx.Exec(ctx, `
		create temporary table reach (
			who text collate "C", channel text, place int, address_id bigint, domain text, reason text
		) on commit drop`)
	if err == nil {
		_, err = tx.Exec(ctx, fmt.Sprintf(reachSQL, people), c.reachArgs(p))
	}
	if err != nil {
		return fmt.Errorf("find out which channels reach whom: %w", err)
	}
	return nil
}

// chooseChannels gives each customer of table fresh a channel.
func (p *Planner) chooseChannels(ctx context.Context, tx pgx.Tx, c *Campaign) error {
	if err := p.fillReach(ctx, tx, c, freshPeople); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		update fresh f set channel = c.channel, address_id = c.address_id, domain = c.domain, fault = c.reason
		from (`+chosenSQL+`) c
		where c.who = f.customer_key`)
	if err != nil {
		return fmt.Errorf("choose the channels: %w", err)
	}
	return analyze(ctx, tx, "fresh")
}
