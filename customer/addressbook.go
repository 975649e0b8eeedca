package customer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/pg"
)

// MaxRawAddress is how many characters of an address column are looked at: left(column, 512).
const MaxRawAddress = 512

// AddressStats is what filling the address book found.
type AddressStats struct {
	New     int            // addresses not seen before
	Refused map[string]int // how many of them can't be used, by reason
}

// FillAddressBook makes sure that every address which the source yields is in the table addresses with what it means,
// so that planning can join it. The source is a SELECT of two columns, the raw address and the customer's region (text,
// ” when unknown), with args as $1, $2 …; it may yield what the book has already, duplicates and nulls. Each unseen
// value is normalised once, in Go, in chunks, in constant memory, in one transaction. Where there are unseen values, the
// transaction holds a lock until its end, so that two plans with the same new customers wait for each other instead of
// ending in a deadlock.
//
// Addresses are the same when channel, region and the written text are the same. Two customers with one address are
// two customers, and each gets messages.
func FillAddressBook(ctx context.Context, db pg.DBTX, channel, source string, args ...any) (AddressStats, error) {
	stats := AddressStats{Refused: map[string]int{}}
	normalise, err := normaliser(channel)
	if err != nil {
		return stats, err
	}
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		hasher, err := LoadHasher(ctx, tx)
		if err != nil {
			return err
		}
		f := filler{tx: tx, channel: channel, normalise: normalise, hasher: hasher, stats: &stats}
		return f.fill(ctx, source, args)
	})
	if err != nil {
		return stats, fmt.Errorf("fill the address book for %s: %w", channel, err)
	}
	return stats, nil
}

// normaliser is how a channel's addresses are read.
func normaliser(channel string) (func(raw, region string) Address, error) {
	switch addressKind(channel) {
	case channels.NoAddress:
	case channels.MailAddress:
		return func(raw, _ string) Address { return NormaliseEmail(raw) }, nil
	case channels.PhoneAddress:
		if showsTexts(channel) {
			return NormaliseMobile, nil
		}
		return NormalisePhone, nil
	case channels.PostAddress:
		return NormalisePost, nil
	}
	return nil, fmt.Errorf("the channel %q has no addresses that can be read", channel)
}

// showsTexts says whether a channel to numbers reaches telephones that can show texts, and no others.
func showsTexts(channel string) bool { return channel == "sms" || channel == "whatsapp" }

// filler is one run of FillAddressBook.
type filler struct {
	tx        pgx.Tx
	channel   string
	normalise func(raw, region string) Address
	hasher    *Hasher
	stats     *AddressStats
	lists     bool // there are digests of suppressed addresses that nobody has met yet
}

// addressChunk is how many addresses are read and written at a time.
const addressChunk = 5000

func (f *filler) fill(ctx context.Context, source string, args []any) error {
	query := fmt.Sprintf(`
		select distinct s.raw, s.region from (
		  select left(raw, %d) collate "C" as raw, coalesce(region, '') as region from (%s) given (raw, region)
		) s
		where s.raw is not null and not exists (
		  select from addresses a where a.channel = $%d and a.region = s.region and a.raw = s.raw)`,
		MaxRawAddress, source, len(args)+1)
	args = append(args[:len(args):len(args)], f.channel)
	var any bool
	if err := f.tx.QueryRow(ctx, `select exists (`+query+`)`, args...).Scan(&any); err != nil || !any {
		return err
	}
	if err := lockAddressBook(ctx, f.tx, f.channel); err != nil {
		return err
	}
	err := f.tx.QueryRow(ctx, `select exists (select from suppressed_digests where channel = $1)`, f.channel).Scan(&f.lists)
	if err != nil {
		return err
	}
	if _, err := f.tx.Exec(ctx, `declare sapa_unseen no scroll cursor for `+query, args...); err != nil {
		return err
	}
	for {
		found, err := f.chunk(ctx)
		if err != nil {
			return err
		}
		if found == 0 {
			_, err := f.tx.Exec(ctx, `close sapa_unseen`)
			return err
		}
	}
}

// lockAddressBook lets one transaction at a time bring addresses of a channel into the book, until its end. Whoever
// brings in digests of suppressed addresses holds it, too: of an address and its digest, the later one meets the earlier.
func lockAddressBook(ctx context.Context, tx pgx.Tx, channel string) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('sapa addresses ' || current_schema() || ' ' || $1, 0))`, channel)
	return err
}

// ShareErasures makes a transaction that reads addresses and writes what refers to them, or repeats them, wait for
// erasures, and the other way round (package privacy takes the same lock alone): what it reads of a customer it has
// written before they are erased, or it finds them erased. Whoever needs lockAddressBook, too, asks for this first.
func ShareErasures(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock_shared(hashtextextended('sapa erasure ' || current_schema(), 0))`); err != nil {
		return fmt.Errorf("wait for erasures: %w", err)
	}
	return nil
}

// unseen are addresses to be written, column by column.
type unseen struct {
	regions, raws, domains, kinds []string
	normalised, reasons           []*string
	hashes                        [][]byte
	digests                       [][]byte // where there are lists
}

func (f *filler) chunk(ctx context.Context) (int, error) {
	rows, err := f.tx.Query(ctx, fmt.Sprintf(`fetch %d from sapa_unseen`, addressChunk))
	if err != nil {
		return 0, err
	}
	var u unseen
	var raw, region string
	if _, err := pgx.ForEachRow(rows, []any{&raw, &region}, func() error {
		f.add(&u, raw, region)
		return nil
	}); err != nil {
		return 0, err
	}
	return len(u.raws), f.write(ctx, &u)
}

func (f *filler) add(u *unseen, raw, region string) {
	a := f.normalise(raw, region)
	u.raws, u.regions = append(u.raws, raw), append(u.regions, region)
	u.domains, u.kinds = append(u.domains, a.Domain), append(u.kinds, a.Kind)
	f.stats.New++
	if !a.Usable() {
		f.stats.Refused[a.Reason]++
		u.normalised, u.reasons, u.hashes = append(u.normalised, nil), append(u.reasons, &a.Reason), append(u.hashes, nil)
		u.digests = append(u.digests, nil)
		return
	}
	var digest []byte
	if f.lists {
		digest = Digest(a.Normalised)
	}
	u.digests = append(u.digests, digest)
	u.normalised, u.reasons = append(u.normalised, &a.Normalised), append(u.reasons, nil)
	u.hashes = append(u.hashes, f.hasher.Hash(f.channel, a.Normalised))
}

func (f *filler) write(ctx context.Context, u *unseen) error {
	_, err := f.tx.Exec(ctx, `
		insert into addresses (channel, region, raw, normalised, kind, reason, hash, domain)
		select $1, u.* from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[]) u
		on conflict (channel, region, raw) do nothing`,
		f.channel, u.regions, u.raws, u.normalised, u.kinds, u.reasons, u.hashes, u.domains)
	if err != nil || !f.lists {
		return err
	}
	_, err = f.tx.Exec(ctx, `
		with met as (
			delete from suppressed_digests d
			using (select distinct on (digest) * from unnest($2::bytea[], $3::bytea[], $4::text[]) u (digest, hash, normalised)
			       where digest is not null order by digest) u
			where d.channel = $1 and d.digest = u.digest
			returning u.hash, u.normalised, d.reason, d.source, d.at
		)
		insert into suppressions (channel, hash, address, reason, source, at)
		select $1, hash, normalised, reason, source, at from met
		on conflict do nothing`, f.channel, u.digests, u.hashes, u.normalised)
	return err
}

// Hasher makes the keyed hash by which an address is recognised after its text was erased.
type Hasher struct{ key []byte }

// LoadHasher reads the installation's oldest signing key, which is the one that hashes.
func LoadHasher(ctx context.Context, db pg.DBTX) (*Hasher, error) {
	var h Hasher
	if err := db.QueryRow(ctx, `select secret from signing_keys order by id limit 1`).Scan(&h.key); err != nil {
		return nil, fmt.Errorf("read the key that hashes addresses: %w", err)
	}
	return &h, nil
}

// Hash is HMAC-SHA256 (RFC 2104) of channel, a zero byte and the normalised address in lower case: whoever suppressed
// Budi@example.com means budi@example.com, too.
func (h *Hasher) Hash(channel, normalised string) []byte {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(channel + "\x00" + strings.ToLower(normalised)))
	return mac.Sum(nil)
}

// HashKey is HMAC-SHA256 of a customer's key, by which it is recognised after the key itself was given up. No address has
// the same hash.
func (h *Hasher) HashKey(key string) []byte {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte("customer key\x00" + key))
	return mac.Sum(nil)
}
