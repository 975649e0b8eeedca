-- What analysts read. These views are a promise: columns are added, never renamed or dropped, and sapa report reads the
-- same ones. None of them has an address, an IP or a user agent. docs/reporting.md has the definition of each number.
--
--   grant usage on schema sapa to analyst;
--   grant select on sapa.report_runs, sapa.report_reasons, sapa.report_links, sapa.report_messages, sapa.report_responses,
--     sapa.report_undelivered to analyst;

-- One row per run, from the totals: cheap at any size.
create view report_runs as
select r.id as run_id, c.name as campaign, v.number as version, r.label, r.tick, r.as_of, r.scheduled,
       r.state::text as state, r.reason, r.actor, r.created_at, r.planned_at, r.finished_at,
       t.audience, t.already, t.planned, t.claimed, t.sent, t.failed, t.skipped, t.held_out, t.unknown,
       t.audience = t.already + t.planned + t.claimed + t.sent + t.failed + t.skipped + t.held_out + t.unknown as adds_up,
       t.bounced, x.opened, x.opens, x.clicked, x.clicks, x.unsubscribed,
       x.machine_opened, x.machine_opens, x.machine_clicked, x.machine_clicks,
       case when z.segments is null then x.opened::float8 / nullif(t.sent, 0) end as open_rate,
       x.clicked::float8 / nullif(t.sent, 0) as click_rate,
       x.clicked::float8 / nullif(x.opened, 0) as click_to_open_rate,
       x.unsubscribed::float8 / nullif(t.sent, 0) as unsubscribe_rate,
       t.bounced::float8 / nullif(t.sent + t.bounced, 0) as bounce_rate,
       y.delivered, y.undelivered, y.read, y.replied, z.segments, z.priced, z.cost, z.currency,
       y.delivered::float8 / nullif(t.sent, 0) as delivery_rate,
       y.undelivered::float8 / nullif(t.sent, 0) as undelivered_rate,
       y.replied::float8 / nullif(t.sent, 0) as reply_rate
from runs r
join campaigns c on c.id = r.campaign_id
join versions v on v.id = r.version_id
cross join lateral (
  select coalesce(sum(delta) filter (where t.state = 'audience'), 0)::bigint as audience,
         coalesce(sum(delta) filter (where t.state = 'already'), 0)::bigint as already,
         coalesce(sum(delta) filter (where t.state = 'planned'), 0)::bigint as planned,
         coalesce(sum(delta) filter (where t.state = 'claimed'), 0)::bigint as claimed,
         coalesce(sum(delta) filter (where t.state = 'sent'), 0)::bigint as sent,
         coalesce(sum(delta) filter (where t.state = 'failed'), 0)::bigint as failed,
         coalesce(sum(delta) filter (where t.state = 'skipped'), 0)::bigint as skipped,
         coalesce(sum(delta) filter (where t.state = 'held_out'), 0)::bigint as held_out,
         coalesce(sum(delta) filter (where t.state = 'unknown'), 0)::bigint as unknown,
         coalesce(sum(delta) filter (where t.state = 'failed' and t.reason = 'hard bounce'), 0)::bigint as bounced
  from run_totals t where t.run_id = r.id
) t
cross join lateral (
  select coalesce(sum(uniq) filter (where x.kind = 'open'), 0)::bigint as opened,
         coalesce(sum(total) filter (where x.kind = 'open'), 0)::bigint as opens,
         coalesce(sum(uniq) filter (where x.kind = 'click'), 0)::bigint as clicked,
         coalesce(sum(total) filter (where x.kind = 'click'), 0)::bigint as clicks,
         coalesce(sum(uniq) filter (where x.kind = 'unsubscribe'), 0)::bigint as unsubscribed,
         coalesce(sum(uniq) filter (where x.kind = 'machine_open'), 0)::bigint as machine_opened,
         coalesce(sum(total) filter (where x.kind = 'machine_open'), 0)::bigint as machine_opens,
         coalesce(sum(uniq) filter (where x.kind = 'machine_click'), 0)::bigint as machine_clicked,
         coalesce(sum(total) filter (where x.kind = 'machine_click'), 0)::bigint as machine_clicks,
         coalesce(sum(uniq) filter (where x.kind = 'delivered'), 0)::bigint as delivered,
         coalesce(sum(uniq) filter (where x.kind = 'undelivered'), 0)::bigint as undelivered,
         coalesce(sum(uniq) filter (where x.kind = 'read'), 0)::bigint as read,
         coalesce(sum(uniq) filter (where x.kind = 'reply'), 0)::bigint as replied
  from response_totals x where x.run_id = r.id and x.link = -1
) x
cross join lateral (
  -- Null where nothing of the kind can come back, as from e-mail, or has yet.
  select case when reports then x.delivered end as delivered, case when reports then x.undelivered end as undelivered,
         case when reports then x.read end as read, case when reports or x.replied > 0 then x.replied end as replied
  from (select x.delivered + x.undelivered + x.read > 0 as reports) any_report
) y
cross join lateral (
  select nullif(sum(segments), 0)::bigint as segments, sum(messages) filter (where currency is not null)::bigint as priced,
         case when count(distinct currency) = 1 then sum(price) end as cost,
         case when count(distinct currency) = 1 then min(currency) end as currency
  from run_costs z where z.run_id = r.id
) z;

comment on view report_runs is 'One row per run: its accounting and what came back, from the totals. The same numbers as sapa report.';
comment on column report_runs.tick is 'civil date and time the run stands for';
comment on column report_runs.as_of is 'the moment its rules were asked about';
comment on column report_runs.scheduled is 'started by the campaign''s schedule, not by hand';
comment on column report_runs.state is 'planning, sending, paused, done or cancelled';
comment on column report_runs.reason is 'why it is paused or cancelled, or why it does not move';
comment on column report_runs.audience is 'messages the rule asked for: already + planned + claimed + sent + failed + skipped + held_out + unknown';
comment on column report_runs.already is 'not made again: this occasion had its message in an earlier run';
comment on column report_runs.planned is 'waiting to be sent';
comment on column report_runs.claimed is 'in the hands of a worker at this moment';
comment on column report_runs.sent is 'accepted by the provider';
comment on column report_runs.failed is 'refused for good, or given up; see report_reasons';
comment on column report_runs.skipped is 'deliberately not sent; see report_reasons';
comment on column report_runs.held_out is 'deliberately not messaged, to measure the effect';
comment on column report_runs.unknown is 'handed over without an answer: may have arrived';
comment on column report_runs.adds_up is 'whether audience is the sum of its parts; never false';
comment on column report_runs.bounced is 'those of failed that the server refused because the address is dead; the address is suppressed';
comment on column report_runs.opened is 'messages opened by a person at least once';
comment on column report_runs.opens is 'all loads of the pixel by people';
comment on column report_runs.clicked is 'messages with at least one click of a person';
comment on column report_runs.clicks is 'all clicks of people, on any link';
comment on column report_runs.unsubscribed is 'messages from which somebody unsubscribed';
comment on column report_runs.machine_opened is 'messages opened by a mail-privacy proxy or scanner, whether or not also by a person';
comment on column report_runs.machine_opens is 'all loads of the pixel by machines';
comment on column report_runs.machine_clicked is 'messages whose links a scanner followed, whether or not also a person';
comment on column report_runs.machine_clicks is 'all links followed by scanners';
comment on column report_runs.open_rate is 'opened / sent; null when nothing was sent, and for text messages, which tell nothing of being opened';
comment on column report_runs.click_rate is 'clicked / sent';
comment on column report_runs.click_to_open_rate is 'clicked / opened; may pass 1, since mail programs that load no pictures show no opens';
comment on column report_runs.unsubscribe_rate is 'unsubscribed / sent';
comment on column report_runs.bounce_rate is 'bounced / (sent + bounced)';
comment on column report_runs.delivered is 'messages that arrived on the customer''s device, by the provider''s reports; null where none came, as for e-mail';
comment on column report_runs.undelivered is 'messages that the provider accepted and could not deliver; see report_undelivered';
comment on column report_runs.read is 'messages that the customer has seen, where the provider reports it';
comment on column report_runs.replied is 'messages that were answered; STOP, START and HELP are no answers';
comment on column report_runs.segments is 'how many parts the text messages sent are charged as';
comment on column report_runs.priced is 'messages whose price the provider has told';
comment on column report_runs.cost is 'the sum of these prices; null where they have several currencies';
comment on column report_runs.currency is 'of cost, ISO 4217';
comment on column report_runs.delivery_rate is 'delivered / sent';
comment on column report_runs.undelivered_rate is 'undelivered / sent';
comment on column report_runs.reply_rate is 'replied / sent';

-- Why messages failed or were skipped.
create view report_reasons as
select r.id as run_id, c.name as campaign, t.state, t.reason, sum(t.delta)::bigint as messages
from runs r
join campaigns c on c.id = r.campaign_id
join run_totals t on t.run_id = r.id
where t.state in ('failed', 'skipped')
group by r.id, c.name, t.state, t.reason
having sum(t.delta) <> 0;

comment on view report_reasons is 'Failed and skipped messages of each run by reason.';
comment on column report_reasons.state is 'failed or skipped';
comment on column report_reasons.reason is 'of failed: hard bounce, opted out, refused, gave up, content; of skipped: no address, bad address (of phones with a colon and why), suppressed, no consent, paused, cooldown, too late, gone, erased, cancelled';

-- Each link of the version that a run sent, also those nobody followed.
create view report_links as
select r.id as run_id, c.name as campaign, v.number as version, l.part, l.position, l.url,
       coalesce(x.clicked, 0) as clicked, coalesce(x.clicks, 0) as clicks
from runs r
join campaigns c on c.id = r.campaign_id
join versions v on v.id = r.version_id
join links l on l.version_id = r.version_id
left join lateral (
  select sum(uniq)::bigint as clicked, sum(total)::bigint as clicks
  from response_totals x
  where x.run_id = r.id and x.kind = 'click' and x.part = l.part and x.link = l.position
) x on true;

comment on view report_links is 'One row per run and tracked link, also those that nobody followed.';
comment on column report_links.part is 'where the link stands: html, text or sms';
comment on column report_links.position is 'the link''s place within the part, from 0';
comment on column report_links.url is 'where it leads, without personal values';
comment on column report_links.clicked is 'messages in which a person followed this link';
comment on column report_links.clicks is 'all clicks of people on it';

-- A reply of a mail server may quote the address it refuses.
create function without_addresses(words text) returns text language sql immutable parallel safe as $$
  select regexp_replace(words, '<?[^[:space:]<>@]+@[^[:space:]<>@,;]+>?', '<address>', 'g')
$$;
comment on function without_addresses(text) is 'a server''s words without the mail addresses that they quote';

-- One row per message, for questions that the totals don't answer. Messages are joined by the range of ids that their run
-- owns, so that a condition on run_id or campaign reads only those.
create view report_messages as
select m.id as message_id, r.id as run_id, c.name as campaign, m.customer_key, m.channel, m.state::text as state, m.reason, m.occasions,
       case when m.state = 'sent' then coalesce(a.handed_over, a.at) end as sent_at,
       o.first_at as opened_at, k.first_at as clicked_at, u.first_at as unsubscribed_at,
       p.first_at as machine_opened_at, s.first_at as machine_clicked_at,
       m.attempts, a.code, a.enhanced, without_addresses(a.words) as words,
       d.first_at as delivered_at, n.first_at as undelivered_at, (
         select nullif(e.part, '')::int from responses e
         where (e.message_id, e.kind, e.link) = (m.id, 'undelivered', 0) order by e.first_at, e.part limit 1
       ) as undelivered_code, v.first_at as read_at,
       w.first_at as replied_at, a.segments, a.encoding, a.price, a.currency
from runs r
join campaigns c on c.id = r.campaign_id
join messages m on m.id > r.message_base and m.id <= r.message_base + r.message_count
left join attempts a on a.message_id = m.id and a.number = m.attempts
left join responses o on (o.message_id, o.kind, o.part, o.link) = (m.id, 'open', '', -1)
left join responses k on (k.message_id, k.kind, k.part, k.link) = (m.id, 'click', '', -1)
left join responses u on (u.message_id, u.kind, u.part, u.link) = (m.id, 'unsubscribe', '', -1)
left join responses p on (p.message_id, p.kind, p.part, p.link) = (m.id, 'machine_open', '', -1)
left join responses s on (s.message_id, s.kind, s.part, s.link) = (m.id, 'machine_click', '', -1)
left join responses d on (d.message_id, d.kind, d.part, d.link) = (m.id, 'delivered', '', -1)
left join responses n on (n.message_id, n.kind, n.part, n.link) = (m.id, 'undelivered', '', -1)
left join responses v on (v.message_id, v.kind, v.part, v.link) = (m.id, 'read', '', -1)
left join responses w on (w.message_id, w.kind, w.part, w.link) = (m.id, 'reply', '', -1);

comment on view report_messages is 'One row per message. Join customer_key to the text of your own table''s key. Restrict it by run_id or campaign; over everything it is as large as all messages.';
comment on column report_messages.customer_key is 'the customer''s key, as text';
comment on column report_messages.state is 'planned, claimed, sent, failed, skipped, held_out or unknown';
comment on column report_messages.reason is 'of failed and skipped';
comment on column report_messages.occasions is 'how many occasions (due vehicles, say) the message names';
comment on column report_messages.sent_at is 'when it was handed over; null unless it was accepted';
comment on column report_messages.opened_at is 'first open by a person';
comment on column report_messages.clicked_at is 'first click by a person';
comment on column report_messages.unsubscribed_at is 'first time somebody unsubscribed from it';
comment on column report_messages.machine_opened_at is 'first open by a machine';
comment on column report_messages.machine_clicked_at is 'first link followed by a machine';
comment on column report_messages.attempts is 'how often a server answered';
comment on column report_messages.code is 'the last answer: 250, 550, …';
comment on column report_messages.enhanced is 'the last answer''s status after RFC 3463';
comment on column report_messages.words is 'the last answer in the server''s words, without mail addresses';
comment on column report_messages.delivered_at is 'when the provider reported that it arrived';
comment on column report_messages.undelivered_at is 'when the provider reported that it will not arrive';
comment on column report_messages.undelivered_code is 'why not, by the provider''s error code';
comment on column report_messages.read_at is 'when the provider reported that the customer has seen it';
comment on column report_messages.replied_at is 'first answer of the customer';
comment on column report_messages.segments is 'of a text message: how many parts it is charged as';
comment on column report_messages.encoding is 'of a text message: GSM-7 or UCS-2';
comment on column report_messages.price is 'what the provider charged, once it has said so';
comment on column report_messages.currency is 'of the price, ISO 4217';

-- Every hit, with its verdict, for questions about time, links and machines.
create view report_responses as
select h.id as hit_id, h.at, r.id as run_id, c.name as campaign, h.message_id, m.customer_key, h.kind, h.part, h.link, l.url, h.verdict, h.reason
from runs r
join campaigns c on c.id = r.campaign_id
join hits h on h.message_id > r.message_base and h.message_id <= r.message_base + r.message_count
left join messages m on m.id = h.message_id
left join links l on (l.version_id, l.part, l.position) = (r.version_id, h.part, h.link);

comment on view report_responses is 'One row per request for a pixel, a link or the unsubscribe page, with the verdict on who made it.';
comment on column report_responses.kind is 'open, click, page (the unsubscribe page was shown), unsubscribe or resubscribe';
comment on column report_responses.part is 'of a click: html or text';
comment on column report_responses.link is 'of a click: the link''s place within its part';
comment on column report_responses.url is 'of a click: where it led, without personal values';
comment on column report_responses.verdict is 'human, proxy or scanner; only human ones count as opened and clicked';
comment on column report_responses.reason is 'why it is not human, or a remark';
