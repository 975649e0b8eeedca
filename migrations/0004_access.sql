-- Who may do what: the users of the private listener, their sessions and API tokens, and an audit log that stays as it
-- was written. Secrets are kept as hashes only.

create table users (
  id          int generated always as identity primary key,
  name        text collate "C" not null unique check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  role        text not null check (role in ('marketer', 'agent', 'analyst', 'operator')),
  password    text,                       -- argon2id in PHC string format; null: none, only API tokens
  disabled_at timestamptz,
  created_at  timestamptz not null
);

-- Of people at the pages. The cookie has the value, this table its SHA-256.
create table sessions (
  hash       bytea primary key check (length(hash) = 32),
  user_id    int not null references users,
  created_at timestamptz not null,
  seen_at    timestamptz not null,        -- to the minute
  expires_at timestamptz not null
);
create index sessions_user on sessions (user_id);

-- Of programs. Revoked ones stay, so that their numbers in the audit log mean something.
create table api_tokens (
  id         int generated always as identity primary key,
  user_id    int not null references users,
  hash       bytea not null unique check (length(hash) = 32), -- SHA-256
  label      text not null default '',
  created_at timestamptz not null,
  expires_at timestamptz,                 -- null: never
  used_at    timestamptz,                 -- to the minute
  revoked_at timestamptz
);
create index api_tokens_user on api_tokens (user_id);

-- Wrong passwords and tokens, so that guessing gets slower, on all nodes together. Whose is a keyed hash: people type
-- passwords into the field for names, and addresses are personal data. Forgotten a day after the last failure.
create table login_failures (
  kind          text not null check (kind in ('account', 'address', 'token')),
  whose         bytea not null,           -- HMAC-SHA256 of the account's name, or of the network that it came from
  failures      int not null,             -- in a row
  last_at       timestamptz not null,
  blocked_until timestamptz,
  primary key (kind, whose)
);
create index login_failures_last on login_failures (last_at);

-- sapa log reads from the end; these serve its filters.
create index audit_log_actor on audit_log (actor, id);
create index audit_log_subject on audit_log (subject, id);
create index audit_log_at on audit_log (at);

-- What is written stays. It has no personal data, so erasing a customer never needs it. Who must change it all the same
-- disables the trigger, which only the tables' owner can.
create function audit_log_stays() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is only appended to: % refused', lower(tg_op)
    using hint = 'docs/access.md says what to do if it must be';
end $$;
create trigger audit_log_stays before update or delete or truncate on audit_log
  for each statement execute function audit_log_stays();
