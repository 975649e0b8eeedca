-- What the company's programs tell of customers, and what each of these events made campaigns do (docs/events.md).
create table events (
  id           bigint generated always as identity primary key,
  name         text not null,
  customer_key text not null,
  happened_at  timestamptz not null,               -- as the one who sent it says
  data         jsonb not null default '{}',        -- an object; personal data
  key          text,                               -- the sender's, by which a repetition is known
  digest       bytea,                              -- of what came with the key
  warnings     text[] not null default '{}',       -- that were answered
  actor        text not null,
  at           timestamptz not null                -- when Sapa took it
);
create unique index events_key on events (key) where key is not null;
create index events_customer on events (customer_key, id);
create index events_at on events (at);

-- One row for each campaign that listened when the event came, written with it.
create table triggers (
  event_id    bigint not null references events on delete cascade,
  campaign_id int not null references campaigns,
  due_at      timestamptz not null default clock_timestamp(), -- when it is tried, and tried again
  tries       int not null default 0,
  trouble     text,                                -- why the last try came to nothing
  outcome     text,                                -- planned, skipped, already, not meant, quarantine, removed, erased
  run_id      int references runs,
  lo          bigint,                              -- its messages; null: none
  hi          bigint,
  handled_at  timestamptz,
  primary key (event_id, campaign_id)
);
create index triggers_due on triggers (due_at) where handled_at is null;
create index triggers_messages on triggers (run_id, lo) where lo is not null;

-- The event that triggers a version; null: none does.
alter table versions add column event text;

-- A run of a triggered campaign has the messages of all events of a business day (docs/adr/0009). While the day lasts it is
-- open: it goes on sending when nothing is left to send.
alter table runs add column event text;
alter table runs add column open boolean not null default false;
create index runs_of_events on runs (campaign_id, tick) where event is not null;
create index runs_of_today on runs (tick) where open;
