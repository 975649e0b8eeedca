-- What a run's rules need of all customers: percentile(…) and rfm(…) part the customer base into hundredths. The
-- thresholds are found out once, when the run is first planned, and used whenever the run asks its rules again.

alter table runs add given jsonb;         -- by expression: {"of": "customer.income", "type": "bigint", "below": ["1200", …]}; null: no rule needs any

comment on column runs.given is 'thresholds of the customer base that the run''s rules refer to';
