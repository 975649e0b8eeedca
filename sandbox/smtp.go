package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// maxMessage is the largest message that is accepted, in octets.
const maxMessage = 32 << 20

// mailroom answers SMTP. It implements smtp.Backend.
type mailroom struct {
	store *store
	rules *misbehaviour
	now   func() time.Time
	done  <-chan struct{} // closed when the sandbox shuts down; ends delays
	cut   atomic.Int64    // connections cut after a mail was complete
}

func newSMTPServer(room *mailroom, log *slog.Logger) *smtp.Server {
	s := smtp.NewServer(room)
	s.Domain = "sandbox.invalid"
	s.MaxRecipients = 100
	s.MaxMessageBytes = maxMessage
	s.MaxLineLength = 1 << 20 // as servers in the wild; ParseMail objects to lines that are too long
	s.AllowInsecureAuth = true
	s.EnableSMTPUTF8 = true
	s.ReadTimeout = 5 * time.Minute // RFC 5321 section 4.5.3.2.7
	s.ErrorLog = smtpLog{log}
	return s
}

// NewSession implements smtp.Backend.
func (r *mailroom) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &dialogue{room: r, conn: c}, nil
}

// dialogue is one SMTP connection. It implements smtp.AuthSession.
type dialogue struct {
	room   *mailroom
	conn   *smtp.Conn
	mu     sync.Mutex // held by Data, which go-smtp runs beside the dialogue for BDAT
	from   string
	to     []string
	raw    bytes.Buffer
	record []byte
}

// AuthMechanisms implements smtp.AuthSession.
func (d *dialogue) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession: any name and password will do, except for the name "wrong".
func (d *dialogue) Auth(mechanism string) (sasl.Server, error) {
	if mechanism != sasl.Plain {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(_, username, _ string) error {
		if username == "wrong" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (d *dialogue) Mail(from string, _ *smtp.MailOptions) error {
	d.from = from
	return nil
}

// Rcpt implements smtp.Session. A refusal is durable before it is told.
func (d *dialogue) Rcpt(to string, _ *smtp.RcptOptions) error {
	delay, rule, found := d.room.rules.at(AtRecipient, to)
	d.room.wait(delay)
	switch {
	case !found:
		d.to = append(d.to, to)
		d.underWay(true)
		return nil
	case rule.Drop != DropNone:
		return d.hangUp()
	}
	m := d.message(AtRecipient)
	m.To = []string{to}
	return d.refuse(m, rule)
}

// Data implements smtp.Session. Whatever the answer is, it is durable before it is told.
func (d *dialogue) Data(r io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.raw.Reset()
	if _, err := d.raw.ReadFrom(r); errors.Is(err, smtp.ErrDataTooLarge) {
		return d.refuseTooLarge()
	} else if err != nil {
		return err
	}
	delay, rule, found := d.room.rules.at(AtDot, d.to...)
	d.room.wait(delay)
	m := d.message(AtDot)
	m.Size = d.raw.Len()
	m.Subject, m.MessageID = scanHeader(d.raw.Bytes())
	switch {
	case found && rule.Reply.Code != 0:
		return d.refuse(m, rule)
	case rule.Drop == DropBefore:
		d.room.cut.Add(1)
		return d.hangUp()
	default:
		return d.accept(m, rule)
	}
}

// Reset implements smtp.Session.
func (d *dialogue) Reset() {
	d.underWay(false)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.from, d.to = "", nil
	if d.raw.Cap() > 1<<20 {
		d.raw, d.record = bytes.Buffer{}, nil
	}
}

func (d *dialogue) underWay(yes bool) {
	if c, ok := d.conn.Conn().(*replyConn); ok {
		c.underWay.Store(yes)
	}
}

// Logout implements smtp.Session.
func (d *dialogue) Logout() error { return nil }

func (d *dialogue) message(stage Stage) Message {
	return Message{ReceivedAt: d.room.now(), From: d.from, To: d.to, Verdict: Verdict{Stage: stage}}
}

func (d *dialogue) accept(m Message, rule Rule) error {
	m.Verdict.Accepted, m.Verdict.Code, m.Verdict.Enhanced = true, 250, "2.0.0"
	m.Verdict.Words = "OK: queued"
	m.Verdict.Rule, m.Verdict.Withheld = rule.name(), rule.Drop == DropAfter
	if err := d.keep(m, d.raw.Bytes()); err != nil {
		return err
	}
	if m.Verdict.Withheld {
		d.room.cut.Add(1)
		return d.hangUp()
	}
	return nil
}

func (d *dialogue) refuse(m Message, rule Rule) error {
	reply := &smtp.SMTPError{
		Code: rule.Reply.Code, EnhancedCode: smtp.EnhancedCode(rule.Reply.Enhanced), Message: rule.Reply.Words,
	}
	m.Verdict.Rule = rule.name()
	return d.tell(m, reply)
}

func (d *dialogue) refuseTooLarge() error {
	m := d.message(AtDot)
	m.Size = maxMessage + 1
	return d.tell(m, smtp.ErrDataTooLarge)
}

func (d *dialogue) tell(m Message, reply *smtp.SMTPError) error {
	m.Verdict.Code, m.Verdict.Words = reply.Code, reply.Message
	m.Verdict.Enhanced = fmt.Sprintf("%d.%d.%d", reply.EnhancedCode[0], reply.EnhancedCode[1], reply.EnhancedCode[2])
	if err := d.keep(m, nil); err != nil {
		return err
	}
	return reply
}

// keep makes the verdict durable. Where that fails the client is told to come back, never that the mail was taken.
func (d *dialogue) keep(m Message, raw []byte) error {
	d.record = sealRecord(d.record[:0], &m, raw)
	if err := d.room.store.journal.append(d.record); err != nil {
		return &smtp.SMTPError{
			Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "The sandbox can't write: " + oneLine(err),
		}
	}
	return nil
}

// hangUp cuts the connection. The error is for go-smtp, which can't send it any more.
func (d *dialogue) hangUp() error {
	_ = d.conn.Conn().Close()
	return smtp.ErrServerClosed
}

func (r *mailroom) wait(delay time.Duration) {
	if delay <= 0 {
		return
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.done:
	}
}

func oneLine(err error) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return ' '
		}
		return c
	}, err.Error())
}

// smtpLog gives go-smtp's complaints about broken connections to slog. They hold network addresses, no mail addresses.
type smtpLog struct{ log *slog.Logger }

// Printf implements smtp.Logger.
func (l smtpLog) Printf(format string, v ...any) {
	l.log.Log(context.Background(), slog.LevelDebug, "smtp", slog.String("note", fmt.Sprintf(format, v...)))
}

// Println implements smtp.Logger.
func (l smtpLog) Println(v ...any) {
	l.log.Log(context.Background(), slog.LevelDebug, "smtp", slog.String("note", strings.TrimSpace(fmt.Sprintln(v...))))
}
