-- Suppression lists that came as digests, and what consent needs to be asked quickly.

-- SHA-256 of normalised addresses in lower case, as lists are exchanged, of addresses that were not in the address book
-- yet. An address that comes into it is looked for here, and moves to suppressions: plans and claims ask only there.
create table suppressed_digests (
  channel text not null,
  digest  bytea not null check (length(digest) = 32),
  reason  text not null,
  source  text not null,
  at      timestamptz not null,
  primary key (channel, digest)
);

-- Who is still to confirm, for campaigns that ask for it.
create index consents_pending on consents (topic, customer_key) where pending;
-- Whose pause has been ended.
create index consents_resumes on consents (customer_key, id) where resumes;
