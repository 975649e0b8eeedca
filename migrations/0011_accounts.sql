-- How many messages an account has used of what its warm-up allows on each day: days of business, in the company's zone.
-- Amounts are reserved before anything is handed over, and given back when it was not.
create table warm_up_days (
  account text not null,           -- of a provider, as in send_slots
  day     date not null,
  used    bigint not null check (used >= 0),
  primary key (account, day)
);
comment on table warm_up_days is 'messages that accounts with a warm-up have used of each day''s amount; the first day with any is that of the first use';

-- Messages to domains that have a throttle of their own stand in batches of their own, so that these hold up nobody else.
alter table batches add column lane text not null default '';
comment on column batches.lane is 'the throttle of sapa.yaml that all messages of the batch are under, such as gmail.com; empty: none';
create index batches_lane on batches (channel, lane, due_at, id) where not done and lane <> '';
