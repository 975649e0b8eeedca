-- A message is changed twice at least: when it is claimed, and when its outcome is known. With room for both versions on
-- the page neither change touches an index.
create or replace function ensure_month(month int) returns void language plpgsql as $$
declare
  suffix text := to_char(make_date(2026 + month / 12, month % 12 + 1, 1), 'YYYY_MM');
  lo bigint := month::bigint << 44;
  hi bigint := (month + 1)::bigint << 44;
begin
  if to_regclass('messages_' || suffix) is not null and to_regclass('attempts_' || suffix) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('sapa ensure_month', 0)); -- two plans at once
  execute format('create table if not exists messages_%s partition of messages for values from (%s) to (%s) with (fillfactor = 50)', suffix, lo, hi);
  execute format('create table if not exists attempts_%s partition of attempts for values from (%s) to (%s)', suffix, lo, hi);
end $$;
