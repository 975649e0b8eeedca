package response

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/customer"
)

// Patience is how long the answer to an open or a click waits for its row to be durable.
const Patience = 500 * time.Millisecond

// lookUpPatience is how long an open or a click may look up what is not in memory. Without its address a link can't lead
// anywhere, and somebody who is told to try again is better off than a pool whose connections all wait.
const lookUpPatience = Patience

// ErrNoLink says that the token is ours, but its message or link is not in this database (any more).
var ErrNoLink = errors.New("no such message or link")

// Visit is a request on the public listener.
type Visit struct {
	At        time.Time
	IP        netip.Addr // of the client, zero when not known
	Method    string
	UserAgent string
	Purpose   string // see Request
}

// Tracker answers the public listener: it verifies tokens, records what came and acts on it. It is safe for concurrent use.
type Tracker struct {
	pool *pgxpool.Pool
	keys *Keyring
	rec  *Recorder
	runs *runCache
	log  *slog.Logger

	links linkCache

	schema  *customer.Schema // nil: no page of preferences
	offered []string         // channels that customers can choose

	reloadMu sync.Mutex
	reloaded time.Time
}

// NewTracker makes a Tracker. The caller closes the recorder after the listener has stopped.
func NewTracker(pool *pgxpool.Pool, keys *Keyring, rec *Recorder) *Tracker {
	return &Tracker{
		pool: pool, keys: keys, rec: rec, runs: rec.runs, log: rec.opts.Log,
		links: linkCache{db: pool, byVersion: map[int32]map[linkKey]string{}},
	}
}

// Offer opens the page of preferences: schema says what there is to choose, channels are those that messages go by. It
// must be called before the Tracker is used.
func (t *Tracker) Offer(schema *customer.Schema, channels []string) {
	t.schema, t.offered = schema, channels
}

// Open records that the pixel of a message was loaded. It is an ErrToken when the token is not one of a pixel. It returns
// when the hit is durable, at the latest after Patience.
func (t *Tracker) Open(ctx context.Context, token string, v Visit) error {
	look, cancel := context.WithTimeout(ctx, lookUpPatience)
	defer cancel()
	tok, err := t.verify(look, token, Open, v.At)
	if err != nil {
		return err
	}
	t.record(ctx, newHit(tok, HitOpen, v))
	return nil
}

// Click records that a link of a message was followed and returns where it leads: the address fixed when the version was
// applied, with the personal query from the token. It is an ErrToken, or an ErrNoLink when the message's run or the link is unknown.
// It waits for durability like Open. Where the database must be asked for the address, it is given half a second; after
// that the error is not one of those above.
func (t *Tracker) Click(ctx context.Context, token string, v Visit) (target string, err error) {
	tok, target, err := t.follow(ctx, token, v.At)
	if err != nil {
		return "", err
	}
	t.record(ctx, newHit(tok, HitClick, v))
	return target, nil
}

// follow finds where a click's token leads.
func (t *Tracker) follow(ctx context.Context, token string, now time.Time) (tok Token, target string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpPatience)
	defer cancel()
	if tok, err = t.verify(ctx, token, Click, now); err != nil {
		return tok, "", err
	}
	run, err := t.run(ctx, tok.MessageID)
	if err != nil {
		return tok, "", err
	}
	address, err := t.links.find(ctx, run.Version, linkKey{tok.Part.String(), tok.Link})
	if err != nil {
		return tok, "", err
	}
	target, err = appendQuery(address, tok.Query)
	return tok, target, err
}

// record waits for the hit to be durable as long as Patience allows. A hit that is late or lost must not keep a person
// from what they came for; the Recorder has counted it.
func (t *Tracker) record(ctx context.Context, h Hit) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if err := t.rec.Record(ctx, h); err != nil {
		t.log.Debug("hit not durable yet", slog.Int64("message", h.MessageID), slog.Any("kind", h.Kind), slog.Any("error", err))
	}
}

func newHit(tok Token, kind HitKind, v Visit) Hit {
	verdict, reason := Judge(Request{Method: v.Method, UserAgent: v.UserAgent, Purpose: v.Purpose})
	return Hit{
		At: v.At, MessageID: tok.MessageID, Kind: kind, Part: tok.Part, Link: tok.Link,
		IP: v.IP, UserAgent: v.UserAgent, Verdict: verdict, Reason: reason,
	}
}

// verify reads a token of the kind. When its key is unknown, another process may have added one since we started: the
// keys are read again, but not more often than a stranger with forged tokens should be able to make us.
func (t *Tracker) verify(ctx context.Context, text string, kind Kind, now time.Time) (Token, error) {
	tok, err := t.keys.Verify(text)
	if errors.Is(err, ErrUnknownKey) && t.mayReload(now) {
		if err := t.keys.Reload(ctx, t.pool); err != nil {
			return Token{}, err
		}
		tok, err = t.keys.Verify(text)
	}
	if err == nil && tok.Kind != kind {
		return Token{}, ErrToken
	}
	return tok, err
}

func (t *Tracker) mayReload(now time.Time) bool {
	t.reloadMu.Lock()
	defer t.reloadMu.Unlock()
	if now.Sub(t.reloaded) < 10*time.Second {
		return false
	}
	t.reloaded = now
	return true
}

func (t *Tracker) run(ctx context.Context, message int64) (runInfo, error) {
	run, err := t.runs.of(ctx, message)
	if errors.Is(err, errNoMessage) {
		return run, fmt.Errorf("message %d: %w", message, ErrNoLink)
	}
	return run, err
}
