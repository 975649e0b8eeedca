-- Messages without an answer are looked up at their provider (delivery/lookup.go), and are few.
create index attempts_unknown on attempts (message_id) where verdict = 'unknown';

-- What customers answered on the spot, by their words: the keys that they pressed during a call.
create view report_answers as
select r.id as run_id, c.name as campaign, x.part as answer, sum(x.uniq)::bigint as messages, sum(x.total)::bigint as answers
from response_totals x
join runs r on r.id = x.run_id
join campaigns c on c.id = r.campaign_id
where x.kind = 'reply' and x.link = 0
group by r.id, c.name, x.part;

comment on view report_answers is 'One row per run and answer that customers gave on the spot, such as by a key of the phone.';
comment on column report_answers.answer is 'the campaign''s word for it, such as interested';
comment on column report_answers.messages is 'messages that were answered so';
comment on column report_answers.answers is 'all such answers';
