package customer

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer/importer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

// ConsentList is a list of what customers said elsewhere, to be imported.
type ConsentList struct {
	Source  *importer.Source
	Channel string // where the list has no column for it; "" for every channel
	Topic   string // where the list has no column for it; "" for every topic
	Topics  []Topic
	Actor   string
	Rejects string // path of the file of rejects; "": the source's name with .rejects.csv
	Now     time.Time
}

// ImportConsents appends to the ledger what a list says, in one transaction and constant memory. What the ledger says
// already is left out, and so is what is older than what the customer has said since; so doing it again adds nothing.
// Grants of topics with opt_in: double are requests. What can't be read, or is about nobody, goes to the file of
// rejects; where that is everything, the error is an ErrNoRecord.
func (s *Schema) ImportConsents(ctx context.Context, db pg.DBTX, l ConsentList) (ListResult, error) {
	r := &consentReader{schema: s, list: l}
	return importList(ctx, db, l.Source, l.Rejects, func([]string) bool { return true }, func(tx pgx.Tx, in *listReader) (ListResult, error) {
		if err := r.columns(in.records.Columns); err != nil {
			return ListResult{}, err
		}
		return r.load(ctx, tx, in)
	})
}

// consentReader turns a list's records into rows of the temporary table listed.
type consentReader struct {
	schema *Schema
	list   ConsentList

	key, channel, topic, granted, at, evidence int // places of columns; -1: there is none
	title                                      string
}

// columns finds the list's columns.
func (r *consentReader) columns(names []string) error {
	find := func(wanted ...string) int {
		return slices.IndexFunc(names, func(n string) bool { return slices.Contains(wanted, strings.ToLower(n)) })
	}
	r.key = find("customer", "customer_key", "customer_id", "key", "id", strings.ToLower(r.schema.Customer.Key))
	r.channel, r.topic = find("channel"), find("topic")
	r.granted = find("granted", "consent", "opt_in", "opted_in", "status")
	r.at, r.evidence = find("at", "time", "date", "said_at"), find("evidence", "note", "source")
	for _, needed := range []struct {
		place int
		name  string
	}{{r.key, "customer"}, {r.granted, "granted"}} {
		if needed.place < 0 {
			return fmt.Errorf("%s: the first line must name the columns, and among them %q; it has %s (known: customer, channel, topic, granted, at, evidence)",
				r.list.Source.Name, needed.name, strings.Join(names, ", "))
		}
	}
	r.title = names[r.key]
	return nil
}

// readGranted reads a customer's decision.
func readGranted(text string) (granted, ok bool) {
	switch strings.ToLower(text) {
	case "granted", "grant", "true", "t", "yes", "y", "1", "ya", "in":
		return true, true
	case "withdrawn", "withdraw", "denied", "false", "f", "no", "n", "0", "tidak", "out":
		return false, true
	}
	return false, false
}

// change reads a record, or says in which column it can't be used and why.
func (r *consentReader) change(rec importer.Record) (c ConsentChange, given bool, column, value, reason string) {
	key, ok := r.schema.CanonicalKey(rec.Values[r.key])
	if !ok {
		return c, false, r.title, rec.Values[r.key], "no customer can have this key"
	}
	c = ConsentChange{CustomerKey: key, Channel: r.value(rec, r.channel, r.list.Channel), Topic: r.value(rec, r.topic, r.list.Topic), At: r.list.Now}
	if c.Channel = strings.ToLower(c.Channel); c.Channel != Every && !slices.Contains(Channels(), c.Channel) {
		return c, false, "channel", c.Channel, "unknown channel; " + diag.DidYouMean(c.Channel, Channels())
	}
	if reason := UnknownTopic(c.Topic, r.list.Topics); reason != "" {
		return c, false, "topic", c.Topic, reason
	}
	if c.Granted, ok = readGranted(rec.Values[r.granted]); !ok {
		return c, false, "granted", rec.Values[r.granted], "neither granted (yes, y, true, t, 1, ya) nor withdrawn (no, n, false, f, 0, tidak)"
	}
	if why := r.schema.Unchoosable(c.Topic, c.Channel); c.Granted && why != "" {
		return c, false, "channel", c.Channel, why
	}
	if r.at >= 0 && rec.Values[r.at] != "" {
		if c.At, reason = readMoment(rec.Values[r.at], r.list.Now); reason != "" {
			return c, false, "at", rec.Values[r.at], reason
		}
		given = true
	}
	c.Evidence = map[string]any{"list": filepath.Base(r.list.Source.Name), "line": rec.Line}
	if r.evidence >= 0 && rec.Values[r.evidence] != "" {
		c.Evidence["note"] = cutWords(rec.Values[r.evidence])
	}
	return c, given, "", "", ""
}

// value is a record's in a column that there may be, or what stands for an empty one.
func (r *consentReader) value(rec importer.Record, place int, otherwise string) string {
	if place >= 0 && rec.Values[place] != "" {
		return rec.Values[place]
	}
	if otherwise != "" {
		return otherwise
	}
	return Every
}

// UnknownTopic says why a topic can't be meant, with what could be; "" where it is Every or one of those that there are.
// Without any there is nothing to compare with, and any name will do.
func UnknownTopic(name string, topics []Topic) string {
	if name == Every || slices.ContainsFunc(topics, func(t Topic) bool { return t.Name == name }) {
		return ""
	}
	if len(topics) == 0 && topicName.MatchString(name) && len(name) <= MaxTopic {
		return ""
	}
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	return "no such topic in sapa.yaml or in any campaign; " + diag.DidYouMean(name, names)
}

// load stages the list, takes out whom nobody knows, and appends what is new.
func (r *consentReader) load(ctx context.Context, tx pgx.Tx, in *listReader) (res ListResult, err error) {
	_, err = tx.Exec(ctx, `create temporary table listed (
		line int, part int, customer_key text collate "C", channel text, topic text, granted boolean, pending boolean,
		at timestamptz, given boolean, evidence jsonb, record text) on commit drop`)
	if err != nil {
		return res, err
	}
	_, err = in.copy(ctx, tx, "listed",
		[]string{"line", "part", "customer_key", "channel", "topic", "granted", "pending", "at", "given", "evidence", "record"},
		func(rec importer.Record) (rows [][]any, column, value, reason string) {
			c, given, column, value, reason := r.change(rec)
			for part, one := range r.schema.split(c) {
				rows = append(rows, []any{
					rec.Line, part, one.CustomerKey, one.Channel, one.Topic, one.Granted, one.Pending, one.At, given, one.Evidence, rec.Raw(),
				})
			}
			return rows, column, value, reason
		})
	if err != nil {
		return res, err
	}
	if err := r.rejectStrangers(ctx, tx, in); err != nil {
		return res, err
	}
	if res, err = r.append(ctx, tx); err != nil {
		return res, err
	}
	return res, access.Record(ctx, tx, access.Entry{Actor: r.list.Actor, Action: "import consent", Subject: "list", Detail: map[string]any{
		"added": res.Added, "already": res.Already, "older": res.Older, "pending": res.Pending, "rejected": in.rejects.Count(),
	}})
}

// rejectStrangers takes out the records of keys that no customer has, and of customers who were erased. The company's table
// is asked once, by key. Who was erased is asked once nobody else can write to the ledger, so that no erasure comes in between.
func (r *consentReader) rejectStrangers(ctx context.Context, tx pgx.Tx, in *listReader) error {
	key := r.schema.KeyColumn()
	listed := "l.customer_key"
	if key.Kind != Text {
		listed += "::" + key.PGType
	}
	if _, err := tx.Exec(ctx, `analyze listed; set local lock_timeout = '`+pg.LockTimeout+`'`); err != nil {
		return err
	}
	unknown := fmt.Sprintf(`not exists (select from %s t where t.%s = %s)`, r.schema.Customer.Table.SQL(), key.SQL(), listed)
	err := r.reject(ctx, tx, in, unknown, "there is no such customer in "+r.schema.Customer.Table.String())
	if err != nil {
		return fmt.Errorf("look for the customers: %w", err)
	}
	if _, err := tx.Exec(ctx, `set local lock_timeout = 0; lock table consents in share row exclusive mode`); err != nil {
		return err
	}
	return r.reject(ctx, tx, in, `exists (select from erasures e where e.customer_key = l.customer_key)`, ErrErased.Error())
}

// reject takes out the records of customers of whom a condition holds.
func (r *consentReader) reject(ctx context.Context, tx pgx.Tx, in *listReader, condition, reason string) error {
	rows, err := tx.Query(ctx, `
		with gone as (delete from listed l where `+condition+` returning line, part, customer_key, record)
		select line, customer_key, record from gone where part = 0 order by line`)
	if err != nil {
		return err
	}
	var line int
	var customer, record string
	_, err = pgx.ForEachRow(rows, []any{&line, &customer, &record}, func() error {
		return in.rejects.Add(importer.NewRecord(line, record), r.title, customer, reason)
	})
	return err
}

// append writes what the ledger does not say yet. Nobody else writes to it meanwhile, so that what is compared stays so.
func (r *consentReader) append(ctx context.Context, tx pgx.Tx) (res ListResult, err error) {
	err = tx.QueryRow(ctx, `
		with last as (
			select distinct on (customer_key, channel, topic) * from listed
			order by customer_key, channel, topic, at desc, line desc, part desc
		), judged as (
			select l.*, w.id is not null and w.id = o.id and case
			         when l.pending then w.granted or (w.pending and not l.given)
			         when l.granted then w.granted
			         else not w.granted and not w.pending end as already,
			       l.given and l.at <= o.at as older
			from last l
			left join lateral (
				select c.id, c.granted, c.pending from consents c
				where c.customer_key = l.customer_key and c.channel in (l.channel, '*') and c.topic in (l.topic, '*')
				  and c.until is null and not c.resumes
				order by c.id desc limit 1) w on true
			left join lateral (
				select max(c.id) as id, max(c.at) as at from consents c
				where c.customer_key = l.customer_key and (c.channel in (l.channel, '*') or l.channel = '*')
				  and (c.topic in (l.topic, '*') or l.topic = '*') and c.until is null and not c.resumes) o on true
		), new as (
			select * from judged where not coalesce(already, false) and not coalesce(older, false)
		), written as (
			insert into consents (customer_key, channel, topic, granted, pending, source, evidence, at)
			select customer_key, channel, topic, granted, pending, @source, evidence, at from new order by at, line, part
		), lines as (
			select l.line, bool_or(n.line is not null) as added, bool_or(n.pending) as pending, bool_or(j.already) as already, bool_or(j.line is not null) as kept
			from listed l
			left join judged j on j.line = l.line and j.part = l.part
			left join new n on n.line = l.line and n.part = l.part
			group by l.line
		)
		select count(*) filter (where added), count(*) filter (where pending and added), count(*) filter (where kept and not added and coalesce(already, false)),
		       count(*) filter (where kept and not added and not coalesce(already, false)), count(*) filter (where not kept)
		from lines`, pgx.NamedArgs{"source": "import by " + r.list.Actor}).
		Scan(&res.Added, &res.Pending, &res.Already, &res.Older, &res.Repeated)
	if err != nil {
		return res, fmt.Errorf("append to the ledger: %w", err)
	}
	return res, nil
}
