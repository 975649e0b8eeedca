package customer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/customer/importer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
)

// SuppressionList is a list of addresses that must not be used, to be imported.
type SuppressionList struct {
	Source  *importer.Source
	Channel string // "": as the list's column says, or guessed from each address
	Column  string // with the addresses; "": found by its name
	Hashed  bool   // digests instead of addresses, see Digest
	Reason  string // where the list gives none
	Actor   string
	Region  string // by which phone numbers without a country code are read
	Rejects string // path of the file of rejects; "": the source's name with .rejects.csv
	Now     time.Time
}

// ListResult is what importing a list did.
type ListResult struct {
	Records  int    // in the list
	Added    int    // what was not there before
	Already  int    // what was
	Repeated int    // what the list says more than once
	Older    int    // of consents: what the customer has spoken on since
	Pending  int    // of consents, among Added: what the customer is still to confirm
	Rejected int    // what can't be used
	Rejects  string // file of the rejects; "" when there are none
}

// ErrNoRecord says that nothing of a list can be used.
var ErrNoRecord = errors.New("nothing in it can be used")

// ImportSuppressions suppresses what a list names, in one transaction and constant memory. Doing it again adds nothing.
// What can't be read goes to the file of rejects; where that is everything, the error is an ErrNoRecord.
func ImportSuppressions(ctx context.Context, db pg.DBTX, l SuppressionList) (ListResult, error) {
	r := &suppressionReader{list: l}
	return importList(ctx, db, l.Source, l.Rejects, r.named, func(tx pgx.Tx, in *listReader) (ListResult, error) {
		if err := r.columns(in.records.Columns); err != nil {
			return ListResult{}, err
		}
		hasher, err := LoadHasher(ctx, tx)
		if err != nil {
			return ListResult{}, err
		}
		r.hasher = hasher
		return r.load(ctx, tx, in)
	})
}

// suppressionReader turns a list's records into rows of the temporary table listed.
type suppressionReader struct {
	list   SuppressionList
	hasher *Hasher

	address, channel, reason, at int // places of columns; -1: there is none
	title                        string
	digests                      int // lines of a list of addresses that look like digests
}

// Names under which lists have their addresses, digests, and what belongs to them.
func addressNames() []string {
	return []string{"address", "email", "e-mail", "email_address", "email address", "mail", "alamat email", "phone", "phone_number", "phone number", "mobile", "msisdn", "telepon", "no hp", "nomor", "number"}
}

func digestNames() []string {
	return []string{"sha256", "digest", "hash", "email_sha256", "sha256_email", "hashed_email", "phone_sha256", "hashed_phone"}
}

// named says whether a list's first record names the columns: where it does not hold what the list is of.
func (r *suppressionReader) named(first []string) bool {
	if slices.ContainsFunc(first, r.strayDigest) {
		return false
	}
	if r.list.Column != "" || slices.ContainsFunc(first, func(v string) bool { return slices.Contains(r.names(), strings.ToLower(v)) }) {
		return true
	}
	return !slices.ContainsFunc(first, func(v string) bool { _, reason := r.read(v, ""); return reason == "" })
}

func (r *suppressionReader) names() []string {
	if r.list.Hashed {
		return digestNames()
	}
	return addressNames()
}

// columns finds the list's columns.
func (r *suppressionReader) columns(names []string) (err error) {
	r.address, r.channel, r.reason, r.at = 0, -1, -1, -1
	if names == nil {
		r.title = ""
		return nil
	}
	find := func(wanted ...string) int {
		return slices.IndexFunc(names, func(n string) bool { return slices.Contains(wanted, strings.ToLower(n)) })
	}
	r.channel, r.reason, r.at = find("channel"), find("reason"), find("at")
	switch r.address = find(r.names()...); {
	case r.list.Column != "":
		if r.address = find(strings.ToLower(r.list.Column)); r.address < 0 {
			return fmt.Errorf("%s has no column %q; %s", r.list.Source.Name, r.list.Column, diag.DidYouMean(r.list.Column, names))
		}
	case r.address < 0 && !r.list.Hashed && find(digestNames()...) >= 0:
		return fmt.Errorf("its column %s looks like SHA-256: add --hashed --channel %s", names[find(digestNames()...)], r.likelyChannel())
	case r.address < 0 && len(names) == 1:
		r.address = 0
	case r.address < 0:
		return fmt.Errorf("%s: which column has the addresses? say --column NAME; its columns are %s", r.list.Source.Name, strings.Join(names, ", "))
	}
	r.title = names[r.address]
	return nil
}

// listedRow is a row of table listed.
type listedRow struct {
	line         int
	channel      string
	digest, hash []byte
	address      *string
	reason       string
	at           time.Time
}

// read is the normalised address, or in a hashed list the digest, with its channel; or why it is none.
func (r *suppressionReader) read(value, channel string) (row listedRow, reason string) {
	if channel == "" {
		channel = GuessChannel(value)
	}
	row = listedRow{channel: channel, reason: r.list.Reason, at: r.list.Now}
	if r.list.Hashed {
		row.digest, reason = readDigest(value)
		return row, reason
	}
	a, err := readSuppressible(channel, value, r.list.Region)
	switch {
	case err != nil:
		return row, err.Error()
	case !a.Usable():
		return row, a.Reason
	}
	row.digest, row.address = Digest(a.Normalised), &a.Normalised
	return row, ""
}

// strayDigest says whether a list of addresses has a digest where an address should be.
func (r *suppressionReader) strayDigest(value string) bool {
	_, reason := readDigest(value)
	return !r.list.Hashed && reason == ""
}

// checkDigests refuses a list of digests that was taken for one of addresses.
func (r *suppressionReader) checkDigests() error {
	if r.digests == 0 {
		return nil
	}
	look := "lines look"
	if r.digests == 1 {
		look = "lines looks"
	}
	return fmt.Errorf("%d of its %s like SHA-256: add --hashed --channel %s", r.digests, look, r.likelyChannel())
}

// likelyChannel is the channel that a hashed list is most likely of.
func (r *suppressionReader) likelyChannel() string {
	if r.list.Channel != "" {
		return r.list.Channel
	}
	return "email"
}

func readDigest(value string) ([]byte, string) {
	digest, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(value), "0x"))
	switch {
	case value == "":
		return nil, "empty"
	case strings.Contains(value, "@"):
		return nil, "an address, and not its SHA-256"
	case err != nil || len(digest) != 32:
		return nil, "no SHA-256 of 64 hexadecimal digits"
	}
	return digest, ""
}

// GuessChannel is the channel that an address is of: e-mail where there is an @, else SMS.
func GuessChannel(address string) string {
	if strings.Contains(address, "@") {
		return "email"
	}
	return "sms"
}

// readSuppressible reads an address that is to be suppressed: also a phone that can't show texts.
func readSuppressible(channel, raw, region string) (Address, error) {
	if showsTexts(channel) {
		return NormalisePhone(raw, region), nil
	}
	return Normalise(channel, raw, region)
}

// row makes a row of a record, or says in which column it can't be used and why.
func (r *suppressionReader) row(rec importer.Record) (row listedRow, column, value, reason string) {
	value = rec.Values[r.address]
	channel := r.list.Channel
	if r.channel >= 0 && channel == "" {
		if channel = strings.ToLower(rec.Values[r.channel]); channel != "" && !slices.Contains(Suppressible(), channel) {
			return row, "channel", channel, "no channel whose addresses can be suppressed; " + diag.DidYouMean(channel, Suppressible())
		}
	}
	if channel == "" && r.list.Hashed {
		return row, "channel", "", "a digest does not say of which channel it is"
	}
	if r.strayDigest(value) {
		r.digests++
	}
	if row, reason = r.read(value, channel); reason != "" {
		return row, r.title, value, reason
	}
	row.line = rec.Line
	if row.address != nil {
		row.hash = r.hasher.Hash(row.channel, *row.address)
	}
	if r.reason >= 0 && rec.Values[r.reason] != "" {
		row.reason = cutWords(rec.Values[r.reason])
	}
	if r.at >= 0 && rec.Values[r.at] != "" {
		if row.at, reason = readMoment(rec.Values[r.at], r.list.Now); reason != "" {
			return row, "at", rec.Values[r.at], reason
		}
	}
	return row, "", "", ""
}

// cutWords bounds a reason that somebody wrote, in runes.
func cutWords(s string) string {
	const most = 200
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most])
	}
	return s
}

// readMoment reads the time at which something was said, which has passed.
func readMoment(text string, now time.Time) (at time.Time, reason string) {
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			if at.After(now.Add(24 * time.Hour)) {
				return at, "a time that is still to come"
			}
			return at, ""
		}
	}
	return at, "no time: write 2026-11-23 or 2026-11-23T08:00:00+07:00"
}

// load stages the list and suppresses what it names.
func (r *suppressionReader) load(ctx context.Context, tx pgx.Tx, in *listReader) (res ListResult, err error) {
	_, err = tx.Exec(ctx, `create temporary table listed (
		line int, channel text, digest bytea, hash bytea, address text, reason text, at timestamptz) on commit drop`)
	if err != nil {
		return res, err
	}
	n, err := in.copy(ctx, tx, "listed", []string{"line", "channel", "digest", "hash", "address", "reason", "at"}, func(rec importer.Record) ([][]any, string, string, string) {
		row, column, value, reason := r.row(rec)
		return [][]any{{row.line, row.channel, row.digest, row.hash, row.address, row.reason, row.at}}, column, value, reason
	})
	if err = errors.Join(err, r.checkDigests()); err != nil || n == 0 {
		return res, err
	}
	if err := ShareErasures(ctx, tx); err != nil {
		return res, err
	}
	for _, channel := range Suppressible() { // in this order, as nobody else holds several
		if err := lockAddressBook(ctx, tx, channel); err != nil {
			return res, err
		}
	}
	sql := suppressListed
	if r.list.Hashed {
		if err := matchListed(ctx, tx); err != nil {
			return res, err
		}
		sql = suppressMatched
	}
	source := "import by " + r.list.Actor
	if _, err = tx.Exec(ctx, `analyze listed`); err != nil {
		return res, err
	}
	var distinct int
	if err := tx.QueryRow(ctx, sql, pgx.NamedArgs{"source": source}).Scan(&res.Added, &distinct); err != nil {
		return res, err
	}
	res.Already, res.Repeated = distinct-res.Added, n-distinct
	return res, access.Record(ctx, tx, access.Entry{Actor: r.list.Actor, Action: "suppress", Subject: "list", Detail: map[string]any{
		"added": res.Added, "already": res.Already, "rejected": in.rejects.Count(), "hashed": r.list.Hashed,
	}})
}

// What is known by its digest only keeps the reason that the digest came with.
const suppressListed = `
with one as (
	select distinct on (channel, hash) * from listed order by channel, hash, line
), met as (
	delete from suppressed_digests d using one o where d.channel = o.channel and d.digest = o.digest
	returning d.channel, o.hash, d.reason, d.source, d.at
), added as (
	insert into suppressions (channel, hash, address, reason, source, at)
	select o.channel, o.hash, o.address, coalesce(m.reason, o.reason), coalesce(m.source, @source), coalesce(m.at, o.at)
	from one o left join met m on m.channel = o.channel and m.hash = o.hash
	order by 1, 2
	on conflict do nothing
	returning channel, hash
)
select (select count(*) from added a where not exists (select from met m where m.channel = a.channel and m.hash = a.hash)),
       (select count(*) from one)`

const suppressMatched = `
with one as (
	select distinct on (channel, digest) * from listed order by channel, digest, line
), added as (
	insert into suppressions (channel, hash, address, reason, source, at)
	select o.channel, m.hash, m.address, o.reason, @source, o.at
	from one o join matched m on m.channel = o.channel and m.digest = o.digest
	order by 1, 2
	on conflict do nothing
	returning 1
), kept as (
	insert into suppressed_digests (channel, digest, reason, source, at)
	select o.channel, o.digest, o.reason, @source, o.at
	from one o where not exists (select from matched m where m.channel = o.channel and m.digest = o.digest)
	order by 1, 2
	on conflict do nothing
	returning 1
)
select (select count(*) from added) + (select count(*) from kept), (select count(*) from one)`

// knownAddresses are all that we know, in the book or suppressed.
const knownAddresses = `(
	select channel, hash, normalised as address from addresses where hash is not null
	union all
	select channel, hash, address from suppressions where address is not null)`

// matchListed makes temporary table matched: the listed digests whose address is known. PostgreSQL makes the digests of
// addresses in ASCII, which almost all are; how it lowers other letters depends on the database's collation, so their
// digests are made here.
func matchListed(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		create temporary table matched on commit drop as
		select distinct on (l.channel, l.digest) l.channel, l.digest, k.hash, k.address
		from listed l join `+knownAddresses+` k
		  on k.channel = l.channel and sha256(convert_to(lower(k.address collate "C"), 'UTF8')) = l.digest
		where octet_length(k.address) = char_length(k.address)
		order by 1, 2`)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `select channel, hash, address from `+knownAddresses+` k where octet_length(address) <> char_length(address)`)
	if err != nil {
		return err
	}
	var channel, address string
	var hash []byte
	var channels, addresses []string
	var hashes, digests [][]byte
	_, err = pgx.ForEachRow(rows, []any{&channel, &hash, &address}, func() error {
		channels, addresses = append(channels, channel), append(addresses, address)
		hashes, digests = append(hashes, slices.Clone(hash)), append(digests, Digest(address))
		return nil
	})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into matched
		select distinct on (u.channel, u.digest) u.channel, u.digest, u.hash, u.address
		from unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[]) u (channel, digest, hash, address)
		where exists (select from listed l where l.channel = u.channel and l.digest = u.digest)
		order by 1, 2`, channels, digests, hashes, addresses)
	return err
}
