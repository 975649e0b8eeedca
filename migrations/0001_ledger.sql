-- Sapa's own tables, first version: who was meant to get what (occasions), what was made for them (messages), what
-- happened when it was handed over (attempts), and what came back (hits, responses).
--
-- Names are unqualified: migrations run with search_path set to Sapa's schema alone. The company's tables are never
-- referenced here; a customer is known by the text of their key.

-- One row: which database this schema was made in. A mismatch means that a dump was restored elsewhere.
create table installation (
  one               boolean primary key default true check (one),
  system_identifier text not null,
  database_name     text not null,
  created_at        timestamptz not null default now()
);
insert into installation (system_identifier, database_name)
select system_identifier::text, current_database() from pg_control_system();

-- Keys that sign tokens and hash addresses. Never deleted: a link in a mail of last year still works.
-- Two version 4 UUIDs are 244 bits from the server's strong random source.
create table signing_keys (
  id         smallint generated always as identity primary key,
  secret     bytea not null check (length(secret) >= 32),
  created_at timestamptz not null default now()
);
insert into signing_keys (secret) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

create table audit_log (
  id      bigint generated always as identity primary key,
  at      timestamptz not null default now(),
  actor   text not null,                 -- who: an account of the operating system or a Sapa user
  action  text not null,                 -- apply, run, pause, resume, cancel, retry, suppress, …
  subject text not null,                 -- "run 12", "campaign birthday"
  detail  jsonb not null default '{}'    -- never personal data
);

-- IANA names of time zones as this server knows them. Anything else takes the default zone and is counted in the plan.
create table zones (name text primary key);
insert into zones select name from pg_timezone_names where name ~ '^(UTC|[A-Z][A-Za-z]+/[A-Za-z0-9/_+-]+)$';

-- ---------------------------------------------------------------------------------------------- campaigns and runs

create table campaigns (
  id         int generated always as identity primary key,
  name       text not null unique,
  version_id int,                        -- the version that new runs use
  created_at timestamptz not null default now()
);

-- An applied state of a campaign file with everything it needs, immutable.
create table versions (
  id          int generated always as identity primary key,
  campaign_id int not null references campaigns,
  number      int not null,              -- 1, 2, 3 … within the campaign
  topic       text not null,             -- the campaign's topic at that state; consent is asked per topic
  source      text not null,             -- the YAML as applied
  files       jsonb not null,            -- template file name → text
  fingerprint bytea not null,            -- sha256 of source and files: applying the same again changes nothing
  applied_at  timestamptz not null default now(),
  applied_by  text not null,
  unique (campaign_id, number)
);
alter table campaigns add foreign key (version_id) references versions;

-- Tracked links of a version. Scheme, host and path are fixed here; there is no open redirect.
create table links (
  version_id int not null references versions,
  part       text not null check (part in ('html', 'text', 'sms')),
  position   smallint not null,          -- 0, 1, 2 … within the part
  url        text not null,
  primary key (version_id, part, position)
);

-- Where a campaign's schedule stands. A tick is never lost: next_at moves in the transaction that creates its run.
create table schedules (
  campaign_id int primary key references campaigns,
  next_tick   timestamp,                 -- civil time of the next tick; null: the schedule is over
  next_at     timestamptz,               -- when its run is planned (before the first zone reaches the tick)
  changed_at  timestamptz not null default now()
);
create index schedules_due on schedules (next_at);

create type run_state as enum ('planning', 'sending', 'paused', 'done', 'cancelled');

create table runs (
  id           int generated always as identity primary key,
  campaign_id  int not null references campaigns,
  version_id   int not null references versions,
  tick         timestamp not null,       -- civil date and time; today() is its date
  as_of        timestamptz not null,     -- now() of its rules
  label        text not null default '', -- run --again LABEL: becomes part of every occasion
  scheduled    boolean not null default false, -- by the campaign's schedule; otherwise by hand, and sent at once
  state        run_state not null default 'planning',
  reason       text,                     -- why it is paused or cancelled, in words for people
  actor        text not null,
  message_base bigint,                   -- ids of its messages are message_base + 1 … message_base + message_count
  message_count int,
  created_at   timestamptz not null default now(),
  planned_at   timestamptz,
  finished_at  timestamptz
);
create index runs_campaign on runs (campaign_id, id);
create index runs_open on runs (id) where state in ('planning', 'sending', 'paused');

-- ---------------------------------------------------------------------------------------------------------- ledger

create type message_state as enum ('planned', 'claimed', 'sent', 'failed', 'skipped', 'held_out', 'unknown');

-- An occasion belongs to at most one message. Kept for ever, no personal data.
create table occasions (
  campaign_id  int not null,
  step         smallint not null default 0,
  customer_key text collate "C" not null,
  occasion     text collate "C" not null, -- canonical text of the YAML's occasion list; "" is never stored
  message_id   bigint not null,
  row_key      text,                      -- key of the relation's row where the campaign has `each`
  spent        boolean not null,          -- false: its message failed or was skipped; a later run may take it over
  planned_at   timestamptz not null,      -- the run's as_of, for cooldown
  primary key (campaign_id, customer_key, occasion, step)
) with (fillfactor = 90);
create index occasions_message on occasions (message_id);
create index occasions_released on occasions (campaign_id) where not spent;

-- One message to one customer on one channel. The id carries its place: (months since 2026-01) << 44 | (run & 65535)
-- << 28 | position within the run, so that a partition is a month, a run is a range, and JavaScript can hold it.
create table messages (
  id           bigint not null,
  address_id   bigint,                    -- null: there was none
  not_before   timestamptz not null,
  not_after    timestamptz,               -- later it is skipped, reason "too late"
  claimed_at   timestamptz,
  run_id       int not null,
  worker       int,                       -- who holds or held the claim
  epoch        int,                       -- of the batch, at the claim
  state        message_state not null,
  attempts     smallint not null default 0, -- refusals for now that were counted
  occasions    smallint not null default 1, -- how many occasions it carries
  channel      text not null,
  customer_key text collate "C" not null,
  reason       text,                      -- of failed and skipped; null in other states
  primary key (id)
) partition by range (id);

-- Each try to hand a message over, with what became of it.
create table attempts (
  message_id  bigint not null,
  number      smallint not null,          -- 1, 2, 3 …
  worker      int not null,
  epoch       int not null,
  at          timestamptz not null,
  handed_over timestamptz,                -- when the completing write was entered; null: never
  code        int,                        -- 250, 550, 21610; null: no answer
  verdict     text not null,              -- accepted, permanent, suppress, retry, unknown (channels.Verdict); content: not composed
  enhanced    text,                       -- RFC 3463
  provider_id text,
  words       text,                       -- the server's own
  segments    smallint,                   -- of a text message: how many parts it is charged as
  encoding    text,                       -- of a text message: GSM-7 or UCS-2
  price       numeric(12, 6),             -- what the provider charged, when it said so
  currency    text,                       -- of the price, ISO 4217
  primary key (message_id, number)
) partition by range (message_id);

-- ensure_month makes the partitions of a month (0 = January 2026), when they are missing.
create function ensure_month(month int) returns void language plpgsql as $$
declare
  suffix text := to_char(make_date(2026 + month / 12, month % 12 + 1, 1), 'YYYY_MM');
  lo bigint := month::bigint << 44;
  hi bigint := (month + 1)::bigint << 44;
begin
  if to_regclass('messages_' || suffix) is not null and to_regclass('attempts_' || suffix) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('sapa ensure_month', 0)); -- two plans at once
  execute format('create table if not exists messages_%s partition of messages for values from (%s) to (%s) with (fillfactor = 70)', suffix, lo, hi);
  execute format('create table if not exists attempts_%s partition of attempts for values from (%s) to (%s)', suffix, lo, hi);
end $$;

-- Ranges of messages to be sent: the work list. A River job only wakes a worker for one of them.
create table batches (
  id      bigint generated always as identity primary key,
  run_id  int not null references runs,
  lo      bigint not null,
  hi      bigint not null,                -- inclusive
  due_at  timestamptz not null,
  worker  int,                            -- null: free
  epoch   int not null default 0,         -- +1 whenever it is taken
  done    boolean not null default false,
  channel text not null
);
create index batches_due on batches (due_at) where not done;
create index batches_run on batches (run_id) where not done;

-- One row per start of a process that sends. Alive while heartbeat_at is younger than 30 s by this database's clock.
create table workers (
  id           int generated always as identity primary key,
  host         text not null,
  pid          int not null,
  started_at   timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  stopped_at   timestamptz
);

-- Totals as deltas, appended in the transaction that changes the ledger, compacted later: never one hot row.
-- state: a message_state, 'audience', or 'already' for customers whose occasion was spent before this run.
create table run_totals (
  run_id int not null,
  state  text not null,
  reason text not null default '',
  delta  bigint not null
);
create index run_totals_run on run_totals (run_id);

-- What messages of a run were charged as, as deltas like run_totals: the sums over their accepted attempts.
create table run_costs (
  run_id   int not null,
  segments bigint not null default 0,
  messages bigint not null default 0,     -- whose price is known
  price    numeric not null default 0,
  currency text                           -- of the price; null: segments only
);
create index run_costs_run on run_costs (run_id);

-- ------------------------------------------------------------------------------------------------------- customers

-- What an address as the company wrote it means. Filled by Go before planning, once per unseen value.
create table addresses (
  id         bigint generated always as identity primary key,
  channel    text not null,
  region     text not null default '',
  raw        text collate "C" not null check (length(raw) <= 512), -- left(column, 512)
  normalised text,                        -- null: not usable
  kind       text not null default '',    -- of phones: mobile, fixed, …
  reason     text,                        -- why it is not usable, in words for people; null when it is
  hash       bytea,                       -- HMAC-SHA256 of channel and normalised, by the oldest signing key
  domain     text not null default '',    -- of e-mail, lower case
  seen_at    timestamptz not null default now(),
  unique (channel, region, raw),
  check ((normalised is null) = (reason is not null))
);
create index addresses_hash on addresses (hash);

-- Addresses never to be used again. address is blanked on erasure, the hash stays.
create table suppressions (
  channel text not null,
  hash    bytea not null,
  address text,
  reason  text not null,                  -- hard bounce, complaint, by hand, …
  source  text not null,                  -- message 123, import, actor
  at      timestamptz not null default now(),
  primary key (channel, hash)
);

-- Append-only. The latest row for (customer, channel or '*', topic or '*') whose time is not over decides; without one the
-- mapped columns do. A row that resumes decides nothing itself: it ends those before it that were for a time.
create table consents (
  id           bigint generated always as identity primary key,
  customer_key text collate "C" not null,
  channel      text not null,             -- or '*'
  topic        text not null,             -- or '*'
  granted      boolean not null,
  pending      boolean not null default false, -- asked for, not confirmed yet (double opt-in); counts as not granted
  until        timestamptz,               -- holds only before this moment (a pause); null: for good
  resumes      boolean not null default false, -- the end of the customer's pauses
  source       text not null,             -- unsubscribe page, one-click, import, actor
  evidence     jsonb not null default '{}',
  at           timestamptz not null default now()
);
create index consents_customer on consents (customer_key, id desc);

-- ------------------------------------------------------------------------------------------------------- responses

-- Every request for a pixel, a link or the unsubscribe page, as it came, with a verdict beside it.
-- page: one of our pages was shown (a GET, nothing changed). unsubscribe, resubscribe, preferences, confirm: a POST that
-- acted.
create table hits (
  id         bigint generated always as identity primary key,
  at         timestamptz not null,
  message_id bigint not null,
  kind       text not null check (kind in ('open', 'click', 'page', 'unsubscribe', 'resubscribe', 'preferences', 'confirm')),
  part       text,                        -- of a click: html, text or sms
  link       smallint,                    -- of a click: position within the part
  ip         inet,
  user_agent text,                        -- at most 300 bytes
  verdict    text not null default 'human' check (verdict in ('human', 'proxy', 'scanner')),
  reason     text                         -- why it is not human, or a remark
);
create index hits_message on hits (message_id, id);

-- Who responded: one row per message, kind and link, made by the first hit that counts.
-- kind: open, click (of people), machine_open (mail-privacy proxies and scanners), machine_click (scanners), unsubscribe;
-- delivered, undelivered, read (the provider's reports); reply. An undelivered one has a second row: link 0, part the
-- provider's code.
create table responses (
  message_id bigint not null,
  kind       text not null,
  part       text not null default '',
  link       smallint not null default -1, -- -1: the message as a whole
  first_at   timestamptz not null,
  primary key (message_id, kind, part, link)
);

-- Deltas, like run_totals. link -1 is the message as a whole; one click counts there and at its link.
create table response_totals (
  run_id int not null,
  kind   text not null,                   -- as in responses
  part   text not null default '',
  link   smallint not null default -1,
  total  bigint not null,                 -- hits
  uniq   bigint not null                  -- messages with at least one
);
create index response_totals_run on response_totals (run_id);
