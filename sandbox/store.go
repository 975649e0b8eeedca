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
	Channel    string    `json:"channel"`
	ReceivedAt time.Time `json:"received_at"`
	From       string    `json:"from"`                 // the envelope's sender, "" for <>; of a text or a call the sender's number
	To         []string  `json:"to"`                   // the envelope's recipients; of a text the one number
	Subject    string    `json:"subject,omitempty"`    // of a text, how it begins
	MessageID  string    `json:"message_id,omitempty"` // without angle brackets; unknown where a recipient was refused; of a text its SID
	Token      string    `json:"token,omitempty"`      // the local part of MessageID; of a text the end of its StatusCallback
	Size       int       `json:"size"`                 // octets; of a text those of its body
	Verdict    Verdict   `json:"verdict"`
	SMS        *SMS      `json:"sms,omitempty"` // of a text, a WhatsApp message or a call
}

// The channels of messages, as campaigns name them.
const (
	ChannelEmail    = "email"
	ChannelSMS      = "sms"
	ChannelWhatsApp = "whatsapp"
	ChannelVoice    = "voice"
)

// Verdict is what the client was told about a message.
type Verdict struct {
	Accepted bool   `json:"accepted"`
	Code     int    `json:"code"`               // SMTP reply code, or HTTP status
	Enhanced string `json:"enhanced,omitempty"` // RFC 3463 status, or Twilio's error code
	Words    string `json:"words,omitempty"`
	Stage    Stage  `json:"stage"`              // the command that was answered
	Rule     string `json:"rule,omitempty"`     // the misbehaviour that caused it
	Withheld bool   `json:"withheld,omitempty"` // accepted, but the connection was dropped instead of a reply, or an error told
}

// Stage is the point of a message's way at which a verdict falls.
type Stage string

// The stages.
const (
	AtRecipient Stage = "rcpt"    // RCPT TO
	AtDot       Stage = "dot"     // the final dot of DATA
	AtRequest   Stage = "request" // the request to Twilio's API
	AtCarrier   Stage = "carrier" // behind the API, when a text has been accepted
)

// Which chooses messages by verdict.
type Which string

// The verdicts to choose by. The empty Which is Accepted. A Conversation is what customers wrote, and what was answered
// to that without being a message of its own; none of the others has it.
const (
	Accepted     Which = "accepted"
	Refused      Which = "refused"
	All          Which = "all"
	Conversation Which = "conversation"
)

// Filter chooses messages. Texts match anywhere, without regard to case; empty ones match everything.
type Filter struct {
	Which     Which
	Channel   string // one of the channels; "" is all
	Recipient string
	Subject   string
	Text      string // in the recipient, the subject, the sender, the Message-ID or SID, or the token
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
	Bytes    int64 `json:"bytes"`              // of accepted mail, and of the requests for accepted texts
	Texts    int   `json:"texts,omitempty"`    // of those accepted
	WhatsApp int   `json:"whatsapp,omitempty"` // WhatsApp messages of those accepted
	Calls    int   `json:"calls,omitempty"`    // calls of those accepted
	Inbound  int   `json:"inbound,omitempty"`  // what customers wrote; it counts nowhere else
	Cut      int   `json:"cut,omitempty"`      // connections cut after a mail was complete, instead of a reply, since the sandbox started
	// Unanswered are requests to send a text, a WhatsApp message or a call that got no answer, an error of the server (5xx), or
	// one after their client had gone, since the sandbox started: their clients don't know what became of them.
	Unanswered int `json:"unanswered,omitempty"`
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
	texts   textIndex
}

type entry struct {
	meta arenaRef
	at   place
}

func openStore(fs fileSystem, lim limits, log *slog.Logger) (*store, error) {
	s := &store{texts: textIndex{ids: map[sid]int64{}, events: map[int64]int32{}}}
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
	if meta[0] == eventVersion {
		s.indexEvent(meta)
		return
	}
	s.entries = append(s.entries, entry{meta: s.metas.add(meta), at: at})
	if meta[0] == textVersion {
		s.indexText(meta)
	}
	switch flags := meta[1]; {
	case flags&flagConversation != 0:
	case flags&flagAccepted != 0:
		s.counts.Accepted++
		s.counts.Bytes += int64(at.size)
	default:
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
	s.addProgress(&m)
	return m, e.at, err
}

// known completes a message that was decoded from a snapshot.
func (s *store) known(id int64, meta []byte) (Message, error) {
	m, err := decodeMeta(meta)
	m.ID = id
	if m.SMS != nil {
		s.mu.RLock()
		defer s.mu.RUnlock()
		s.addProgress(&m)
	}
	return m, err
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
			m, err := s.known(int64(i+1), meta)
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
			if m, err := s.known(int64(i+1), meta); err == nil {
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
		if !f.Which.matches(meta[1]) || f.Channel != "" && f.Channel != channelOf(meta[0], meta[1]) {
			return false
		}
		if len(recipient)+len(subject)+len(text) == 0 {
			return true
		}
		v := viewMeta(meta)
		return has(v.to, recipient) && has(v.subject, subject) &&
			(has(v.to, text) || has(v.subject, text) || has(v.from, text) || has(v.messageID, text) || has(v.token, text))
	}
}

func (w Which) matches(flags byte) bool {
	accepted := flags&flagAccepted != 0
	switch {
	case (w == Conversation) != (flags&flagConversation != 0):
		return false
	case w == All || w == Conversation:
		return true
	case w == Refused:
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
