package response

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// CodeLength is how many characters the code of a short link has.
const CodeLength = 8

// codeLetters are what codes are made of. All of them are in GSM-7's alphabet (3GPP TS 23.038).
const codeLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// NewCode draws a code: 62⁸, or 2 × 10¹⁴, are possible.
func NewCode() string {
	code := make([]byte, 0, CodeLength)
	var drawn [2 * CodeLength]byte
	for len(code) < CodeLength {
		_, _ = rand.Read(drawn[:]) // it never fails
		for _, b := range drawn {
			if int(b) < 256-256%len(codeLetters) && len(code) < CodeLength { // otherwise the first letters would be likelier
				code = append(code, codeLetters[int(b)%len(codeLetters)])
			}
		}
	}
	return string(code)
}

// isCode says whether a text has a code's form.
func isCode(text string) bool {
	if len(text) != CodeLength {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// ShortLink is what a code stands for: a link of a text message, or one of our own pages about it.
type ShortLink struct {
	Code      string // see NewCode
	MessageID int64
	Page      Kind   // Unsubscribe, PreferencesPage or ConfirmPage; 0: a link
	Part      Part   // of a link: the channel by which the message goes; "" is SMS
	Link      int    // position of the link among the version's short links, of all channels; 0 for a page
	Query     string // the personal part of the link's query, without "?"; "" for a page
}

// shortPage is one of our own pages that a short link can lead to.
type shortPage struct {
	kind Kind
	part string // its word in column part
	path string // of its token, from a short link's
}

func shortPages() []shortPage {
	return []shortPage{{Unsubscribe, "unsubscribe", "../u/"}, {PreferencesPage, "preferences", "../p/"}, {ConfirmPage, "confirm", "../k/"}}
}

func (l *ShortLink) part() string {
	for _, p := range shortPages() {
		if p.kind == l.Page {
			return p.part
		}
	}
	return cmp.Or(l.Part, SMS).String()
}

// KeepShortLinks makes short links durable, all in one statement, and returns their codes in the same order. A link that
// was kept before has the code of then, so that a message which is tried again says the same; for one whose code is
// taken by another, a new one is drawn.
func KeepShortLinks(ctx context.Context, db pg.DBTX, links []ShortLink, now time.Time) ([]string, error) {
	codes := make([]string, len(links))
	open := make([]int, len(links)) // places of those without a code yet
	for i := range open {
		open[i] = i
	}
	for range 10 {
		if len(open) == 0 {
			return codes, nil
		}
		if err := keepShortLinks(ctx, db, links, open, codes, now); err != nil {
			return nil, fmt.Errorf("keep %d short links: %w", len(links), err)
		}
		left := open[:0]
		for _, i := range open {
			if codes[i] == "" {
				left = append(left, i)
				links[i].Code = NewCode()
			}
		}
		open = left
	}
	return nil, errors.New("keep short links: their codes are taken again and again")
}

// keepShortLinks tries once. A code that stays empty is taken, or the link was kept by somebody else at this moment: the
// next statement sees which.
func keepShortLinks(ctx context.Context, db pg.DBTX, links []ShortLink, open []int, codes []string, now time.Time) error {
	n := len(open)
	drawn, message, part := make([]string, n), make([]int64, n), make([]string, n)
	link, query := make([]int16, n), make([]string, n)
	for j, i := range open {
		l := &links[i]
		drawn[j], message[j], part[j], link[j], query[j] = l.Code, l.MessageID, l.part(), int16(l.Link), l.Query //nolint:gosec // links are few
	}
	rows, _ := db.Query(ctx, `
		with wanted as (
			select * from unnest($1::text[], $2::bigint[], $3::text[], $4::smallint[], $5::text[])
				with ordinality as w(code, message_id, part, link, query, place)
		), made as (
			insert into short_links (code, message_id, part, link, query, made_at)
			select code, message_id, part, link, query, $6::timestamptz from wanted order by message_id, part, link, query
			on conflict do nothing
			returning code, message_id, part, link, query
		), known as (
			select code, message_id, part, link, query from made
			union all
			select s.code, message_id, part, link, query from short_links s join wanted w using (message_id, part, link, query)
		)
		select w.place, k.code from wanted w join known k using (message_id, part, link, query)`,
		drawn, message, part, link, query, now)
	var place int
	var code string
	_, err := pgx.ForEachRow(rows, []any{&place, &code}, func() error {
		codes[open[place-1]] = code
		return nil
	})
	return err
}

// ClickCode is Click for the code of a short link: it records that the link was followed and returns where it leads. A
// code of one of our own pages leads there, by an address relative to the code's own, and is not recorded: the page
// does that itself. An unknown code is an ErrNoLink.
func (t *Tracker) ClickCode(ctx context.Context, code string, v Visit) (target string, err error) {
	tok, target, err := t.followCode(ctx, code)
	if err != nil || tok.Kind != Click {
		return target, err
	}
	t.record(ctx, newHit(tok, HitClick, v))
	return target, nil
}

func (t *Tracker) followCode(ctx context.Context, code string) (tok Token, target string, err error) {
	if !isCode(code) {
		return tok, "", fmt.Errorf("not a code: %w", ErrNoLink)
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpPatience)
	defer cancel()
	var part string
	err = t.pool.QueryRow(ctx, `select message_id, part, link, coalesce(query, '') from short_links where code = $1`, code).
		Scan(&tok.MessageID, &part, &tok.Link, &tok.Query)
	if errors.Is(err, pgx.ErrNoRows) {
		return tok, "", fmt.Errorf("the code is unknown: %w", ErrNoLink)
	}
	if err != nil {
		return tok, "", fmt.Errorf("look up a short link: %w", err)
	}
	for _, p := range shortPages() {
		if p.part == part {
			tok.Kind = p.kind
			text, err := t.keys.Sign(Token{Kind: p.kind, MessageID: tok.MessageID})
			return tok, p.path + text, err
		}
	}
	run, err := t.run(ctx, tok.MessageID)
	if err != nil {
		return tok, "", err
	}
	tok.Kind, tok.Part = Click, Part(part)
	address, err := t.links.find(ctx, run.Version, linkKey{part, tok.Link})
	if errors.Is(err, ErrNoLink) { // all short links of a version counted as those of texts once, in the same order
		tok.Part = SMS
		address, err = t.links.find(ctx, run.Version, linkKey{SMS.String(), tok.Link})
	}
	if err != nil {
		return tok, "", err
	}
	target, err = appendQuery(address, tok.Query)
	return tok, target, err
}
