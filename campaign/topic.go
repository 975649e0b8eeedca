package campaign

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/templates"
)

// checkTopic compares the campaign's topic with those of sapa.yaml. One that is not listed is no mistake, but customers
// see it under its bare name.
func (k *checker) checkTopic() {
	d, schema := &k.c.Definition, k.c.schema
	if k.c.Confirms() {
		k.checkConfirms()
		return
	}
	name := k.c.Topic()
	if len(schema.Topics) == 0 || name == "" {
		return
	}
	at := "$.campaign"
	if d.Topic != "" {
		at = "$.topic"
	}
	t, listed := schema.Topic(name)
	if !listed {
		k.warn(at, k.topicHint(name), "the topic %s is not among those of sapa.yaml; customers see it as “%s”", name, t.Called(""))
		return
	}
	without := slices.DeleteFunc(slices.Clone(k.c.Channels()), t.On)
	if len(without) == 0 {
		return
	}
	on := "channel " + without[0]
	if len(without) > 1 {
		on = "channels " + andList(without)
	}
	k.warn(at, "in sapa.yaml, add "+strings.Join(without, ", ")+" to the topic's  channels:", "customers can't choose the topic %s on %s", name, on)
}

// warn adds what an author should know about the value at a path although nothing is wrong.
func (k *checker) warn(at, hint, format string, args ...any) {
	k.c.Warnings = append(k.c.Warnings, k.f.Problem(at, hint, format, args...))
}

// topicHint is what a topic that is not listed could have meant.
func (k *checker) topicHint(name string) string {
	var listed []string
	for _, t := range k.c.schema.Topics {
		listed = append(listed, t.Name)
	}
	if len(listed) == 0 {
		return "in sapa.yaml, below topics:, write  " + name + ": {opt_in: double}"
	}
	return diag.DidYouMean(name, listed)
}

// checkConfirms checks a campaign that asks for confirmations.
func (k *checker) checkConfirms() {
	const at = "$.confirms"
	d := &k.c.Definition
	if d.Topic != "" && d.Topic != d.Confirms {
		k.problem("$.topic", "leave the line out", "a campaign that confirms %s belongs to that topic", d.Confirms)
	}
	if k.f.Has("$.audience.each") {
		k.add(k.f.KeyProblem("$.audience.each", "leave the line out", "a campaign that asks for confirmations goes to customers, once for each request"))
	}
	switch t, listed := k.c.schema.Topic(d.Confirms); {
	case !listed:
		k.problem(at, k.topicHint(d.Confirms), "no topic %q in sapa.yaml", d.Confirms)
	case t.OptIn != "double":
		k.problem(at, "in sapa.yaml, give it  opt_in: double", "the topic %s needs no confirmation", d.Confirms)
	case !t.On(k.c.Channel()):
		k.problem(at, "in sapa.yaml, add "+k.c.Channel()+" to its  channels:", "the topic %s is not for channel %s", d.Confirms, k.c.Channel())
	}
}

// needsConfirmURL reports a part of a confirming campaign's content in which customers can't confirm.
func (k *checker) needsConfirmURL(at string, t *templates.Template) {
	if t == nil || !k.c.Confirms() {
		return
	}
	for _, page := range t.Pages() {
		if page == "confirm_url" {
			return
		}
	}
	k.problem(at, "write  {{ confirm_url }}  where the link should stand", "there is no link to confirm the topic %s", k.c.Topic())
}

// selectWanted makes temporary table wanted: whose latest word on the campaign's topic is a request that is still to be
// confirmed, and which.
func (p *Planner) selectWanted(ctx context.Context, tx pgx.Tx, c *Campaign) error {
	_, err := tx.Exec(ctx, `create temporary table wanted (customer_key text collate "C" primary key, request bigint) on commit drop`)
	if err != nil {
		return fmt.Errorf("make temporary tables: %w", err)
	}
	_, err = tx.Exec(ctx, `
		insert into wanted
		select customer_key, id from (
			select distinct on (c.customer_key) c.customer_key, c.id, c.pending
			from consents c
			where c.customer_key in (select a.customer_key from consents a where a.pending and a.topic in (@topic, '*'))
			  and c.channel in (@channel, '*') and c.topic in (@topic, '*') and not c.resumes
			  and (c.until is null or c.until > @now::timestamptz and not exists (
			       select from consents r where r.customer_key = c.customer_key and r.resumes and r.id > c.id))
			order by c.customer_key, c.id desc) latest
		where pending`, pgx.NamedArgs{"channel": c.Channel(), "topic": c.Topic(), "now": p.Now()})
	if err != nil {
		return fmt.Errorf("look for requests to be confirmed: %w", err)
	}
	return nil
}
