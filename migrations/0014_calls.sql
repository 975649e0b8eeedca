-- Calls that people of the company make: the list of channel calls (channels/calls writes it, delivery/calldesk works it), and each
-- time that somebody tried. docs/calls.md has the whole.

create table calls (
  message_id bigint primary key,
  run_id int not null,
  customer_key text not null,
  name text,
  locale text,
  reason text,
  offer text,
  script text,
  due_at timestamptz not null,
  tries smallint not null default 0,
  keeper text,
  claimed_by text,
  claimed_at timestamptz,
  claimed_until timestamptz,
  outcome text,
  done_at timestamptz,
  check ((claimed_by is null) = (claimed_until is null)),
  check (claimed_by is null or done_at is null)
);
create index calls_open on calls (due_at) where done_at is null;
create index calls_run on calls (run_id);
create unique index calls_agent on calls (claimed_by) where claimed_by is not null; -- and an agent has one call at a time
create unique index calls_claimed on calls (customer_key) where claimed_by is not null; -- a customer speaks to one agent at a time

comment on table calls is 'one row for each message of channel calls, as it was composed; only what is planned in table messages is offered to agents';
comment on column calls.due_at is 'from when on it is offered to agents';
comment on column calls.tries is 'how often nobody answered';
comment on column calls.keeper is 'the agent with whom the customer agreed to be called back: until some time after due_at it is offered to nobody else';
comment on column calls.claimed_until is 'until then it is the agent''s';
comment on column calls.outcome is 'what it came to; null while it is open, and where it was skipped';

create table call_tries (
  message_id bigint not null,
  number smallint not null,
  agent text not null,
  at timestamptz not null,
  outcome text not null check (outcome in ('reached', 'interested', 'order', 'call back', 'wrong number', 'no answer', 'do not call')),
  note text,
  call_back_at timestamptz,
  primary key (message_id, number)
);

comment on table call_tries is 'what agents said of each time that they called';

create view report_calls as
select c.message_id, c.run_id, g.name as campaign, c.customer_key, m.state::text as state, m.reason, c.outcome,
       (select count(*) from call_tries t where t.message_id = c.message_id) as tries, l.agent as called_by, l.at as last_at,
       case when c.done_at is null then c.due_at end as due_at
from calls c
join runs r on r.id = c.run_id
join campaigns g on g.id = r.campaign_id
left join messages m on m.id = c.message_id
left join lateral (select t.agent, t.at from call_tries t where t.message_id = c.message_id order by t.number desc limit 1) l on true;

comment on view report_calls is 'One row per call that agents make, or have made. Restrict it by run_id or campaign.';
comment on column report_calls.state is 'of its message: planned while it is open; sent, failed or skipped';
comment on column report_calls.reason is 'of failed and skipped';
comment on column report_calls.outcome is 'reached, interested, order, wrong number, no answer or do not call; null while it is open, and where it was skipped';
comment on column report_calls.tries is 'how often somebody called';
comment on column report_calls.called_by is 'who called last';
comment on column report_calls.last_at is 'when that was';
comment on column report_calls.due_at is 'of an open one: from when on it is offered to agents';

comment on column report_reasons.reason is 'of failed: hard bounce, opted out, refused, gave up, content, wrong number, not reached; of skipped: no address, bad address (of phones with a colon and why), suppressed, no consent, paused, cooldown, cap, too late, gone, no longer eligible, erased, cancelled';
