package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// Message is what the sandbox knows of one message without looking into it: the envelope, three header fields, and
// what the client was told.
type Message struct {
	ID         int64     `json:"id"` // 1, 2, 3, … in the order in which the verdicts became durable
	ReceivedAt time.Time `json:"received_at"`
	From       string    `json:"from"` // the envelope's sender, "" for <>
	To         []string  `json:"to"`   // the envelope's recipients
	Subject    string    `json:"subject,omitempty"`
	MessageID  string    `json:"message_id,omitempty"` // without angle brackets; unknown where a recipient was refused
	Token      string    `json:"token,omitempty"`      // the local part of MessageID
	Size       int       `json:"size"`                 // octets
	Verdict    Verdict   `json:"verdict"`
}

// Verdict is what the client was told about a message.
type Verdict struct {
	Accepted bool   `json:"accepted"`
	Code     int    `json:"code"`               // SMTP reply code
	Enhanced string `json:"enhanced,omitempty"` // RFC 3463 status
	Words    string `json:"words,omitempty"`
	Stage    Stage  `json:"stage"`              // the command that was answered
	Rule     string `json:"rule,omitempty"`     // the misbehaviour that caused it
	Withheld bool   `json:"withheld,omitempty"` // accepted, but the connection was dropped instead of a reply
}

// Stage is the point of the SMTP dialogue at which a verdict falls.
type Stage string

// The stages.
const (
	AtRecipient Stage = "rcpt" // RCPT TO
	AtDot       Stage = "dot"  // the final dot of DATA
)

// Which chooses messages by verdict.
type Which string

// The verdicts to choose by. The empty Which is Accepted.
const (
	Accepted Which = "accepted"
	Refused  Which = "refused"
	All      Which = "all"
)

// Filter chooses messages. Texts match anywhere, without regard to case; empty ones match everything.
type Filter struct {
	Which     Which
	Recipient string
	Subject   string
	Text      string // in the recipient, the subject, the envelope's sender or the Message-ID
}

// Page is a slice of a list: Size messages from the Number-th page, counting from 1. Zero values mean 1 and 50.
type Page struct {
	Number, Size int
}

// MaxPageSize bounds Page.Size.
const MaxPageSize = 1000

// Listing is one page of messages, newest first.
type Listing struct {
	Messages []Message `json:"messages"`
	Total    int       `json:"total"` // messages that match on all pages
	Page     int       `json:"page"`
	Pages    int       `json:"pages"`
}

// Counts are totals since the folder was made.
type Counts struct {
	Accepted int   `json:"accepted"`
	Refused  int   `json:"refused"`
	Bytes    int64 `json:"bytes"` // of accepted mail
}

// ErrNotFound says that there is no message with that id.
var ErrNotFound = errors.New("no such message")

// store is the journal with an index in memory. The index holds per message 32 octets and the record's meta (the
// envelope and three header fields, 100 to 250 octets), never a body.
type store struct {
	journal *journal

	mu      sync.RWMutex
	entries []entry
	metas   arena
	counts  Counts
}

type entry struct {
	meta arenaRef
	at   place
}

func openStore(fs fileSystem, lim limits, log *slog.Logger) (*store, error) {
	s := &store{}
	j, err := openJournal(fs, lim, log, s.index)
	if err != nil {
		return nil, fmt.Errorf("open the sandbox's folder: %w", err)
	}
	s.journal = j
	return s, nil
}

func (s *store) index(at place, meta []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entry{meta: s.metas.add(meta), at: at})
	if meta[1]&flagAccepted != 0 {
		s.counts.Accepted++
		s.counts.Bytes += int64(at.size)
	} else {
		s.counts.Refused++
	}
}

// get returns the message without its body.
func (s *store) get(id int64) (Message, place, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if id < 1 || id > int64(len(s.entries)) {
		return Message{}, place{}, fmt.Errorf("message %d: %w", id, ErrNotFound)
	}
	e := s.entries[id-1]
	m, err := decodeMeta(s.metas.get(e.meta))
	m.ID = id
	return m, e.at, err
}

// raw returns a message and its text as it came over the wire.
func (s *store) raw(id int64) (Message, []byte, error) {
	m, at, err := s.get(id)
	if err != nil {
		return m, nil, err
	}
	raw, err := s.journal.read(at)
	return m, raw, err
}

func (s *store) count() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return int64(len(s.entries))
}

func (s *store) totals() Counts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.counts
}

// snapshot is the index as of now. What it refers to never changes.
func (s *store) snapshot() ([]entry, arena) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[:len(s.entries):len(s.entries)], arena{slices.Clone(s.metas.blocks)}
}

// all yields what matches, oldest first, as of now: what arrives meanwhile is left out.
func (s *store) all(f Filter) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		entries, metas := s.snapshot()
		matches := f.matcher()
		for i, e := range entries {
			meta := metas.get(e.meta)
			if !matches(meta) {
				continue
			}
			m, err := decodeMeta(meta)
			m.ID = int64(i + 1)
			if err == nil && !yield(m) {
				return
			}
		}
	}
}

// list finds one page, newest first.
func (s *store) list(f Filter, p Page) Listing {
	p = p.withDefaults()
	entries, metas := s.snapshot()
	matches := f.matcher()
	l := Listing{Messages: []Message{}, Page: p.Number}
	first := (p.Number - 1) * p.Size
	for i := len(entries) - 1; i >= 0; i-- {
		meta := metas.get(entries[i].meta)
		if !matches(meta) {
			continue
		}
		if l.Total++; l.Total > first && len(l.Messages) < p.Size {
			m, err := decodeMeta(meta)
			m.ID = int64(i + 1)
			if err == nil {
				l.Messages = append(l.Messages, m)
			}
		}
	}
	l.Pages = max(1, (l.Total+p.Size-1)/p.Size)
	return l
}

func (p Page) withDefaults() Page {
	if p.Size < 1 {
		p.Size = 50
	}
	p.Size = min(p.Size, MaxPageSize)
	p.Number = min(max(p.Number, 1), 1<<31/p.Size)
	return p
}

// matcher is the filter as a function on metas, which it looks at without decoding them: a search looks at all mail.
func (f Filter) matcher() func(meta []byte) bool {
	recipient, subject, text := fold(f.Recipient), fold(f.Subject), fold(f.Text)
	var folded []byte
	has := func(field, part []byte) bool {
		if len(part) == 0 {
			return true
		}
		folded = appendFolded(folded[:0], field)
		return bytes.Contains(folded, part)
	}
	return func(meta []byte) bool {
		if !f.Which.matches(meta[1]&flagAccepted != 0) {
			return false
		}
		if len(recipient)+len(subject)+len(text) == 0 {
			return true
		}
		v := viewMeta(meta)
		return has(v.to, recipient) && has(v.subject, subject) &&
			(has(v.to, text) || has(v.subject, text) || has(v.from, text) || has(v.messageID, text))
	}
}

func (w Which) matches(accepted bool) bool {
	switch w {
	case All:
		return true
	case Refused:
		return !accepted
	default:
		return accepted
	}
}

func fold(s string) []byte { return appendFolded(nil, []byte(s)) }

// appendFolded appends a text in lower case.
func appendFolded(dst, text []byte) []byte {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return append(dst, bytes.ToLower(text)...)
		}
	}
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// arena keeps many short byte strings in large blocks, so that a million of them cost the garbage collector nothing.
type arena struct {
	blocks [][]byte
}

// arenaRef is a block in its upper and an offset in its lower 32 bits.
type arenaRef uint64

const arenaBlock = 1 << 20

func (a *arena) add(b []byte) arenaRef {
	last := len(a.blocks) - 1
	if last < 0 || len(a.blocks[last])+len(b) > cap(a.blocks[last]) {
		a.blocks = append(a.blocks, make([]byte, 0, max(arenaBlock, len(b))))
		last++
	}
	ref := arenaRef(uint64(last)<<32 | uint64(len(a.blocks[last])))
	a.blocks[last] = append(a.blocks[last], b...)
	return ref
}

// get returns the bytes that begin at ref and may go on behind what was added there.
func (a *arena) get(ref arenaRef) []byte {
	return a.blocks[ref>>32][uint32(ref):]
}
