package sandbox

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"path"
	"time"
)

// SMS is what a Message that is a text, a WhatsApp message or a call has beside the fields of mail.
type SMS struct {
	Direction Direction `json:"direction"`
	Service   string    `json:"service,omitempty"` // SID of the Messaging Service that was asked to send it
	Segments  int       `json:"segments"`
	Encoding  string    `json:"encoding"` // GSM-7 or UCS-2

	Status    string    `json:"status,omitempty"` // as Twilio's message_enum_status; "" of a refused text
	Error     int       `json:"error,omitempty"`  // Twilio's code for why it was not delivered
	SentAt    time.Time `json:"sent_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	Events    int       `json:"events"` // changes of status and callbacks so far

	fate      int // the error with which it will not be delivered, 0 when it will
	callbacks Callbacks
	callback  bool   // the client gave a StatusCallback
	end       string // of WhatsApp and calls: the status in which it ends, "" for the best
	press     string // of calls: the key that the customer presses
	told      string // of calls: the events that the client wants to be told of
}

// Direction is who sent a text to whom, as Twilio's message_enum_direction.
type Direction string

// The directions.
const (
	Outbound      Direction = "outbound-api"   // asked for through the API
	Inbound       Direction = "inbound"        // by a customer
	OutboundReply Direction = "outbound-reply" // an answer to a customer's text
)

// Event is a change of a text's status, or a request that told somebody of it.
type Event struct {
	At       time.Time `json:"at"`
	Status   string    `json:"status"`          // the new status; of a request, the one it told
	Error    int       `json:"error,omitempty"` // Twilio's error code that came with the status
	Callback bool      `json:"callback"`        // a request, made or given up
	Attempts int       `json:"attempts,omitempty"`
	Code     int       `json:"code,omitempty"`  // HTTP status of the last attempt, 0 without an answer
	Fault    string    `json:"fault,omitempty"` // why the request did not succeed
	Words    string    `json:"words,omitempty"` // of a key: what is said to it
}

// Bounds of what the index keeps, in octets.
const (
	maxTextShown = 160
	maxTextToken = 512
	maxFault     = 200
)

// sid is the part of a SID behind its two letters.
type sid [16]byte

// parseSID reads the SID of a message or a call; ok is false for anything else.
func parseSID(text string) (id sid, ok bool) {
	if len(text) != 34 || text[:2] != "SM" && text[:2] != "MM" && text[:2] != "CA" {
		return sid{}, false
	}
	_, err := hex.Decode(id[:], []byte(text[2:]))
	return id, err == nil
}

// textIndex finds texts and what became of them. The store's lock guards it.
type textIndex struct {
	ids    map[sid]int64   // message by SID
	events map[int64]int32 // the last event of a message, as its place in log plus 1
	log    []eventEntry
}

type eventEntry struct {
	meta     arenaRef
	previous int32 // place in the log plus 1; 0 for the first
}

// indexText is called with the lock held, when the entry is there.
func (s *store) indexText(meta []byte) {
	if id, ok := parseSID(string(viewMeta(meta).messageID)); ok {
		s.texts.ids[id] = int64(len(s.entries))
	}
	switch m, _ := decodeMeta(meta); {
	case m.SMS.Direction == Inbound:
		s.counts.Inbound++
	case m.SMS.Direction != Outbound || !m.Verdict.Accepted:
	case m.Channel == ChannelSMS:
		s.counts.Texts++
	case m.Channel == ChannelWhatsApp:
		s.counts.WhatsApp++
	case m.Channel == ChannelVoice:
		s.counts.Calls++
	}
}

func (s *store) indexEvent(meta []byte) {
	d := decoder{b: meta[2:]}
	id := int64(d.uvarint())
	s.texts.log = append(s.texts.log, eventEntry{meta: s.metas.add(meta), previous: s.texts.events[id]})
	s.texts.events[id] = int32(len(s.texts.log))
}

// addProgress completes a text with what became of it. The lock is held.
func (s *store) addProgress(m *Message) {
	if m.SMS == nil || !m.Verdict.Accepted {
		return
	}
	m.SMS.UpdatedAt = m.ReceivedAt
	for e := range s.eventsBackwards(m.ID) {
		m.SMS.Events++
		if e.Callback {
			continue
		}
		if m.SMS.Status == "" { // the last change
			m.SMS.Status, m.SMS.Error, m.SMS.UpdatedAt = e.Status, e.Error, e.At
		}
		if e.Status == "sent" || e.Status == "in-progress" {
			m.SMS.SentAt = e.At
		}
	}
	if m.SMS.Status == "" {
		m.SMS.Status = m.SMS.firstStatus()
	}
	if m.SMS.Direction != Outbound {
		m.SMS.SentAt = m.ReceivedAt
	}
}

// firstStatus is the status in which a text begins.
func (t *SMS) firstStatus() string {
	switch {
	case t.Direction == Inbound:
		return "received"
	case t.Direction == OutboundReply:
		return "delivered"
	case t.Service != "":
		return "accepted" // no sender has been chosen yet
	default:
		return "queued"
	}
}

func (s *store) eventsBackwards(id int64) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for at := s.texts.events[id]; at != 0; at = s.texts.log[at-1].previous {
			if !yield(decodeEvent(s.metas.get(s.texts.log[at-1].meta))) {
				return
			}
		}
	}
}

// events are those of a text, oldest first.
func (s *store) events(id int64) []Event {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Event
	for e := range s.eventsBackwards(id) {
		list = append([]Event{e}, list...)
	}
	return list
}

// bySID finds a text.
func (s *store) bySID(text string) (Message, error) {
	id, ok := parseSID(text)
	s.mu.RLock()
	number := s.texts.ids[id]
	s.mu.RUnlock()
	if !ok || number == 0 {
		return Message{}, fmt.Errorf("text %s: %w", text, ErrNotFound)
	}
	m, _, err := s.get(number)
	return m, err
}

// keepText makes a text durable and returns it with its number.
func (s *store) keepText(m Message, form url.Values) (Message, error) {
	var raw []byte
	if m.Verdict.Accepted {
		raw = []byte(form.Encode())
	}
	if err := s.journal.append(sealRecord(nil, &m, raw)); err != nil || !m.Verdict.Accepted {
		return m, err
	}
	return s.bySID(m.MessageID)
}

// keepEvent makes an event durable.
func (s *store) keepEvent(id int64, e Event) error {
	return s.journal.append(sealMeta(nil, func(b []byte) []byte { return encodeEvent(b, id, e) }, nil))
}

// form is the request that a text came in.
func (s *store) form(id int64) (Message, url.Values, error) {
	m, raw, err := s.raw(id)
	if err != nil {
		return m, nil, err
	}
	if m.SMS == nil {
		return m, nil, fmt.Errorf("message %d is no text: %w", id, ErrNotFound)
	}
	form, err := url.ParseQuery(string(raw))
	return m, form, err
}

func (t *SMS) flags() byte {
	var flags byte
	if t.Direction != Outbound {
		flags |= flagConversation
	}
	if t.callback {
		flags |= flagCallback
	}
	return flags
}

// encodeText appends what a text has beside the fields of mail.
func encodeText(b []byte, m *Message) []byte {
	for _, s := range []string{m.Token, string(m.SMS.Direction), m.SMS.Service, m.SMS.Encoding, string(m.SMS.callbacks)} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(m.SMS.Segments))
	b = binary.AppendUvarint(b, uint64(m.SMS.fate))
	if m.Channel != ChannelSMS {
		b = encodePhone(b, m.SMS)
	}
	return b
}

// encodePhone appends what WhatsApp messages and calls have beside the fields of texts.
func encodePhone(b []byte, t *SMS) []byte {
	return appendText(appendText(appendText(b, t.end), t.press), t.told)
}

func (d *decoder) decodeText(m *Message, flags byte) {
	m.Token = d.text()
	m.SMS = &SMS{Direction: Direction(d.text()), Service: d.text(), Encoding: d.text(), callbacks: Callbacks(d.text())}
	m.SMS.Segments, m.SMS.fate = int(d.uvarint()), int(d.uvarint())
	m.SMS.callback = flags&flagCallback != 0
	if m.Channel != ChannelSMS {
		m.SMS.end, m.SMS.press, m.SMS.told = d.text(), d.text(), d.text()
	}
}

// The flags of an event.
const (
	eventCallback = 1 << iota // it is a request
	eventSpeaks               // it has words
)

func encodeEvent(b []byte, id int64, e Event) []byte {
	var flags byte
	if e.Callback {
		flags |= eventCallback
	}
	if e.Words != "" {
		flags |= eventSpeaks
	}
	b = append(b, eventVersion, flags)
	b = binary.AppendUvarint(b, uint64(id))
	b = binary.AppendVarint(b, e.At.UnixMicro())
	for _, n := range []int{e.Error, e.Attempts, e.Code} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = appendText(appendText(b, e.Status), clip(e.Fault, maxFault))
	if e.Words != "" {
		b = appendText(b, clip(e.Words, maxFault))
	}
	return b
}

func decodeEvent(b []byte) Event {
	e := Event{Callback: b[1]&eventCallback != 0}
	d := decoder{b: b[2:]}
	d.uvarint() // the text's id
	e.At = time.UnixMicro(d.varint()).UTC()
	e.Error, e.Attempts, e.Code = int(d.uvarint()), int(d.uvarint()), int(d.uvarint())
	e.Status, e.Fault = d.text(), d.text()
	if b[1]&eventSpeaks != 0 {
		e.Words = d.text()
	}
	return e
}

// tokenOfCallback is the last part of a StatusCallback's path, by which Sapa names a message to the outside.
func tokenOfCallback(callback string) string {
	u, err := url.Parse(callback)
	if err != nil || callback == "" {
		return ""
	}
	token := path.Base(u.Path)
	if token == "/" || token == "." {
		return ""
	}
	return clip(token, maxTextToken)
}

// Text is a text, a WhatsApp message or a call with everything that is known of it.
type Text struct {
	Message
	Form   url.Values `json:"form"`                 // the request: Body, StatusCallback and what else was given
	Events []Event    `json:"events"`               // oldest first
	Heard  []Heard    `json:"transcript,omitempty"` // of a call
}

// Text returns a text. It returns ErrNotFound, for mails too.
func (s *Server) Text(id int64) (Text, error) {
	m, form, err := s.store.form(id)
	if err != nil {
		return Text{}, err
	}
	t := Text{Message: m, Form: form, Events: s.store.events(id)}
	if m.Channel == ChannelVoice && m.Verdict.Accepted {
		t.Heard = transcript(t)
	}
	return t, nil
}

// TextBySID returns a text. It returns ErrNotFound.
func (s *Server) TextBySID(sid string) (Text, error) {
	m, err := s.store.bySID(sid)
	if err != nil {
		return Text{}, err
	}
	return s.Text(m.ID)
}
