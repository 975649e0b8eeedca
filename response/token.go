package response

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// MaxToken is the length of the longest token in bytes, so that a link stays below the length at which mail programs
// break it.
const MaxToken = 200

const (
	tokenVersion = 1
	macSize      = 16 // HMAC-SHA256 truncated to 128 bits (RFC 2104 section 5)
	maxRaw       = MaxToken / 4 * 3
)

// A token is base64url without padding (RFC 4648 section 5) of
//
//	version << 4 | kind, 1 byte
//	key id, uvarint
//	message id, uvarint
//	of a click: part, 1 byte; position of the link, uvarint; the personal query, to the end
//	the first 16 bytes of HMAC-SHA256 over all of the above
//
// Its letters are A–Z a–z 0–9 - _, which a URL path and the local part of a Message-ID take as they are.
var tokenEncoding = base64.RawURLEncoding.Strict()

// Keyring signs and verifies tokens. The newest key signs (of Message tokens the oldest), all keys verify. It is safe for
// concurrent use.
type Keyring struct {
	keys atomic.Pointer[keys]
}

type keys struct {
	byID           map[uint64]*key
	oldest, newest *key
}

// signs is the key for new tokens of a kind. Message tokens stay with the oldest key: a message that is handed over
// again after a key was added keeps its Message-ID.
func (r *keys) signs(kind Kind) *key {
	if kind == Message {
		return r.oldest
	}
	return r.newest
}

// LoadKeyring reads the keys of table signing_keys. It fails when there is none, which migrations prevent.
func LoadKeyring(ctx context.Context, db pg.DBTX) (*Keyring, error) {
	k := new(Keyring)
	if err := k.Reload(ctx, db); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the keys again, for a process that lived while another added one.
func (k *Keyring) Reload(ctx context.Context, db pg.DBTX) error {
	type row struct {
		ID     int16
		Secret []byte
	}
	rows, _ := db.Query(ctx, `select id, secret from signing_keys order by id`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	if len(list) == 0 {
		return errors.New("load signing keys: table signing_keys is empty; restore it from a backup: without its keys no link ever sent works")
	}
	ring := &keys{byID: make(map[uint64]*key, len(list))}
	for _, r := range list {
		ring.newest = newKey(uint64(r.ID), r.Secret)
		ring.byID[ring.newest.id] = ring.newest
	}
	ring.oldest = ring.byID[uint64(list[0].ID)]
	k.keys.Store(ring)
	return nil
}

// key signs with one secret. Its HMACs are pooled: setting one up costs more than using it.
type key struct {
	id   uint64
	pool sync.Pool
}

type signer struct {
	mac hash.Hash
	raw [maxRaw + sha256.Size]byte // scratch of the token being signed or verified
	txt [512]byte                  // scratch of the URL being made
}

// newKey derives the key for tokens, so that the same secret can serve other purposes.
func newKey(id uint64, secret []byte) *key {
	derive := hmac.New(sha256.New, secret)
	derive.Write([]byte("sapa response token"))
	derived := derive.Sum(nil)
	return &key{id: id, pool: sync.Pool{New: func() any {
		return &signer{mac: hmac.New(sha256.New, derived)}
	}}}
}

// sign appends the MAC of raw to raw, which must have room for a whole SHA-256.
func (s *signer) sign(raw []byte) []byte {
	s.mac.Reset()
	s.mac.Write(raw)
	return s.mac.Sum(raw)[:len(raw)+macSize]
}

// Sign makes the token's text, at most MaxToken bytes. A click whose personal query makes it longer is an
// ErrQueryTooLong that says how many bytes fit.
func (k *Keyring) Sign(t Token) (string, error) {
	return k.signURL("", t)
}

// signURL is prefix followed by the token, in one allocation.
func (k *Keyring) signURL(prefix string, t Token) (string, error) {
	key := k.keys.Load().signs(t.Kind)
	s := key.pool.Get().(*signer)
	defer key.pool.Put(s)
	raw, err := appendPayload(s.raw[:0], key.id, t)
	if err != nil {
		return "", err
	}
	text := append(s.txt[:0], prefix...)
	return string(tokenEncoding.AppendEncode(text, s.sign(raw))), nil
}

func appendPayload(raw []byte, keyID uint64, t Token) ([]byte, error) {
	raw = append(raw, tokenVersion<<4|byte(t.Kind))
	raw = binary.AppendUvarint(raw, keyID)
	raw = binary.AppendUvarint(raw, uint64(t.MessageID))
	if t.Kind != Click {
		return raw, nil
	}
	part := signedPart(t.Part)
	if part < 0 || t.Link < 0 || t.Link > maxLink {
		return nil, fmt.Errorf("sign link %d of part %s: there is no such link", t.Link, t.Part)
	}
	raw = append(raw, byte(part))
	raw = binary.AppendUvarint(raw, uint64(t.Link))
	if room := maxRaw - macSize - len(raw); len(t.Query) > room {
		return nil, fmt.Errorf("link %d of the %s part: %w: %d bytes, and %d fit", t.Link, t.Part, ErrQueryTooLong, len(t.Query), room)
	}
	return append(raw, t.Query...), nil
}

// signedParts are the parts that a token can name, by their numbers there: never change them.
func signedParts() [2]Part { return [...]Part{HTML, Text} }

// signedPart is a part's number; -1: links there have codes instead.
func signedPart(p Part) int {
	for i, known := range signedParts() {
		if known == cmp.Or(p, HTML) {
			return i
		}
	}
	return -1
}

// maxLink is the highest position of a link: that of a smallint column.
const maxLink = 1<<15 - 1

// Verify reads a token that Sign made with any key of the ring. Any other text is an ErrToken: there is exactly one text
// for each token and key.
func (k *Keyring) Verify(text string) (Token, error) {
	if len(text) > MaxToken {
		return Token{}, ErrToken
	}
	var buf [maxRaw]byte
	n, err := tokenEncoding.Decode(buf[:], []byte(text))
	// The decoder skips line ends, which we never write.
	if err != nil || n <= macSize || tokenEncoding.EncodedLen(n) != len(text) {
		return Token{}, ErrToken
	}
	payload, mac := buf[:n-macSize], buf[n-macSize:n]
	if err := k.authentic(payload, mac); err != nil {
		return Token{}, err
	}
	return parsePayload(payload)
}

// authentic checks version and MAC.
func (k *Keyring) authentic(payload, mac []byte) error {
	if payload[0]>>4 != tokenVersion {
		return ErrToken
	}
	id, n := binary.Uvarint(payload[1:])
	if n <= 0 {
		return ErrToken
	}
	key := k.keys.Load().byID[id]
	if key == nil {
		return ErrUnknownKey
	}
	s := key.pool.Get().(*signer)
	defer key.pool.Put(s)
	raw := s.sign(append(s.raw[:0], payload...))
	if !hmac.Equal(raw[len(payload):], mac) {
		return ErrToken
	}
	return nil
}

// parsePayload reads a payload that we signed. It still trusts nothing: a later version may sign more.
func parsePayload(p []byte) (Token, error) {
	t := Token{Kind: Kind(p[0] & 15)}
	_, n := binary.Uvarint(p[1:]) // the key id
	p = p[1+n:]
	id, n := binary.Uvarint(p)
	if n <= 0 || int64(id) < 0 {
		return Token{}, ErrToken
	}
	t.MessageID, p = int64(id), p[n:]
	switch t.Kind {
	case Open, Unsubscribe, Message, PreferencesPage, ConfirmPage:
		if len(p) > 0 {
			return Token{}, ErrToken
		}
		return t, nil
	case Click:
		return parseClick(t, p)
	}
	return Token{}, ErrToken
}

func parseClick(t Token, p []byte) (Token, error) {
	parts := signedParts()
	if len(p) < 2 || int(p[0]) >= len(parts) {
		return Token{}, ErrToken
	}
	link, n := binary.Uvarint(p[1:])
	if n <= 0 || link > maxLink {
		return Token{}, ErrToken
	}
	t.Part, t.Link, t.Query = parts[p[0]], int(link), string(p[1+n:])
	return t, nil
}
