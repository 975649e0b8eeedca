-- The rates of provider accounts, which hold across processes. A process leases slots: the next moments at which messages
-- may be handed over, by the database's clock. Slots that it does not use lapse.
create table send_slots (
  account text primary key,        -- of a provider, such as "email smtp://mail.example:587"
  next_at timestamptz not null     -- the first slot that nobody has leased
);
comment on table send_slots is 'up to when the sending slots of each provider account are leased';
