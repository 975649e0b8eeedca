-- What channels other than e-mail need: short links, the providers' reports, and messages of customers.

-- A tracked link of a text message: 8 letters and digits stand for message, link and the personal part of its query.
create table short_links (
  code       text collate "C" primary key,
  message_id bigint not null,
  part       text not null,
  link       smallint not null,
  query      text default '',             -- personal; null: blanked, as by erasure
  made_at    timestamptz not null,
  unique (message_id, part, link, query)  -- a message that is tried again keeps its codes
);

-- What providers say about messages that they accepted. Each row proves the acceptance, whenever it comes, and however
-- often.
create table delivery_reports (
  message_id  bigint not null,
  provider_id text collate "C" not null,
  status      text not null check (status in ('accepted', 'sent', 'delivered', 'read', 'undelivered')),
  code        int,                        -- the provider's error code
  words       text,                       -- what it means
  at          timestamptz not null,       -- when it came
  open        boolean not null default true, -- the message's state does not show it yet
  ask_at      timestamptz,                -- when the provider is asked what the message cost; null: no more
  asked       smallint not null default 0, -- how often it was
  primary key (message_id, provider_id, status)
);
create index delivery_reports_open on delivery_reports (message_id) where open;
create index delivery_reports_ask on delivery_reports (ask_at) where ask_at is not null;
create index delivery_reports_code on delivery_reports (code) where words is not null;

-- Messages of customers. A provider that repeats itself changes nothing.
create table inbound (
  id           bigint generated always as identity primary key,
  at           timestamptz not null,
  channel      text not null,
  provider_id  text collate "C" not null,
  sender       text,                      -- the customer's address; blanked on erasure and by retention
  sender_hash  bytea not null,            -- as in addresses
  recipient    text not null,             -- our number
  body         text,                      -- blanked on erasure and by retention
  media        smallint not null default 0,
  kind         text not null check (kind in ('stop', 'start', 'help', 'reply')),
  answer       text,                      -- what we answered; null: nothing
  message_id   bigint,                    -- the last message to this address; null: there was none
  customer_key text collate "C",          -- whose it was
  seen_at      timestamptz,               -- when somebody of the company marked it as read
  unique (channel, provider_id)
);
create index inbound_customer on inbound (customer_key) where customer_key is not null;
create index inbound_sender on inbound (sender_hash);

-- The last message to an address: who is it that answers?
create index messages_address on messages (address_id, id) where channel <> 'email';

-- Why messages did not arrive that the provider had accepted.
create view report_undelivered as
select r.id as run_id, c.name as campaign, nullif(x.part, '')::int as code,
       (select d.words from delivery_reports d where d.code = nullif(x.part, '')::int and d.words is not null limit 1) as words,
       sum(x.uniq)::bigint as messages
from runs r
join campaigns c on c.id = r.campaign_id
join response_totals x on x.run_id = r.id
where x.kind = 'undelivered' and x.link = 0
group by r.id, c.name, x.part
having sum(x.uniq) <> 0;

comment on view report_undelivered is 'Messages of each run that the provider accepted and could not deliver, by its error code.';
comment on column report_undelivered.code is 'the provider''s error code; null when it gave none';
comment on column report_undelivered.words is 'what the code means, in the provider''s words';
