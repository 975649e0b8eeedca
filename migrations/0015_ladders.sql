-- Ladders: a campaign with several channels takes the first that reaches a customer, and goes on to the next when nothing came
-- back. docs/delivery.md has when a rung is planned; docs/adr/0006-ladders.md why it is so.

alter table messages add column step smallint not null default 0;
comment on column messages.step is 'which rung of its ladder it is, as in occasions; 0: the first';

alter table runs add column climb_after interval;
comment on column runs.climb_after is 'how long a sent message waits before the next rung is planned; null: there is no ladder';
alter table runs add column budget numeric;
comment on column runs.budget is 'what its messages may cost together, by the estimates of sapa.yaml; null: not limited';
alter table runs add column currency text;
comment on column runs.currency is 'of budget, ISO 4217';

alter table batches add column climb_at timestamptz;
comment on column batches.climb_at is 'when it is looked at for messages whose next rung is due; infinity: nothing waits; null: there is no ladder';
create index batches_climb on batches (climb_at) where climb_at < 'infinity';
create index batches_climbing on batches (run_id, lo) where climb_at is not null;

-- Whose turn is over. At most one row for each message.
create table rungs (
  message_id bigint primary key,
  next_id    bigint,                      -- the message of the next rung; null: no channel was left
  because    text not null,               -- no response, undelivered, failed: refused, skipped: suppressed, …
  at         timestamptz not null
);
create index rungs_next on rungs (next_id) where next_id is not null;

-- What was planned by each channel, and what that is estimated to cost. What is skipped or fails later stays in it.
create table run_channels (
  run_id   int not null references runs,
  step     smallint not null,
  channel  text not null,
  messages bigint not null,
  cost     numeric,                       -- null: sapa.yaml has none for the channel
  currency text,                          -- of cost, ISO 4217
  primary key (run_id, step, channel)
);

-- The undelivered messages of the last minutes, of which a next rung may be due at once.
create index responses_undelivered on responses (first_at) where kind = 'undelivered' and link = -1;

create or replace view report_runs as
select r.id as run_id, c.name as campaign, v.number as version, r.label, r.tick, r.as_of, r.scheduled,
       r.state::text as state, r.reason, r.actor, r.created_at, r.planned_at, r.finished_at,
       t.audience, t.already, t.planned, t.claimed, t.sent, t.failed, t.skipped, t.held_out, t.unknown,
       t.audience + t.rungs = t.already + t.planned + t.claimed + t.sent + t.failed + t.skipped + t.held_out + t.unknown as adds_up,
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
       y.replied::float8 / nullif(t.sent, 0) as reply_rate,
       t.rungs, k.climbs_at, p.planned_cost, p.planned_currency, r.budget
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
         coalesce(sum(delta) filter (where t.state = 'failed' and t.reason = 'hard bounce'), 0)::bigint as bounced,
         coalesce(sum(delta) filter (where t.state = 'rung'), 0)::bigint as rungs
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
) z
cross join lateral (
  select case when r.climb_after is not null and r.state in ('sending', 'paused', 'done') then (
           select greatest(min(b.climb_at), r.created_at) from batches b where b.run_id = r.id and b.climb_at < 'infinity') end as climbs_at
) k
cross join lateral (
  select sum(c.cost) as planned_cost, coalesce(r.currency, max(c.currency)) as planned_currency
  from run_channels c where c.run_id = r.id
) p;

comment on column report_runs.audience is 'messages the rule asked for; with rungs: already + planned + claimed + sent + failed + skipped + held_out + unknown';
comment on column report_runs.adds_up is 'whether audience and rungs are the sum of the parts; never false';
comment on column report_runs.rungs is 'messages of later rungs of a ladder, which come on top of the audience';
comment on column report_runs.climbs_at is 'of a ladder: when messages are next looked at that may go on to another channel; null: none waits';
comment on column report_runs.planned_cost is 'what the messages planned so far cost by the estimates of sapa.yaml; null where it has none';
comment on column report_runs.planned_currency is 'of planned_cost and budget, ISO 4217';
comment on column report_runs.budget is 'what planned_cost may be at most; null: not limited';

comment on column report_reasons.reason is 'of failed: hard bounce, opted out, refused, gave up, content, wrong number, not reached; of skipped: no address, bad address (of phones with a colon and why), suppressed, no consent, paused, no channel, cooldown, budget, cap, too late, gone, no longer eligible, erased, cancelled';

-- One row per run, rung and channel, counted from the ledger.
create view report_channels as
select r.id as run_id, c.name as campaign, x.step, x.channel, x.messages, x.waiting, x.sent, x.failed, x.skipped, x.unknown,
       y.delivered, y.undelivered, y.opened, y.clicked, y.replied, y.unsubscribed, p.messages as planned, p.cost as planned_cost, p.currency
from runs r
join campaigns c on c.id = r.campaign_id
cross join lateral (
  select m.step, m.channel, count(*) as messages, count(*) filter (where m.state in ('planned', 'claimed')) as waiting,
         count(*) filter (where m.state = 'sent') as sent, count(*) filter (where m.state = 'failed') as failed,
         count(*) filter (where m.state = 'skipped') as skipped, count(*) filter (where m.state = 'unknown') as unknown
  from messages m where m.id > r.message_base and m.id <= r.message_base + r.message_count
  group by m.step, m.channel
) x
cross join lateral (
  select count(*) filter (where a.kind = 'delivered') as delivered, count(*) filter (where a.kind = 'undelivered') as undelivered,
         count(*) filter (where a.kind = 'open') as opened, count(*) filter (where a.kind = 'click') as clicked,
         count(*) filter (where a.kind = 'reply') as replied, count(*) filter (where a.kind = 'unsubscribe') as unsubscribed
  from responses a join messages m on m.id = a.message_id
  where a.message_id > r.message_base and a.message_id <= r.message_base + r.message_count and a.link = -1
    and m.step = x.step and m.channel = x.channel
) y
left join run_channels p on (p.run_id, p.step, p.channel) = (r.id, x.step, x.channel);

comment on view report_channels is 'One row per run, rung and channel. It counts messages: restrict it by run_id.';
comment on column report_channels.step is 'which rung of the ladder: 0 is the first message of each customer';
comment on column report_channels.messages is 'messages by this channel, whatever became of them';
comment on column report_channels.waiting is 'planned and claimed';
comment on column report_channels.sent is 'accepted by the provider';
comment on column report_channels.failed is 'refused for good, or given up';
comment on column report_channels.skipped is 'deliberately not sent';
comment on column report_channels.unknown is 'handed over without an answer: may have arrived';
comment on column report_channels.delivered is 'messages that arrived, by the provider''s reports';
comment on column report_channels.undelivered is 'messages that the provider accepted and could not deliver';
comment on column report_channels.opened is 'messages opened by a person at least once';
comment on column report_channels.clicked is 'messages with at least one click of a person';
comment on column report_channels.replied is 'messages that were answered';
comment on column report_channels.unsubscribed is 'messages from which somebody unsubscribed';
comment on column report_channels.planned is 'messages that were to be sent when they were planned';
comment on column report_channels.planned_cost is 'what these cost by the estimate of sapa.yaml; null where it has none';
comment on column report_channels.currency is 'of planned_cost, ISO 4217';

create or replace view report_messages as
select m.id as message_id, r.id as run_id, c.name as campaign, m.customer_key, m.channel, m.state::text as state, m.reason, m.occasions,
       case when m.state = 'sent' then coalesce(a.handed_over, a.at) end as sent_at,
       o.first_at as opened_at, k.first_at as clicked_at, u.first_at as unsubscribed_at,
       p.first_at as machine_opened_at, s.first_at as machine_clicked_at,
       m.attempts, a.code, a.enhanced, without_addresses(a.words) as words,
       d.first_at as delivered_at, n.first_at as undelivered_at, (
         select nullif(e.part, '')::int from responses e
         where (e.message_id, e.kind, e.link) = (m.id, 'undelivered', 0) order by e.first_at, e.part limit 1
       ) as undelivered_code, v.first_at as read_at,
       w.first_at as replied_at, a.segments, a.encoding, a.price, a.currency,
       m.step, g.message_id as follows, g.because
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
left join responses w on (w.message_id, w.kind, w.part, w.link) = (m.id, 'reply', '', -1)
left join rungs g on m.step > 0 and g.next_id = m.id;

comment on column report_messages.step is 'which rung of a ladder it is; 0: the first';
comment on column report_messages.follows is 'the message of the rung before';
comment on column report_messages.because is 'and why this one follows: no response, undelivered, failed or skipped with its reason';
