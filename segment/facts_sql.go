package segment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sapa-crm/sapa/customer"
)

// The SQL of facts. Sapa's own tables are written unqualified: the pool's search_path leads to them. Whatever has been
// sent is found by the runs of a campaign, each of which owns a range of message ids, and joined to the customers as a
// set: PostgreSQL hashes whoever satisfies the fact, and never asks customer by customer.

// fact is true or false, never missing.
func (e *emitter) fact(n *fact, want bool) string {
	switch n.Name {
	case "subscribed":
		return e.subscribed(n, want)
	case "has_channel":
		return e.hasChannel(n, want)
	case "received":
		return existence(want) + e.received(n)
	}
	return existence(want) + e.responded(n)
}

// customerKey is the customer's key as Sapa's tables have it.
func (e *emitter) customerKey(n *fact) string {
	return e.field(path{from: n.of}, quote(n.of.entity.Key)) + `::text collate "C"`
}

// since is the moment from which on something counts.
func (e *emitter) since(n *fact) string {
	t := n.within.before(e.clock)
	return e.bind(pgtype.Timestamptz{Time: t, Valid: true}, "timestamptz")
}

// before is the moment a period back from now().
func (p period) before(clock Clock) time.Time {
	return addInstant(clock.Now.Truncate(time.Microsecond), p.negated(), clock.Zone).UTC()
}

// runs are those of the campaign, joined to whatever has the id of a message of theirs.
func (e *emitter) runs(n *fact, table, id string) (from, where string) {
	from = fmt.Sprintf("runs run join %s on %s > run.message_base and %s <= run.message_base + run.message_count", table, id, id)
	if e.mutate == mutateOtherCampaign {
		return from, "true"
	}
	return from, "run.campaign_id = (select campaign.id from campaigns campaign where campaign.name = " + e.bind(n.Of, "text") + ")"
}

// received are the messages of a campaign that were handed over, whatever became of them then. When, is what reports say
// of it. What a run that is over handed over, it handed over before its end.
func (e *emitter) received(n *fact) string {
	from, where := e.runs(n, "messages message", "message.id")
	conditions := []string{where, "message.state in ('sent', 'unknown')"}
	if n.within != (period{}) {
		since := e.since(n)
		from += " left join attempts attempt on attempt.message_id = message.id and attempt.number = message.attempts"
		conditions = append(conditions,
			fmt.Sprintf("(run.finished_at is null or run.finished_at >= %s)", since),
			"coalesce(attempt.handed_over, attempt.at, message.claimed_at)"+e.after()+since)
	}
	conditions = append(conditions, "message.customer_key = "+e.customerKey(n))
	return "(select from " + from + " where " + strings.Join(conditions, " and ") + ")"
}

func (e *emitter) after() string {
	if e.mutate == mutateWithin {
		return " <= "
	}
	return " >= "
}

// responseKind is what table responses calls an answer to a message.
func responseKind(function string) string {
	return map[string]string{"opened": "open", "clicked": "click", "replied": "reply", "converted": "conversion"}[function]
}

// responded are the messages of a campaign that were answered, by the first answer of the kind that counts: responses
// have those of people only.
func (e *emitter) responded(n *fact) string {
	from, where := e.runs(n, "responses response", "response.message_id")
	from += " join messages message on message.id = response.message_id"
	conditions := []string{where, "response.kind = " + e.bind(responseKind(n.Name), "text"), "response.part = ''", "response.link = -1"}
	if n.within != (period{}) {
		conditions = append(conditions, "response.first_at"+e.after()+e.since(n))
	}
	conditions = append(conditions, "message.customer_key = "+e.customerKey(n))
	return "(select from " + from + " where " + strings.Join(conditions, " and ") + ")"
}

// erased customers get nothing, whatever the company's row says.
func (e *emitter) erased(n *fact, want bool) string {
	return existence(want) + "(select from erasures erased where erased.customer_key = " + e.customerKey(n) + ")"
}

// hasChannel asks the address book, which FillFacts has filled for every customer.
func (e *emitter) hasChannel(n *fact, want bool) string {
	schema := e.rule.scope.Schema
	alias, ok := e.alias(path{from: n.of})
	raw, mapped := schema.AddressSQL(alias, n.Of)
	if !ok || !mapped {
		return e.fail("segment: no address of %q", n.Of)
	}
	channel := e.bind(n.Of, "text")
	region := "''"
	if customer.Regional(n.Of) {
		region = schema.RegionSQL(alias, e.bind(schema.DefaultRegion(), "text"))
	}
	suppressed := fmt.Sprintf(
		" and not exists (select from suppressions suppressed where suppressed.channel = %s and suppressed.hash = address.hash)", channel)
	if e.mutate == mutateSuppressed {
		suppressed = ""
	}
	usable := fmt.Sprintf(`(select from addresses address where address.channel = %s and address.normalised is not null%s`+
		` and address.region = %s and address.raw = %s collate "C")`, channel, suppressed, region, raw)
	if want {
		return "(exists " + usable + " and " + e.erased(n, false) + ")"
	}
	return "(not exists " + usable + " or " + e.erased(n, true) + ")"
}

// subscribed is consent to a topic as plans and claims judge it, on a channel or on any that has addresses and on which
// the topic can be chosen.
func (e *emitter) subscribed(n *fact, want bool) string {
	channels := []string{n.Channel}
	if n.Channel == "" {
		channels = subscribable(e.rule.scope.Schema, n.Of)
	}
	var parts []string
	for _, channel := range channels {
		parts = append(parts, e.consents(n, channel))
	}
	granted := strings.Join(parts, " or ")
	if len(parts) > 1 {
		granted = "(" + granted + ")"
	}
	switch {
	case len(parts) == 0:
		return fmt.Sprint(!want)
	case want:
		return "(" + granted + " and " + e.erased(n, false) + ")"
	}
	return "((" + granted + ") is not true or " + e.erased(n, true) + ")"
}

// subscribable are the channels on which a topic can reach somebody.
func subscribable(s *customer.Schema, topic string) []string {
	t, _ := s.Topic(topic)
	return slices.DeleteFunc(customer.Reachable(), func(channel string) bool {
		_, mapped := s.Address(channel)
		return !mapped || !t.On(channel)
	})
}

// consents: a column that says no wins over everything; then the ledger's latest word; then, but of a topic with
// opt_in: double, a column that says yes; then the default.
func (e *emitter) consents(n *fact, channel string) string {
	schema := e.rule.scope.Schema
	byDefault := schema.GrantedByDefault(n.Of)
	wanted := "word.granted and "
	if byDefault {
		wanted = "not word.granted and "
	}
	text := existence(!byDefault) + e.word(n, channel, wanted)
	column := schema.Consent.Columns[channel]
	if column == "" {
		return text
	}
	opted := e.field(path{from: n.of}, quote(column))
	if !byDefault && schema.ColumnGrants(n.Of) {
		text = "(" + text + " or " + opted + " and not exists " + e.word(n, channel, "") + ")"
	}
	return "(" + opted + " is not false and " + text + ")"
}

// word is the customer's latest entry in the consent ledger that covers topic and channel and whose time is not over,
// where it is as wanted.
func (e *emitter) word(n *fact, channel, wanted string) string {
	ch, topic := e.bind(channel, "text"), e.bind(n.Of, "text")
	now := e.bind(pgtype.Timestamptz{Time: e.clock.Now.Truncate(time.Microsecond), Valid: true}, "timestamptz")
	return fmt.Sprintf(`(select from (select distinct on (said.customer_key) said.customer_key, said.granted from consents said`+
		` where said.channel in (%s, '*') and said.topic in (%s, '*') and not said.resumes and (said.until is null or said.until > %s`+
		` and not exists (select from consents later where later.customer_key = said.customer_key and later.resumes and later.id > said.id))`+
		` order by said.customer_key, said.id desc) word where %sword.customer_key = %s)`, ch, topic, now, wanted, e.customerKey(n))
}
