-- Limits on when and how often a customer is written to: quiet hours, frequency caps across campaigns, spreading, priority.

-- Quiet hours are asked again at the claim, in the customer's zone.
alter table messages add column zone text;
comment on column messages.zone is 'the customer''s time zone, where quiet hours apply and it is not the company''s';

alter table batches add column priority smallint not null default 3;
comment on column batches.priority is 'of the jobs that wake a worker for it, by the campaign''s priority: 1 goes first, 4 last';

alter table runs add column priority smallint not null default 0;
comment on column runs.priority is 'of the campaign: who gets the last place under a cap';
alter table runs add column cap_most int[];
comment on column runs.cap_most is 'the caps that its messages are under, how many each; null: none';
alter table runs add column cap_within interval[];
comment on column runs.cap_within is 'and within how long';
alter table runs add column cap_exempt boolean not null default false;
comment on column runs.cap_exempt is 'its messages count for nobody''s cap';

-- The messages of each customer that count for caps, so that the claim finds them. It is filled only where there are caps. A
-- hash stands for the customer's key; the message says whose it really is, and by its state whether and from when it counts.
create table contacts (
  customer   bigint not null,            -- hashtextextended(customer_key, 0)
  message_id bigint not null,
  primary key (customer, message_id)
);

-- Runs whose messages stand in contacts. Others would count, too, and nobody has needed them yet, or are exempt.
create table contact_runs (run_id int primary key);

-- What a claim locks before it counts a customer's messages: one row for each, made when it is first needed.
create table contact_locks (
  customer bigint primary key            -- as in contacts
);

-- The end of the quiet hours in which a moment lies in a zone; the moment itself where it lies in none. Where clocks are
-- put forward over the end, it is as much later; where they are put back over it, it is the second one.
create function quiet_until(at timestamptz, zone text, starts time, ends time) returns timestamptz
language sql immutable parallel safe as $$
  select case
    when starts > ends and (at at time zone zone)::time >= starts then ((at at time zone zone)::date + 1 + ends) at time zone zone
    when (starts > ends or (at at time zone zone)::time >= starts) and (at at time zone zone)::time < ends
      then ((at at time zone zone)::date + ends) at time zone zone
    else at end
$$;

-- Which of some planned messages would take their customer beyond a cap at a moment, and when each may go. It locks the
-- customers first, in order, until the transaction ends, and then looks with fresh eyes, so that of several claims the second
-- sees what the first has taken.
--
-- A message passes when, with it and those before it in the list, each of its own caps (mosts, withins) holds now, and when
-- it leaves their places to planned messages of higher priority: at the moment of each of these the caps of its run hold, too.
-- One for which there is no place even without this message needs none. The clocks of others, who claimed while this one
-- waited, may be ahead.
create function capped(ids bigint[], keys text[], above int, mosts int[], withins interval[], moment timestamptz)
returns table (message bigint, free_at timestamptz)
language plpgsql set enable_seqscan = off as $$
declare
  locks bigint[] := array(select distinct hashtextextended(k, 0) from unnest(keys) k order by 1);
begin
  insert into contact_locks select l from unnest(locks) l order by l on conflict do nothing;
  perform from contact_locks c where c.customer = any(locks) order by c.customer for no key update;
  return query
  with mine as materialized (
    select u.id, u.key, row_number() over (partition by u.key order by u.id) as rank from unnest(ids, keys) u(id, key)
  ), known as materialized ( -- by customer: what they had, and what of higher priority is planned for them
    select k.key, array_agg(m.at) filter (where not m.ahead) as used,
           array_agg(m.at order by m.at, m.run_id) filter (where m.ahead) as ahead, array_agg(m.run_id order by m.at, m.run_id) filter (where m.ahead) as runs
    from (select distinct key from mine) k
    cross join lateral (
      select c.message_id from contacts c where c.customer = hashtextextended(k.key, 0) order by c.message_id desc limit 1000) c
    cross join lateral (
      select x.run_id, x.state = 'planned' as ahead,
             case when x.state = 'planned' then greatest(x.not_before, moment) else least(coalesce(x.claimed_at, x.not_before), moment) end as at
      from messages x
      where x.id = c.message_id and x.customer_key = k.key
        and (x.state in ('claimed', 'sent', 'unknown') or x.state = 'planned' and (x.not_after is null or x.not_after > moment))
      limit 1) m
    where not m.ahead or (select r.priority from runs r where r.id = m.run_id) > above
    group by k.key
  ), people as materialized (
    select q.id, q.rank, k.used, k.ahead, k.runs from mine q left join known k on k.key = q.key
  ), caps as (
    select p.id, p.rank, p.used, p.ahead, c.most, c.within, moment as at, false as later
    from people p cross join unnest(mosts, withins) c(most, within)
    union all
    select p.id, p.rank, p.used, p.ahead, c.most, c.within, h.at, true
    from people p
    cross join lateral unnest(p.ahead, p.runs) h(at, run_id)
    cross join lateral (select r.cap_most, r.cap_within from runs r where r.id = h.run_id limit 1) r
    cross join lateral unnest(r.cap_most, r.cap_within) c(most, within)
    where h.at - c.within < moment
  ), passed as (
    select c.id, c.rank, c.most, c.within, c.used, c.ahead
    from caps c
    cross join lateral (select count(*) as n from unnest(c.used) u(at) where u.at > c.at - c.within) had
    cross join lateral (select count(*) as n from unnest(c.ahead) u(at) where c.later and u.at > c.at - c.within and u.at <= c.at) next
    where had.n + next.n + c.rank > c.most and (had.n < c.most or not c.later)
  )
  select p.id, max(coalesce(
      (select k.at from unnest(p.used || p.ahead) k(at) where k.at > moment - p.within and p.rank <= p.most
       order by k.at desc offset greatest(p.most - p.rank, 0) limit 1), moment) + p.within)
  from passed p group by p.id;
end $$;

comment on column report_reasons.reason is 'of failed: hard bounce, opted out, refused, gave up, content; of skipped: no address, bad address (of phones with a colon and why), suppressed, no consent, paused, cooldown, cap, too late, gone, no longer eligible, erased, cancelled';
