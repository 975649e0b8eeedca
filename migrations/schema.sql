-- Where the migrations lead. Made by: go test ./migrations -run Golden -update

create type message_state as enum ('planned', 'claimed', 'sent', 'failed', 'skipped', 'held_out', 'unknown');

create type run_state as enum ('planning', 'sending', 'paused', 'done', 'cancelled');

create table addresses (
  id bigint not null generated always as identity,
  channel text not null,
  region text not null default ''::text,
  raw text not null,
  normalised text,
  kind text not null default ''::text,
  reason text,
  hash bytea,
  domain text not null default ''::text,
  seen_at timestamp with time zone not null default now(),
  constraint addresses_pkey PRIMARY KEY (id),
  constraint addresses_channel_region_raw_key UNIQUE (channel, region, raw),
  constraint addresses_check CHECK (((normalised IS NULL) = (reason IS NOT NULL))),
  constraint addresses_raw_check CHECK ((length(raw) <= 512))
);
CREATE INDEX addresses_hash ON addresses USING btree (hash);

-- what people of the company were told about customers, and who has seen to it
create table alerts (
  id bigint not null generated always as identity,
  message_id bigint not null,
  desk text not null,
  title text not null,
  text text not null default ''::text,
  customer_key text,
  campaign text not null,
  at timestamp with time zone not null,
  done_at timestamp with time zone,
  done_by text,
  constraint alerts_pkey PRIMARY KEY (id),
  constraint alerts_message_id_key UNIQUE (message_id),
  constraint alerts_check CHECK (((done_at IS NULL) = (done_by IS NULL)))
);
CREATE INDEX alerts_at ON alerts USING btree (at);
CREATE INDEX alerts_customer ON alerts USING btree (customer_key) WHERE (customer_key IS NOT NULL);
CREATE INDEX alerts_desk ON alerts USING btree (desk, id);
CREATE INDEX alerts_open ON alerts USING btree (desk, id) WHERE (done_at IS NULL);

create table api_tokens (
  id integer not null generated always as identity,
  user_id integer not null,
  hash bytea not null,
  label text not null default ''::text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  constraint api_tokens_pkey PRIMARY KEY (id),
  constraint api_tokens_hash_key UNIQUE (hash),
  constraint api_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id),
  constraint api_tokens_hash_check CHECK ((length(hash) = 32))
);
CREATE INDEX api_tokens_user ON api_tokens USING btree (user_id);

create table approvals (
  version_id integer not null,
  state text not null,
  required boolean not null,
  decided_at timestamp with time zone,
  decided_by text,
  constraint approvals_pkey PRIMARY KEY (version_id),
  constraint approvals_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions(id),
  constraint approvals_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'approved'::text, 'withdrawn'::text])))
);
CREATE INDEX approvals_waiting ON approvals USING btree (version_id) WHERE (state = 'waiting'::text);

create table attempts (
  message_id bigint not null,
  number smallint not null,
  worker integer not null,
  epoch integer not null,
  at timestamp with time zone not null,
  handed_over timestamp with time zone,
  code integer,
  verdict text not null,
  enhanced text,
  provider_id text,
  words text,
  segments smallint,
  encoding text,
  price numeric(12,6),
  currency text,
  constraint attempts_pkey PRIMARY KEY (message_id, number)
) partition by RANGE (message_id);
CREATE INDEX attempts_unknown ON ONLY attempts USING btree (message_id) WHERE (verdict = 'unknown'::text);

create table audit_log (
  id bigint not null generated always as identity,
  at timestamp with time zone not null default now(),
  actor text not null,
  action text not null,
  subject text not null,
  detail jsonb not null default '{}'::jsonb,
  constraint audit_log_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_log_actor ON audit_log USING btree (actor, id);
CREATE INDEX audit_log_at ON audit_log USING btree (at);
CREATE INDEX audit_log_subject ON audit_log USING btree (subject, id);
CREATE TRIGGER audit_log_stays BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_log_stays();

create table batches (
  id bigint not null generated always as identity,
  run_id integer not null,
  lo bigint not null,
  hi bigint not null,
  due_at timestamp with time zone not null,
  worker integer,
  epoch integer not null default 0,
  done boolean not null default false,
  channel text not null,
  handed_to bigint,
  triggered boolean not null default false,
  lane text not null default ''::text,
  priority smallint not null default 3,
  climb_at timestamp with time zone,
  constraint batches_pkey PRIMARY KEY (id),
  constraint batches_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id)
);
CREATE INDEX batches_climb ON batches USING btree (climb_at) WHERE (climb_at < 'infinity'::timestamp with time zone);
CREATE INDEX batches_climbing ON batches USING btree (run_id, lo) WHERE (climb_at IS NOT NULL);
CREATE INDEX batches_due ON batches USING btree (due_at) WHERE (NOT done);
CREATE INDEX batches_lane ON batches USING btree (channel, lane, due_at, id) WHERE ((NOT done) AND (lane <> ''::text));
CREATE INDEX batches_run ON batches USING btree (run_id) WHERE (NOT done);

-- what agents said of each time that they called
create table call_tries (
  message_id bigint not null,
  number smallint not null,
  agent text not null,
  at timestamp with time zone not null,
  outcome text not null,
  note text,
  call_back_at timestamp with time zone,
  constraint call_tries_pkey PRIMARY KEY (message_id, number),
  constraint call_tries_outcome_check CHECK ((outcome = ANY (ARRAY['reached'::text, 'interested'::text, 'order'::text, 'call back'::text, 'wrong number'::text, 'no answer'::text, 'do not call'::text])))
);

-- one row for each message of channel calls, as it was composed; only what is planned in table messages is offered to agents
create table calls (
  message_id bigint not null,
  run_id integer not null,
  customer_key text not null,
  name text,
  locale text,
  reason text,
  offer text,
  script text,
  due_at timestamp with time zone not null,
  tries smallint not null default 0,
  keeper text,
  claimed_by text,
  claimed_at timestamp with time zone,
  claimed_until timestamp with time zone,
  outcome text,
  done_at timestamp with time zone,
  constraint calls_pkey PRIMARY KEY (message_id),
  constraint calls_check CHECK (((claimed_by IS NULL) = (claimed_until IS NULL))),
  constraint calls_check1 CHECK (((claimed_by IS NULL) OR (done_at IS NULL)))
);
CREATE UNIQUE INDEX calls_agent ON calls USING btree (claimed_by) WHERE (claimed_by IS NOT NULL);
CREATE UNIQUE INDEX calls_claimed ON calls USING btree (customer_key) WHERE (claimed_by IS NOT NULL);
CREATE INDEX calls_open ON calls USING btree (due_at) WHERE (done_at IS NULL);
CREATE INDEX calls_run ON calls USING btree (run_id);

create table campaigns (
  id integer not null generated always as identity,
  name text not null,
  version_id integer,
  created_at timestamp with time zone not null default now(),
  constraint campaigns_pkey PRIMARY KEY (id),
  constraint campaigns_name_key UNIQUE (name),
  constraint campaigns_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions(id)
);

create table consents (
  id bigint not null generated always as identity,
  customer_key text not null,
  channel text not null,
  topic text not null,
  granted boolean not null,
  pending boolean not null default false,
  until timestamp with time zone,
  resumes boolean not null default false,
  source text not null,
  evidence jsonb not null default '{}'::jsonb,
  at timestamp with time zone not null default now(),
  constraint consents_pkey PRIMARY KEY (id)
);
CREATE INDEX consents_customer ON consents USING btree (customer_key, id DESC);
CREATE INDEX consents_pending ON consents USING btree (topic, customer_key) WHERE pending;
CREATE INDEX consents_resumes ON consents USING btree (customer_key, id) WHERE resumes;

create table contact_locks (
  customer bigint not null,
  constraint contact_locks_pkey PRIMARY KEY (customer)
);

create table contact_runs (
  run_id integer not null,
  constraint contact_runs_pkey PRIMARY KEY (run_id)
);

create table contacts (
  customer bigint not null,
  message_id bigint not null,
  constraint contacts_pkey PRIMARY KEY (customer, message_id)
);

create table delivery_reports (
  message_id bigint not null,
  provider_id text not null,
  status text not null,
  code integer,
  words text,
  at timestamp with time zone not null,
  open boolean not null default true,
  ask_at timestamp with time zone,
  asked smallint not null default 0,
  constraint delivery_reports_pkey PRIMARY KEY (message_id, provider_id, status),
  constraint delivery_reports_status_check CHECK ((status = ANY (ARRAY['accepted'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'undelivered'::text])))
);
CREATE INDEX delivery_reports_ask ON delivery_reports USING btree (ask_at) WHERE (ask_at IS NOT NULL);
CREATE INDEX delivery_reports_code ON delivery_reports USING btree (code) WHERE (words IS NOT NULL);
CREATE INDEX delivery_reports_open ON delivery_reports USING btree (message_id) WHERE open;

-- customers whom Sapa has forgotten on request
create table erasures (
  id integer not null generated always as identity,
  customer_key text,
  key_hash bytea not null,
  at timestamp with time zone not null,
  actor text not null,
  row_present boolean not null,
  gone_since timestamp with time zone,
  released_at timestamp with time zone,
  pseudonym text not null generated always as (('erased:'::text || id)) stored,
  constraint erasures_pkey PRIMARY KEY (id),
  constraint erasures_check CHECK (((customer_key IS NULL) OR row_present))
);
CREATE UNIQUE INDEX erasures_customer ON erasures USING btree (customer_key) WHERE (customer_key IS NOT NULL);
CREATE INDEX erasures_hash ON erasures USING btree (key_hash);
CREATE UNIQUE INDEX erasures_pseudonym ON erasures USING btree (pseudonym);

create table events (
  id bigint not null generated always as identity,
  name text not null,
  customer_key text not null,
  happened_at timestamp with time zone not null,
  data jsonb not null default '{}'::jsonb,
  key text,
  digest bytea,
  warnings text[] not null default '{}'::text[],
  actor text not null,
  at timestamp with time zone not null,
  constraint events_pkey PRIMARY KEY (id)
);
CREATE INDEX events_at ON events USING btree (at);
CREATE INDEX events_customer ON events USING btree (customer_key, id);
CREATE UNIQUE INDEX events_key ON events USING btree (key) WHERE (key IS NOT NULL);

create table hits (
  id bigint not null generated always as identity,
  at timestamp with time zone not null,
  message_id bigint not null,
  kind text not null,
  part text,
  link smallint,
  ip inet,
  user_agent text,
  verdict text not null default 'human'::text,
  reason text,
  constraint hits_pkey PRIMARY KEY (id),
  constraint hits_kind_check CHECK ((kind = ANY (ARRAY['open'::text, 'click'::text, 'page'::text, 'unsubscribe'::text, 'resubscribe'::text, 'preferences'::text, 'confirm'::text]))),
  constraint hits_verdict_check CHECK ((verdict = ANY (ARRAY['human'::text, 'proxy'::text, 'scanner'::text])))
);
CREATE INDEX hits_at ON hits USING brin (at);
CREATE INDEX hits_message ON hits USING btree (message_id, id);

create table inbound (
  id bigint not null generated always as identity,
  at timestamp with time zone not null,
  channel text not null,
  provider_id text not null,
  sender text,
  sender_hash bytea not null,
  recipient text not null,
  body text,
  media smallint not null default 0,
  kind text not null,
  answer text,
  message_id bigint,
  customer_key text,
  seen_at timestamp with time zone,
  constraint inbound_pkey PRIMARY KEY (id),
  constraint inbound_channel_provider_id_key UNIQUE (channel, provider_id),
  constraint inbound_kind_check CHECK ((kind = ANY (ARRAY['stop'::text, 'start'::text, 'help'::text, 'reply'::text])))
);
CREATE INDEX inbound_customer ON inbound USING btree (customer_key) WHERE (customer_key IS NOT NULL);
CREATE INDEX inbound_sender ON inbound USING btree (sender_hash);

create table installation (
  one boolean not null default true,
  system_identifier text not null,
  database_name text not null,
  created_at timestamp with time zone not null default now(),
  constraint installation_pkey PRIMARY KEY (one),
  constraint installation_one_check CHECK (one)
);

-- letters of a run that were printed together: one PDF
create table letter_batches (
  run_id integer not null,
  number integer not null,
  pieces integer not null,
  printed_at timestamp with time zone not null,
  printed_by text not null,
  settings jsonb not null,
  confirmed_at timestamp with time zone,
  confirmed_by text,
  constraint letter_batches_pkey PRIMARY KEY (run_id, number)
);

-- pictures of letters and postcards, by the SHA-256 of the file
create table letter_pictures (
  hash bytea not null,
  data bytea not null,
  constraint letter_pictures_pkey PRIMARY KEY (hash)
);

-- one row for each message of channel letter, as it was composed; only what is planned in table messages is printed
create table letters (
  message_id bigint not null,
  run_id integer not null,
  code text not null,
  size text not null,
  content jsonb,
  front bytea,
  composed_at timestamp with time zone not null,
  batch integer,
  place integer,
  confirmed_at timestamp with time zone,
  returned_at timestamp with time zone,
  return_reason text,
  constraint letters_pkey PRIMARY KEY (message_id),
  constraint letters_code_key UNIQUE (code),
  constraint letters_check CHECK (((batch IS NULL) = (place IS NULL))),
  constraint letters_check1 CHECK (((batch IS NOT NULL) OR (confirmed_at IS NULL))),
  constraint letters_check2 CHECK (((returned_at IS NULL) = (return_reason IS NULL))),
  constraint letters_return_reason_check CHECK ((return_reason = ANY (ARRAY['moved'::text, 'unknown'::text, 'refused'::text, 'other'::text])))
);
CREATE INDEX letters_run ON letters USING btree (run_id, batch, place);

create table links (
  version_id integer not null,
  part text not null,
  position smallint not null,
  url text not null,
  constraint links_pkey PRIMARY KEY (version_id, part, "position"),
  constraint links_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions(id),
  constraint links_part_check CHECK ((part <> ''::text))
);

create table login_failures (
  kind text not null,
  whose bytea not null,
  failures integer not null,
  last_at timestamp with time zone not null,
  blocked_until timestamp with time zone,
  constraint login_failures_pkey PRIMARY KEY (kind, whose),
  constraint login_failures_kind_check CHECK ((kind = ANY (ARRAY['account'::text, 'address'::text, 'token'::text])))
);
CREATE INDEX login_failures_last ON login_failures USING btree (last_at);

create table messages (
  id bigint not null,
  address_id bigint,
  not_before timestamp with time zone not null,
  not_after timestamp with time zone,
  claimed_at timestamp with time zone,
  run_id integer not null,
  worker integer,
  epoch integer,
  state message_state not null,
  attempts smallint not null default 0,
  occasions smallint not null default 1,
  channel text not null,
  customer_key text not null,
  reason text,
  zone text,
  step smallint not null default 0,
  constraint messages_pkey PRIMARY KEY (id)
) partition by RANGE (id);
CREATE INDEX messages_address ON ONLY messages USING btree (address_id, id) WHERE (channel <> 'email'::text);

create table occasions (
  campaign_id integer not null,
  step smallint not null default 0,
  customer_key text not null,
  occasion text not null,
  message_id bigint not null,
  row_key text,
  spent boolean not null,
  planned_at timestamp with time zone not null,
  constraint occasions_pkey PRIMARY KEY (campaign_id, customer_key, occasion, step)
) with (fillfactor=90);
CREATE INDEX occasions_message ON occasions USING btree (message_id);
CREATE INDEX occasions_released ON occasions USING btree (campaign_id) WHERE (NOT spent);

create table pruned_months (
  month integer not null,
  at timestamp with time zone not null default now(),
  actor text not null,
  messages bigint not null,
  attempts bigint not null,
  swept boolean not null default false,
  constraint pruned_months_pkey PRIMARY KEY (month)
);

create table quarantines (
  campaign_id integer not null,
  version_id integer not null,
  run_id integer not null,
  reason text not null,
  at timestamp with time zone not null default now(),
  constraint quarantines_pkey PRIMARY KEY (campaign_id),
  constraint quarantines_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id),
  constraint quarantines_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions(id)
);

create table response_totals (
  run_id integer not null,
  kind text not null,
  part text not null default ''::text,
  link smallint not null default '-1'::integer,
  total bigint not null,
  uniq bigint not null
);
CREATE INDEX response_totals_run ON response_totals USING btree (run_id);

create table responses (
  message_id bigint not null,
  kind text not null,
  part text not null default ''::text,
  link smallint not null default '-1'::integer,
  first_at timestamp with time zone not null,
  constraint responses_pkey PRIMARY KEY (message_id, kind, part, link)
);
CREATE INDEX responses_undelivered ON responses USING btree (first_at) WHERE ((kind = 'undelivered'::text) AND (link = '-1'::integer));

create table run_baselines (
  run_id integer not null,
  outcomes bigint not null,
  bounces bigint not null,
  failures bigint not null,
  content bigint not null,
  unsubscribes bigint not null,
  at timestamp with time zone not null default now(),
  constraint run_baselines_pkey PRIMARY KEY (run_id),
  constraint run_baselines_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id)
);

create table run_channels (
  run_id integer not null,
  step smallint not null,
  channel text not null,
  messages bigint not null,
  cost numeric,
  currency text,
  constraint run_channels_pkey PRIMARY KEY (run_id, step, channel),
  constraint run_channels_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id)
);

create table run_costs (
  run_id integer not null,
  segments bigint not null default 0,
  messages bigint not null default 0,
  price numeric not null default 0,
  currency text
);
CREATE INDEX run_costs_run ON run_costs USING btree (run_id);

create table run_totals (
  run_id integer not null,
  state text not null,
  reason text not null default ''::text,
  delta bigint not null
);
CREATE INDEX run_totals_run ON run_totals USING btree (run_id);

create table rungs (
  message_id bigint not null,
  next_id bigint,
  because text not null,
  at timestamp with time zone not null,
  constraint rungs_pkey PRIMARY KEY (message_id)
);
CREATE INDEX rungs_next ON rungs USING btree (next_id) WHERE (next_id IS NOT NULL);

create table runs (
  id integer not null generated always as identity,
  campaign_id integer not null,
  version_id integer not null,
  tick timestamp without time zone not null,
  as_of timestamp with time zone not null,
  label text not null default ''::text,
  scheduled boolean not null default false,
  state run_state not null default 'planning'::run_state,
  reason text,
  actor text not null,
  message_base bigint,
  message_count integer,
  created_at timestamp with time zone not null default now(),
  planned_at timestamp with time zone,
  finished_at timestamp with time zone,
  given jsonb,
  priority smallint not null default 0,
  cap_most integer[],
  cap_within interval[],
  cap_exempt boolean not null default false,
  climb_after interval,
  budget numeric,
  currency text,
  event text,
  open boolean not null default false,
  constraint runs_pkey PRIMARY KEY (id),
  constraint runs_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id),
  constraint runs_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions(id)
);
CREATE INDEX runs_campaign ON runs USING btree (campaign_id, id);
CREATE INDEX runs_of_events ON runs USING btree (campaign_id, tick) WHERE (event IS NOT NULL);
CREATE INDEX runs_of_today ON runs USING btree (tick) WHERE open;
CREATE INDEX runs_open ON runs USING btree (id) WHERE (state = ANY (ARRAY['planning'::run_state, 'sending'::run_state, 'paused'::run_state]));

create table schedules (
  campaign_id integer not null,
  next_tick timestamp without time zone,
  next_at timestamp with time zone,
  changed_at timestamp with time zone not null default now(),
  constraint schedules_pkey PRIMARY KEY (campaign_id),
  constraint schedules_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id)
);
CREATE INDEX schedules_due ON schedules USING btree (next_at);

create table schema_migrations (
  version integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now(),
  constraint schema_migrations_pkey PRIMARY KEY (version)
);

create table seed_messages (
  run_id integer not null,
  channel text not null,
  address text not null,
  state text not null,
  worker integer not null,
  at timestamp with time zone not null,
  words text,
  constraint seed_messages_pkey PRIMARY KEY (run_id, channel, address),
  constraint seed_messages_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id),
  constraint seed_messages_state_check CHECK ((state = ANY (ARRAY['claimed'::text, 'sent'::text, 'failed'::text, 'skipped'::text, 'unknown'::text])))
);
CREATE INDEX seed_messages_claimed ON seed_messages USING btree (worker) WHERE (state = 'claimed'::text);

-- up to when the sending slots of each provider account are leased
create table send_slots (
  account text not null,
  next_at timestamp with time zone not null,
  constraint send_slots_pkey PRIMARY KEY (account)
);

create table sessions (
  hash bytea not null,
  user_id integer not null,
  created_at timestamp with time zone not null,
  seen_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint sessions_pkey PRIMARY KEY (hash),
  constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id),
  constraint sessions_hash_check CHECK ((length(hash) = 32))
);
CREATE INDEX sessions_user ON sessions USING btree (user_id);

create table short_links (
  code text not null,
  message_id bigint not null,
  part text not null,
  link smallint not null,
  query text default ''::text,
  made_at timestamp with time zone not null,
  constraint short_links_pkey PRIMARY KEY (code),
  constraint short_links_message_id_part_link_query_key UNIQUE (message_id, part, link, query)
);

create table signing_keys (
  id smallint not null generated always as identity,
  secret bytea not null,
  created_at timestamp with time zone not null default now(),
  constraint signing_keys_pkey PRIMARY KEY (id),
  constraint signing_keys_secret_check CHECK ((length(secret) >= 32))
);

create table suppressed_digests (
  channel text not null,
  digest bytea not null,
  reason text not null,
  source text not null,
  at timestamp with time zone not null,
  constraint suppressed_digests_pkey PRIMARY KEY (channel, digest),
  constraint suppressed_digests_digest_check CHECK ((length(digest) = 32))
);

create table suppressions (
  channel text not null,
  hash bytea not null,
  address text,
  reason text not null,
  source text not null,
  at timestamp with time zone not null default now(),
  constraint suppressions_pkey PRIMARY KEY (channel, hash)
);

create table triggers (
  event_id bigint not null,
  campaign_id integer not null,
  due_at timestamp with time zone not null default clock_timestamp(),
  tries integer not null default 0,
  trouble text,
  outcome text,
  run_id integer,
  lo bigint,
  hi bigint,
  handled_at timestamp with time zone,
  constraint triggers_pkey PRIMARY KEY (event_id, campaign_id),
  constraint triggers_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id),
  constraint triggers_event_id_fkey FOREIGN KEY (event_id) REFERENCES events(id) ON DELETE CASCADE,
  constraint triggers_run_id_fkey FOREIGN KEY (run_id) REFERENCES runs(id)
);
CREATE INDEX triggers_due ON triggers USING btree (due_at) WHERE (handled_at IS NULL);
CREATE INDEX triggers_messages ON triggers USING btree (run_id, lo) WHERE (lo IS NOT NULL);

create table upkeep (
  name text not null,
  at timestamp with time zone not null,
  constraint upkeep_pkey PRIMARY KEY (name)
);

create table users (
  id integer not null generated always as identity,
  name text not null,
  role text not null,
  password text,
  disabled_at timestamp with time zone,
  created_at timestamp with time zone not null,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_name_key UNIQUE (name),
  constraint users_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
  constraint users_role_check CHECK ((role = ANY (ARRAY['marketer'::text, 'agent'::text, 'analyst'::text, 'operator'::text])))
);

create table versions (
  id integer not null generated always as identity,
  campaign_id integer not null,
  number integer not null,
  topic text not null,
  source text not null,
  files jsonb not null,
  fingerprint bytea not null,
  applied_at timestamp with time zone not null default now(),
  applied_by text not null,
  event text,
  constraint versions_pkey PRIMARY KEY (id),
  constraint versions_campaign_id_number_key UNIQUE (campaign_id, number),
  constraint versions_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id)
);

-- messages that accounts with a warm-up have used of each day's amount; the first day with any is that of the first use
create table warm_up_days (
  account text not null,
  day date not null,
  used bigint not null,
  constraint warm_up_days_pkey PRIMARY KEY (account, day),
  constraint warm_up_days_used_check CHECK ((used >= 0))
);

create table workers (
  id integer not null generated always as identity,
  host text not null,
  pid integer not null,
  started_at timestamp with time zone not null default now(),
  heartbeat_at timestamp with time zone not null default now(),
  stopped_at timestamp with time zone,
  constraint workers_pkey PRIMARY KEY (id)
);

create table zones (
  name text not null,
  constraint zones_pkey PRIMARY KEY (name)
);

-- view report_answers: One row per run and answer that customers gave on the spot, such as by a key of the phone.
--   run_id integer
--   campaign text
--   answer text: the campaign's word for it, such as interested
--   messages bigint: messages that were answered so
--   answers bigint: all such answers

-- view report_call_outcomes: One row per run and outcome of calls that agents made. The same numbers as sapa report.
--   run_id integer
--   campaign text
--   outcome text: reached, interested, order, call back, no answer, wrong number or do not call
--   customers bigint: with whom a call came to that at least once; one may have had several outcomes, such as no answer first
--   calls bigint: all calls that came to that

-- view report_calls: One row per call that agents make, or have made. Restrict it by run_id or campaign.
--   message_id bigint
--   run_id integer
--   campaign text
--   customer_key text
--   state text: of its message: planned while it is open; sent, failed or skipped
--   reason text: of failed and skipped
--   outcome text: reached, interested, order, wrong number, no answer or do not call; null while it is open, and where it was skipped
--   tries bigint: how often somebody called
--   called_by text: who called last
--   last_at timestamp with time zone: when that was
--   due_at timestamp with time zone: of an open one: from when on it is offered to agents

-- view report_channels: One row per run, rung and channel. It counts messages: restrict it by run_id.
--   run_id integer
--   campaign text
--   step smallint: which rung of the ladder: 0 is the first message of each customer
--   channel text
--   messages bigint: messages by this channel, whatever became of them
--   waiting bigint: planned and claimed
--   sent bigint: accepted by the provider
--   failed bigint: refused for good, or given up
--   skipped bigint: deliberately not sent
--   unknown bigint: handed over without an answer: may have arrived
--   delivered bigint: messages that arrived, by the provider's reports
--   undelivered bigint: messages that the provider accepted and could not deliver
--   opened bigint: messages opened by a person at least once
--   clicked bigint: messages with at least one click of a person
--   replied bigint: messages that were answered
--   unsubscribed bigint: messages from which somebody unsubscribed
--   planned bigint: messages that were to be sent when they were planned
--   planned_cost numeric: what these cost by the estimate of yaml; null where it has none
--   currency text: of planned_cost, ISO 4217

-- view report_letters: Letters and postcards on paper: when each was printed, posted, and came back, and why.
--   message_id bigint: of the letter
--   run_id integer
--   campaign text
--   size text: a4, letter, postcard-a6 or postcard-4x6
--   batch integer: which of the run's batches it was printed in; null: not printed yet
--   printed_at timestamp with time zone: when its batch was made
--   posted_at timestamp with time zone: when somebody said that it was posted; null: not yet, or it was cancelled or erased before
--   returned_at timestamp with time zone: when it was recorded as come back
--   return_reason text: moved, unknown, refused or other

-- view report_links: One row per run and tracked link, also those that nobody followed.
--   run_id integer
--   campaign text
--   version integer
--   part text: where the link stands: html or text of an e-mail; of a message by another channel, that channel, such as sms or whatsapp
--   position smallint: the link's place within html or text, from 0; of other channels, among the links of all of them
--   url text: where it leads, without personal values
--   clicked bigint: messages in which a person followed this link
--   clicks bigint: all clicks of people on it

-- view report_messages: One row per message. Join customer_key to the text of your own table's key. Restrict it by run_id or campaign; over everything it is as large as all messages.
--   message_id bigint
--   run_id integer
--   campaign text
--   customer_key text: the customer's key, as text
--   channel text
--   state text: planned, claimed, sent, failed, skipped, held_out or unknown
--   reason text: of failed and skipped
--   occasions smallint: how many occasions (due vehicles, say) the message names
--   sent_at timestamp with time zone: when it was handed over; null unless it was accepted
--   opened_at timestamp with time zone: first open by a person
--   clicked_at timestamp with time zone: first click by a person
--   unsubscribed_at timestamp with time zone: first time somebody unsubscribed from it
--   machine_opened_at timestamp with time zone: first open by a machine
--   machine_clicked_at timestamp with time zone: first link followed by a machine
--   attempts smallint: how often a server answered
--   code integer: the last answer: 250, 550, …
--   enhanced text: the last answer's status after RFC 3463
--   words text: the last answer in the server's words, without mail addresses
--   delivered_at timestamp with time zone: when the provider reported that it arrived
--   undelivered_at timestamp with time zone: when the provider reported that it will not arrive
--   undelivered_code integer: why not, by the provider's error code
--   read_at timestamp with time zone: when the provider reported that the customer has seen it
--   replied_at timestamp with time zone: first answer of the customer
--   segments smallint: of a text message: how many parts it is charged as
--   encoding text: of a text message: GSM-7 or UCS-2
--   price numeric(12,6): what the provider charged, once it has said so
--   currency text: of the price, ISO 4217
--   step smallint: which rung of a ladder it is; 0: the first
--   follows bigint: the message of the rung before
--   because text: and why this one follows: no response, undelivered, failed or skipped with its reason

-- view report_reasons: Failed and skipped messages of each run by reason.
--   run_id integer
--   campaign text
--   state text: failed or skipped
--   reason text: of failed: hard bounce, opted out, refused, gave up, content, wrong number, not reached; of skipped: no address, bad address (of phones with a colon and why), suppressed, no consent, paused, no channel, cooldown, budget, cap, too late, gone, no longer eligible, erased, cancelled
--   messages bigint

-- view report_responses: One row per request for a pixel, a link or the unsubscribe page, with the verdict on who made it.
--   hit_id bigint
--   at timestamp with time zone
--   run_id integer
--   campaign text
--   message_id bigint
--   customer_key text
--   kind text: open, click, page (the unsubscribe page was shown), unsubscribe or resubscribe
--   part text: of a click: html or text of an e-mail, or the channel of another message
--   link smallint: of a click: the link's place within its part
--   url text: of a click: where it led, without personal values
--   verdict text: human, proxy or scanner; only human ones count as opened and clicked
--   reason text: why it is not human, or a remark

-- view report_runs: One row per run: its accounting and what came back, from the totals. The same numbers as sapa report.
--   run_id integer
--   campaign text
--   version integer
--   label text
--   tick timestamp without time zone: civil date and time the run stands for
--   as_of timestamp with time zone: the moment its rules were asked about
--   scheduled boolean: started by the campaign's schedule, not by hand
--   state text: planning, sending, paused, done or cancelled
--   reason text: why it is paused or cancelled, or why it does not move
--   actor text
--   created_at timestamp with time zone
--   planned_at timestamp with time zone
--   finished_at timestamp with time zone
--   audience bigint: messages the rule asked for; with rungs: already + planned + claimed + sent + failed + skipped + held_out + unknown
--   already bigint: not made again: this occasion had its message in an earlier run
--   planned bigint: waiting to be sent
--   claimed bigint: in the hands of a worker at this moment
--   sent bigint: accepted by the provider
--   failed bigint: refused for good, or given up; see report_reasons
--   skipped bigint: deliberately not sent; see report_reasons
--   held_out bigint: deliberately not messaged, to measure the effect
--   unknown bigint: handed over without an answer: may have arrived
--   adds_up boolean: whether audience and rungs are the sum of the parts; never false
--   bounced bigint: those of failed that the server refused because the address is dead; the address is suppressed
--   opened bigint: messages opened by a person at least once
--   opens bigint: all loads of the pixel by people
--   clicked bigint: messages with at least one click of a person
--   clicks bigint: all clicks of people, on any link
--   unsubscribed bigint: messages from which somebody unsubscribed
--   machine_opened bigint: messages opened by a mail-privacy proxy or scanner, whether or not also by a person
--   machine_opens bigint: all loads of the pixel by machines
--   machine_clicked bigint: messages whose links a scanner followed, whether or not also a person
--   machine_clicks bigint: all links followed by scanners
--   open_rate double precision: opened / sent; null when nothing was sent, and for text messages, which tell nothing of being opened
--   click_rate double precision: clicked / sent
--   click_to_open_rate double precision: clicked / opened; may pass 1, since mail programs that load no pictures show no opens
--   unsubscribe_rate double precision: unsubscribed / sent
--   bounce_rate double precision: bounced / (sent + bounced)
--   delivered bigint: messages that arrived on the customer's device, by the provider's reports; null where none came, as for e-mail
--   undelivered bigint: messages that the provider accepted and could not deliver; see report_undelivered
--   read bigint: messages that the customer has seen, where the provider reports it
--   replied bigint: messages that were answered; STOP, START and HELP are no answers
--   segments bigint: how many parts the text messages sent are charged as
--   priced bigint: messages whose price the provider has told
--   cost numeric: the sum of these prices; null where they have several currencies
--   currency text: of cost, ISO 4217
--   delivery_rate double precision: delivered / sent
--   undelivered_rate double precision: undelivered / sent
--   reply_rate double precision: replied / sent
--   rungs bigint: messages of later rungs of a ladder, which come on top of the audience
--   climbs_at timestamp with time zone: of a ladder: when messages are next looked at that may go on to another channel; null: none waits
--   planned_cost numeric: what the messages planned so far cost by the estimates of yaml; null where it has none
--   planned_currency text: of planned_cost and budget, ISO 4217
--   budget numeric: what planned_cost may be at most; null: not limited

-- view report_undelivered: Messages of each run that the provider accepted and could not deliver, by its error code.
--   run_id integer
--   campaign text
--   code integer: the provider's error code; null when it gave none
--   words text: what the code means, in the provider's words
--   messages bigint

CREATE OR REPLACE FUNCTION audit_log_stays()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'the audit log is only appended to: % refused', lower(tg_op)
    using hint = 'docs/access.md says what to do if it must be';
end $function$;

CREATE OR REPLACE FUNCTION capped(ids bigint[], keys text[], above integer, mosts integer[], withins interval[], moment timestamp with time zone)
 RETURNS TABLE(message bigint, free_at timestamp with time zone)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION ensure_month(month integer)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  suffix text := to_char(make_date(2026 + month / 12, month % 12 + 1, 1), 'YYYY_MM');
  lo bigint := month::bigint << 44;
  hi bigint := (month + 1)::bigint << 44;
begin
  if to_regclass('messages_' || suffix) is not null and to_regclass('attempts_' || suffix) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('sapa ensure_month', 0)); -- two plans at once
  execute format('create table if not exists messages_%s partition of messages for values from (%s) to (%s) with (fillfactor = 50)', suffix, lo, hi);
  execute format('create table if not exists attempts_%s partition of attempts for values from (%s) to (%s)', suffix, lo, hi);
end $function$;

CREATE OR REPLACE FUNCTION quiet_until(at timestamp with time zone, zone text, starts time without time zone, ends time without time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when starts > ends and (at at time zone zone)::time >= starts then ((at at time zone zone)::date + 1 + ends) at time zone zone
    when (starts > ends or (at at time zone zone)::time >= starts) and (at at time zone zone)::time < ends
      then ((at at time zone zone)::date + ends) at time zone zone
    else at end
$function$;

CREATE OR REPLACE FUNCTION without_addresses(words text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select regexp_replace(words, '<?[^[:space:]<>@]+@[^[:space:]<>@,;]+>?', '<address>', 'g')
$function$;
