-- What makes Sapa forget: customers who asked for it, and months that are over.

-- One row per erased customer. What is kept of them (occasions, messages, decisions) is kept under pseudonym, which is
-- never made of the key. While the company's own row is still there, customer_key says that nobody writes to it; once
-- that row is gone only a keyed hash of the key stays, and whoever gets the key later is somebody new.
create table erasures (
  id           int generated always as identity primary key,
  customer_key text collate "C",          -- while the company's row is there; null: released, or gone from the beginning
  key_hash     bytea not null,            -- HMAC-SHA256 of the key, by the oldest signing key
  at           timestamptz not null,
  actor        text not null,
  row_present  boolean not null,          -- the company's row was there
  gone_since   timestamptz,               -- when a look found the row gone that was there before
  released_at  timestamptz,               -- when customer_key was given up
  pseudonym    text collate "C" not null generated always as ('erased:' || id) stored,
  check (customer_key is null or row_present)
);
create unique index erasures_customer on erasures (customer_key) where customer_key is not null;
create unique index erasures_pseudonym on erasures (pseudonym);
create index erasures_hash on erasures (key_hash);

-- Months whose messages were dropped: their runs keep totals and occasions, and can't be counted any more. Hits on their
-- links lead where they should and are not recorded.
create table pruned_months (
  month     int primary key,              -- months since January 2026, as in ids of messages
  at        timestamptz not null default now(),
  actor     text not null,
  messages  bigint not null,              -- how many rows went
  attempts  bigint not null,
  swept     boolean not null default false -- what referred to the messages is deleted, too
);

-- Retention goes through hits by time, which is the order in which they are written.
create index hits_at on hits using brin (at);

-- When what is done once a day was last begun, whichever process did it, and up to when tables were gone through.
create table upkeep (
  name text primary key,
  at   timestamptz not null
);

comment on table erasures is 'customers whom Sapa has forgotten on request';
comment on column erasures.pseudonym is 'the customer_key of what is kept for counting';
