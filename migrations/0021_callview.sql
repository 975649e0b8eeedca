-- What came of calls, by run and outcome, for those who read with SQL.
create view report_call_outcomes as
select t.run_id, g.name as campaign,
       case t.kind when 'call_back' then 'call back' else replace(substr(t.kind, 6), '_', ' ') end as outcome,
       sum(t.uniq)::bigint as customers, sum(t.total)::bigint as calls
from response_totals t
join runs r on r.id = t.run_id
join campaigns g on g.id = r.campaign_id
where t.kind like 'call\_%'
group by t.run_id, g.name, t.kind;

comment on view report_call_outcomes is 'One row per run and outcome of calls that agents made. The same numbers as sapa report.';
comment on column report_call_outcomes.outcome is 'reached, interested, order, call back, no answer, wrong number or do not call';
comment on column report_call_outcomes.customers is 'with whom a call came to that at least once; one may have had several outcomes, such as no answer first';
comment on column report_call_outcomes.calls is 'all calls that came to that';
