package email

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"github.com/sapa-crm/sapa/channels"
)

// transaction is one message on its way through the dialogue.
type transaction struct {
	msg      *channels.Message
	unfit    error  // why it can't go out as it is; the rest is then empty
	from     string // the sender's address
	envelope []byte // MAIL, RCPT and DATA or BDAT
	rcpt     int    // where RCPT begins in it
	data     int    // where DATA does
	chunk    bool   // the content goes with BDAT, in one write with the envelope
	content  []byte // composed; for DATA dot-stuffed, with the final dot
	buf      []byte // what content is in, behind room for the envelope
	utf8     bool
	sent     manner // how its envelope was sent
	receipt  channels.Receipt
	replies  [verbs]reply
}

// address writes the envelope.
func (tx *transaction) address(c composed) {
	tx.envelope = append(tx.envelope, c.frame.mail...)
	if c.eightBit || c.utf8 {
		tx.envelope = append(tx.envelope, " BODY=8BITMIME"...)
	}
	if c.utf8 {
		tx.envelope = append(tx.envelope, " SMTPUTF8"...)
	}
	tx.envelope = append(tx.envelope, "\r\n"...)
	tx.rcpt = len(tx.envelope)
	tx.envelope = append(append(append(tx.envelope, "RCPT TO:<"...), c.to.addr...), ">\r\n"...)
	tx.data = len(tx.envelope)
	if tx.chunk {
		tx.envelope = strconv.AppendInt(append(tx.envelope, "BDAT "...), int64(len(tx.content)), 10)
		tx.envelope = append(tx.envelope, " LAST\r\n"...)
		return
	}
	tx.envelope = append(tx.envelope, "DATA\r\n"...)
}

// manner is how far commands are sent ahead of the replies to those before them (RFC 2920).
type manner int32

const (
	stepwise manner = iota // not at all
	grouped                // MAIL, RCPT and DATA together
	oneTrip                // these three, and in the same write the final dot of the message before
	chunked                // MAIL, RCPT, BDAT and the content, of messages that fit in one block (RFC 3030 section 4.2)
)

// step is a command whose reply is outstanding.
type step struct {
	verb verb
	tx   *transaction
}

// dialogue is the wire: commands out, replies in. Replies are matched to commands by a queue of the outstanding ones,
// in the order of sending, whether the commands went out one by one, in a group, or behind a message's content.
type dialogue struct {
	conn    net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	ahead   func() error // see aheadOf
	waiting []step
	limit   *limiter
	command time.Duration // the time limit of a command's reply and of a written block
	data    time.Duration // that of the reply to the final dot
}

// put appends a command to the write buffer and to the queue.
func (d *dialogue) put(v verb, tx *transaction, line []byte) {
	_, _ = d.w.Write(line) // bufio keeps the error for flush
	d.waiting = append(d.waiting, step{v, tx})
}

// flush sends what was put.
func (d *dialogue) flush() error {
	d.limit.next(d.command, true)
	return d.w.Flush()
}

// take reads one reply and gives it to the oldest outstanding command.
func (d *dialogue) take() (step, reply, error) {
	s := d.waiting[0]
	switch {
	case hasReply(d.r): // as it is, for all commands of a group but the first
	case s.verb == verbDot || s.tx.chunk:
		d.limit.next(d.data, false)
	default:
		d.limit.next(d.command, true)
	}
	r, err := readReplyWords(d.r, s.verb == verbDot)
	if err != nil {
		return s, reply{}, err
	}
	d.waiting = slices.Delete(d.waiting, 0, 1)
	s.tx.replies[s.verb] = r
	return s, r, nil
}

// exchange sends what was put and takes all outstanding replies.
func (d *dialogue) exchange() error {
	if err := d.flush(); err != nil {
		return err
	}
	return d.takeAll()
}

// takeAll takes all outstanding replies, up to a 421, after which none comes.
func (d *dialogue) takeAll() error {
	for len(d.waiting) > 0 {
		_, r, err := d.take()
		if err != nil {
			return err
		}
		if r.code == 421 {
			d.waiting = d.waiting[:0]
		}
	}
	return nil
}

// unsolicited is the server's hanging up, or its having said more than it was asked; nil when it waits for us. Asked before
// a message is handed over, it keeps a reply that was sent unasked from being taken for the message's.
func (d *dialogue) unsolicited(when string) error {
	if len(d.waiting) > 0 {
		return nil
	}
	if d.r.Buffered() == 0 {
		switch err := d.ahead(); {
		case errors.Is(err, errQuiet):
			return nil
		case err != nil:
			return brokeBefore(err)
		}
	}
	_ = d.conn.SetDeadline(time.Now().Add(defaultQuitTimeout))
	if r, err := readReply(d.r); err == nil && r.code == 421 {
		return closing(r)
	}
	return fmt.Errorf("%w %s", errSpoke, when)
}

// errSpoke is a reply that nobody asked for; what follows says when it came.
var errSpoke = errors.New("the SMTP server")

const unasked = "said something that it was not asked"

// brokeBefore is the error of a connection that broke before the message was handed over.
func brokeBefore(err error) error {
	return fmt.Errorf("the connection to the SMTP server broke before the message was handed over: %w", err)
}

// closing is the error of a 421 that came without or with our asking. Its words may name a recipient.
func closing(r reply) error {
	return fmt.Errorf("the SMTP server is closing the connection: %s", r)
}

// block is how much content is written at once. Only the last block holds the final dot, so that a connection that
// breaks under a big message leaves it unsent.
const block = 64 << 10

// writeBlocks writes all blocks but the last, and returns that.
func (d *dialogue) writeBlocks(content []byte) (last []byte, err error) {
	for len(content) > block {
		d.limit.next(d.command, true)
		if _, err := d.w.Write(content[:block]); err != nil {
			return nil, err
		}
		if err := d.w.Flush(); err != nil {
			return nil, err
		}
		content = content[block:]
	}
	return content, nil
}

// writeLast enters the write that hands the message over, with the envelope of the next one behind it, if there is one.
func (d *dialogue) writeLast(tx *transaction, last []byte, next *transaction) error {
	d.waiting = append(d.waiting, step{verbDot, tx})
	if next != nil && next.unfit == nil {
		next.sent = oneTrip
		last = append(last, next.envelope...)
		d.waiting = append(d.waiting, step{verbMail, next}, step{verbRcpt, next}, step{verbData, next})
	}
	d.limit.next(d.data, false)
	tx.receipt.HandedOver = time.Now()
	if _, err := d.w.Write(last); err != nil { // the buffer is empty, so bufio makes one write of it
		return err
	}
	return d.w.Flush()
}

// writeChunk enters the write that hands the message over, its envelope included.
func (d *dialogue) writeChunk(tx *transaction, reset bool) error {
	begin := envelopeRoom - len(tx.envelope)
	copy(tx.buf[begin:], tx.envelope)
	if reset {
		begin -= len(resetLine)
		copy(tx.buf[begin:], resetLine)
		d.waiting = append(d.waiting, step{verbReset, tx})
	}
	d.waiting = append(d.waiting, step{verbMail, tx}, step{verbRcpt, tx}, step{verbDot, tx})
	d.limit.next(d.data, false)
	tx.receipt.HandedOver = time.Now()
	if _, err := d.w.Write(tx.buf[begin:]); err != nil {
		return err
	}
	return d.w.Flush()
}

// extensions are what the server offered in its reply to EHLO.
type extensions struct {
	pipelining bool // RFC 2920
	chunking   bool // RFC 3030
	eightBit   bool // 8BITMIME, RFC 6152
	utf8       bool // SMTPUTF8, RFC 6531
	size       int  // the largest message it takes in octets (RFC 1870); 0: not said
}

func extensionsOf(client *smtp.Client) extensions {
	var e extensions
	e.pipelining, _ = client.Extension("PIPELINING")
	e.chunking, _ = client.Extension("CHUNKING")
	e.eightBit, _ = client.Extension("8BITMIME")
	e.utf8, _ = client.Extension("SMTPUTF8")
	if ok, size := client.Extension("SIZE"); ok {
		e.size, _ = strconv.Atoi(size)
	}
	return e
}

// outOfStep is the error of a reply that can't belong to its command.
func outOfStep(v verb, r reply) error {
	return fmt.Errorf("the SMTP server's reply to %s makes no sense: %s", v, r)
}
