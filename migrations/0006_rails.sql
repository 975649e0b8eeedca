-- What keeps a campaign from doing harm: versions that a second person must approve, campaigns in quarantine, copies for
-- the company's own people, and from where a run's shares of failures are counted.

-- A version that somebody else than who applied it must approve before anything runs by it. A version without a row needed
-- nobody's approval.
create table approvals (
  version_id  int primary key references versions,
  state       text not null check (state in ('waiting', 'approved', 'withdrawn')), -- withdrawn: another version came instead
  required    boolean not null,          -- the version itself asks for approval; false: only the one before did
  decided_at  timestamptz,
  decided_by  text                       -- who approved it; null while it waits and when it was withdrawn
);
create index approvals_waiting on approvals (version_id) where state = 'waiting';

-- Campaigns that make no runs, because a version's template failed for too many people.
create table quarantines (
  campaign_id int primary key references campaigns,
  version_id  int not null references versions,
  run_id      int not null,              -- the run that showed it
  reason      text not null,
  at          timestamptz not null default now()
);

-- From where pause_if counts: what a run's numbers were when a person let it go on. No row: from nothing.
create table run_baselines (
  run_id       int primary key references runs,
  outcomes     bigint not null,
  bounces      bigint not null,
  failures     bigint not null,
  content      bigint not null,
  unsubscribes bigint not null,
  at           timestamptz not null default now()
);

-- The copies of a run for the company's own people: at most one for each address, not in the totals. A row is committed as
-- claimed before the copy is handed over.
create table seed_messages (
  run_id  int not null references runs,
  channel text not null,
  address text not null,                 -- normalised
  state   text not null check (state in ('claimed', 'sent', 'failed', 'skipped', 'unknown')),
  worker  int not null,                  -- who claimed it
  at      timestamptz not null,
  words   text,                          -- the provider's, or why it was skipped
  primary key (run_id, channel, address)
);
create index seed_messages_claimed on seed_messages (worker) where state = 'claimed';
