-- What people of the company were told about customers: rows of a desk's page. They are written by channel alert, marked as
-- done by who has seen to them, and deleted when they are old, or the customer is erased.
create table alerts (
  id           bigint generated always as identity primary key,
  message_id   bigint not null unique,
  desk         text not null,            -- a key of channels.alert.desks in sapa.yaml
  title        text not null,
  text         text not null default '',
  customer_key text,
  campaign     text not null,
  at           timestamptz not null,
  done_at      timestamptz,
  done_by      text,
  check ((done_at is null) = (done_by is null))
);
create index alerts_open on alerts (desk, id) where done_at is null;
create index alerts_desk on alerts (desk, id);
create index alerts_customer on alerts (customer_key) where customer_key is not null;
create index alerts_at on alerts (at);

comment on table alerts is 'what people of the company were told about customers, and who has seen to it';
comment on column alerts.message_id is 'the message that it is; its state says nothing about whether somebody has seen to it';
comment on column alerts.desk is 'a key of channels.alert.desks in sapa.yaml';
comment on column alerts.done_by is 'the user who has seen to it';
