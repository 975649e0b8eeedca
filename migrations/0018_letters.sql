-- Letters and postcards on paper (channels/letter): as they were composed, until somebody has them printed, posts them and says
-- so; and the ones that came back. docs/letters.md has the whole.

create table letters (
  message_id bigint primary key,
  run_id int not null,
  code text collate "C" not null unique,
  size text not null,
  content jsonb,
  front bytea,
  composed_at timestamptz not null,
  batch int,
  place int,
  confirmed_at timestamptz,
  returned_at timestamptz,
  return_reason text check (return_reason in ('moved', 'unknown', 'refused', 'other')),
  check ((batch is null) = (place is null)),
  check (batch is not null or confirmed_at is null),
  check ((returned_at is null) = (return_reason is null))
);
create index letters_run on letters (run_id, batch, place);

comment on table letters is 'one row for each message of channel letter, as it was composed; only what is planned in table messages is printed';
comment on column letters.code is 'printed on the piece, by which undeliverable mail is recorded back';
comment on column letters.content is 'address, text and link; null: the customer was erased, or retention has blanked it';
comment on column letters.front is 'the picture: SHA-256, as in letter_pictures';
comment on column letters.batch is 'which of the run''s batches it was printed in; null: not printed yet';
comment on column letters.confirmed_at is 'when somebody said that it was posted';

create table letter_batches (
  run_id int not null,
  number int not null,
  pieces int not null,
  printed_at timestamptz not null,
  printed_by text not null,
  settings jsonb not null,
  confirmed_at timestamptz,
  confirmed_by text,
  primary key (run_id, number)
);

comment on table letter_batches is 'letters of a run that were printed together: one PDF';
comment on column letter_batches.settings is 'what all pieces have in common, such as the sender, so that the batch can be printed again';
comment on column letter_batches.confirmed_at is 'when somebody said that it was posted; null: not yet';

create table letter_pictures (
  hash bytea primary key,
  data bytea not null
);

comment on table letter_pictures is 'pictures of letters and postcards, by the SHA-256 of the file';

create view report_letters as
select l.message_id, l.run_id, c.name as campaign, l.size, l.batch, b.printed_at, l.confirmed_at as posted_at, l.returned_at, l.return_reason
from letters l
join runs r on r.id = l.run_id
join campaigns c on c.id = r.campaign_id
left join letter_batches b on (b.run_id, b.number) = (l.run_id, l.batch);

comment on view report_letters is 'Letters and postcards on paper: when each was printed, posted, and came back, and why.';
comment on column report_letters.message_id is 'of the letter';
comment on column report_letters.size is 'a4, letter, postcard-a6 or postcard-4x6';
comment on column report_letters.batch is 'which of the run''s batches it was printed in; null: not printed yet';
comment on column report_letters.printed_at is 'when its batch was made';
comment on column report_letters.posted_at is 'when somebody said that it was posted; null: not yet, or it was cancelled or erased before';
comment on column report_letters.returned_at is 'when it was recorded as come back';
comment on column report_letters.return_reason is 'moved, unknown, refused or other';
