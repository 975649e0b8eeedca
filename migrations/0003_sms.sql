-- What channels other than e-mail need: short links, the providers' reports, and messages of customers.

-- A tracked link of a text message: 8 letters and digits stand for message, link and the personal part of its query.
create table short_links (
  code       text collate "C" primary key,
  message_id bigint not null,
  part       text not null,
  link       smallint not null,
  query      text not null default '',    -- personal; blanked when the customer is erased
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
  primary key (message_id, provider_id, status)
);
create index delivery_reports_open on delivery_reports (message_id) where open;

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
  message_id   bigint,                    -- the last message to this address; null: there was none
  customer_key text collate "C",          -- whose it was
  seen_at      timestamptz,               -- when somebody of the company marked it as read
  unique (channel, provider_id)
);
create index inbound_customer on inbound (customer_key) where customer_key is not null;
create index inbound_sender on inbound (sender_hash);

-- The last message to an address: who is it that answers?
create index messages_address on messages (address_id, id) where channel <> 'email';
