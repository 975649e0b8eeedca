package sandbox

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"time"
)

// A record is one verdict in a segment file. All integers are little-endian:
//
//	length  uint32   octets of meta and raw together
//	meta    uint32   octets of meta
//	crc     uint32   CRC-32C over length, meta's length, meta and raw
//	meta             version, flags, then the fields of Message in the order of encodeMeta
//	raw              the mail as it came over the wire, dots unstuffed, or the form of a text; empty for a refusal
//
// The version of mail is 1. A text, a WhatsApp message or a call has 2, and behind the fields of mail those of encodeText.
// What becomes of it later is a record of its own, an event, with 3.
//
// The sum covers the lengths, so a header of zeros, which a file system may leave behind a crash, is not a record.
const (
	recordHeader = 12
	mailVersion  = 1
	textVersion  = 2
	eventVersion = 3
	maxMeta      = 1 << 20
)

const (
	flagAccepted = 1 << iota
	flagWithheld
	flagConversation // a customer's text, or an answer to one
	flagCallback     // the client asked for status callbacks
	flagWhatsApp     // of Twilio's messages: one of WhatsApp, with the fields of encodePhone
	flagVoice        // a call, with the same
)

var errTorn = errors.New("incomplete record")

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// sealRecord appends the record of a message to dst.
func sealRecord(dst []byte, m *Message, raw []byte) []byte {
	return sealMeta(dst, func(b []byte) []byte { return encodeMeta(b, m) }, raw)
}

// sealMeta appends a record to dst, with what encode appends as its meta.
func sealMeta(dst []byte, encode func([]byte) []byte, raw []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, recordHeader)...)
	dst = encode(dst)
	meta := len(dst) - start - recordHeader
	dst = append(dst, raw...)
	header := dst[start : start+recordHeader]
	binary.LittleEndian.PutUint32(header, uint32(len(dst)-start-recordHeader))
	binary.LittleEndian.PutUint32(header[4:], uint32(meta))
	binary.LittleEndian.PutUint32(header[8:], recordSum(header, dst[start+recordHeader:]))
	return dst
}

// splitRecord is the meta and the raw mail of a sealed record.
func splitRecord(record []byte) (meta, raw []byte) {
	n := binary.LittleEndian.Uint32(record[4:])
	return record[recordHeader : recordHeader+n], record[recordHeader+n:]
}

func recordSum(header, body []byte) uint32 {
	table := castagnoli()
	return crc32.Update(crc32.Checksum(header[:8], table), table, body)
}

// readRecord reads the next record into buf, which is grown as needed. io.EOF means a clean end, errTorn anything else
// that is not a whole record.
func readRecord(r io.Reader, buf []byte, maxLength int) (meta, raw, grown []byte, err error) {
	var header [recordHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, nil, buf, tornUnlessEOF(err)
	}
	length := int(binary.LittleEndian.Uint32(header[:]))
	metaLength := int(binary.LittleEndian.Uint32(header[4:]))
	if length > maxLength || metaLength > length || metaLength > maxMeta {
		return nil, nil, buf, errTorn
	}
	if cap(buf) < length {
		buf = make([]byte, length)
	}
	buf = buf[:length]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, nil, buf, tornUnlessFault(err)
	}
	if recordSum(header[:], buf) != binary.LittleEndian.Uint32(header[8:]) {
		return nil, nil, buf, errTorn
	}
	if metaLength < 2 || buf[0] < mailVersion || buf[0] > eventVersion {
		return nil, nil, buf, errors.New("written by another version of Sapa: start with an empty folder")
	}
	return buf[:metaLength], buf[metaLength:], buf, nil
}

func tornUnlessEOF(err error) error {
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return tornUnlessFault(err)
}

func tornUnlessFault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

func encodeMeta(b []byte, m *Message) []byte {
	var flags byte
	if m.Verdict.Accepted {
		flags |= flagAccepted
	}
	if m.Verdict.Withheld {
		flags |= flagWithheld
	}
	version := byte(mailVersion)
	if m.SMS != nil {
		version = textVersion
		flags |= m.SMS.flags() | channelFlags(m.Channel)
	}
	b = append(b, version, flags)
	b = binary.AppendUvarint(b, uint64(m.Verdict.Code))
	b = binary.AppendVarint(b, m.ReceivedAt.UnixMicro())
	b = binary.AppendUvarint(b, uint64(m.Size))
	for _, s := range []string{
		m.Verdict.Enhanced, m.Verdict.Words, string(m.Verdict.Stage), m.Verdict.Rule,
		m.From, strings.Join(m.To, "\n"), m.Subject, m.MessageID,
	} {
		b = appendText(b, s)
	}
	if m.SMS != nil {
		b = encodeText(b, m)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeMeta reads what encodeMeta wrote; b may go on behind it.
func decodeMeta(b []byte) (Message, error) {
	d := decoder{b: b}
	version, flags := d.octet(), d.octet()
	m := Message{Channel: channelOf(version, flags)}
	m.Verdict.Accepted = flags&flagAccepted != 0
	m.Verdict.Withheld = flags&flagWithheld != 0
	m.Verdict.Code = int(d.uvarint())
	m.ReceivedAt = time.UnixMicro(d.varint()).UTC()
	m.Size = int(d.uvarint())
	m.Verdict.Enhanced, m.Verdict.Words = d.text(), d.text()
	m.Verdict.Stage, m.Verdict.Rule = Stage(d.text()), d.text()
	m.From = d.text()
	if to := d.text(); to != "" {
		m.To = strings.Split(to, "\n")
	}
	m.Subject, m.MessageID = d.text(), d.text()
	if version == textVersion {
		d.decodeText(&m, flags)
	} else {
		m.Token = tokenOf(m.MessageID)
	}
	return m, d.err
}

// metaView is the fields of a meta that can be searched, in place.
type metaView struct {
	from, to, subject, messageID []byte
	token                        []byte // of a text; that of a mail is in its Message-ID
}

func viewMeta(b []byte) metaView {
	d := decoder{b: b[2:]}
	d.uvarint() // code
	d.varint()  // received at
	d.uvarint() // size
	for range 4 {
		d.field() // the verdict's texts
	}
	v := metaView{from: d.field(), to: d.field(), subject: d.field(), messageID: d.field()}
	if b[0] == textVersion {
		v.token = d.field()
	}
	return v
}

// tokenOf is the local part of a Message-ID, by which Sapa names a message to the outside.
func tokenOf(messageID string) string {
	token, _, _ := strings.Cut(messageID, "@")
	return token
}

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) octet() byte {
	if len(d.b) == 0 {
		d.err = errTorn
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) skip(n int) {
	if n <= 0 {
		d.err, n = errTorn, len(d.b)
	}
	d.b = d.b[n:]
}

func (d *decoder) text() string { return string(d.field()) }

func (d *decoder) field() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.err, n = errTorn, uint64(len(d.b))
	}
	f := d.b[:n]
	d.b = d.b[n:]
	return f
}
