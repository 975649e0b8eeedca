-- A process claims a batch's messages together and then lets its connections have them a few at a time. What it may have
-- handed over is known before it is: a process that dies leaves only those unknown, and the rest of its claim is planned again.
alter table batches add column handed_to bigint;
comment on column batches.handed_to is 'of the messages claimed under this lease, those up to this id may have been handed over; null: none';

-- Messages that somebody waits for (a confirmation, the answer to an event) go before those of a big run.
alter table batches add column triggered boolean not null default false;
comment on column batches.triggered is 'sent by jobs of their own, before the batches of big runs';
