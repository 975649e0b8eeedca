// Package sandbox is a mail server that catches everything, and an HTTP server that speaks Twilio's Messages and Calls
// APIs, for trying out campaigns without writing to anybody.
//
// It speaks real SMTP (PIPELINING, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, CHUNKING, AUTH PLAIN with any password)
// and shows on a small page what it caught. What it answers is on the disk before it is said: a verdict (token of the
// message, accepted or refused, code, words) is appended to a log and synced before the reply, together with those of
// all other connections that wait at that moment, so that the log can be compared with the sender's own books. It
// misbehaves on request, for some recipients always (see Magic and MagicNumbers).
//
// On the page's own address it answers the requests of Twilio's API that send, fetch and list texts, WhatsApp messages
// and calls, with Twilio's fields, errors and prices. What was accepted is queued, sent and delivered, or rings and is
// answered, and its status callbacks come signed, on this machine only; customers answer texts on the page, or by Reply,
// and press keys by rules.
//
// The folder holds segment files, 00000001.mail and so on, which are only ever appended to; delete it to forget the
// mail. Memory does not hold bodies, only some 150 to 300 octets for each mail, and about 1.5 kB for each text: how it
// begins, and what became of it.
package sandbox

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
)

// Config says where the sandbox listens and how it behaves.
type Config struct {
	SMTPAddr string // host:port; "" is a free port on 127.0.0.1
	HTTPAddr string // host:port of the page; "" is a free port on 127.0.0.1
	Dir      string // the folder of the mail, made when it is absent; used by one sandbox at a time
	Log      *slog.Logger

	Misbehave []Rule // beside those of Magic and MagicNumbers, and before them
	Seed      uint64 // of the dice for Rule.Share

	AccountSID string        // of Twilio's API; DefaultAccountSID without one
	AuthToken  string        // the account's, letters and digits; DefaultAuthToken without one
	InboundURL string        // where customers' texts go, on this machine; DefaultInboundURL without one
	Pace       time.Duration // a text waits so long before it is sent, and again before it is delivered
	Late       time.Duration // how late callbacks come that are late; 5 s by default
	Retry      time.Duration // a callback that failed is tried again after this, then four times as long, and so on; 1 s by default
	Hang       time.Duration // how long a client gets no answer that is to run into its time-out; 30 s by default

	// Expose permits addresses that other machines can reach. There is no password on anything.
	Expose bool

	Now func() time.Time // for ReceivedAt; time.Now by default

	files  fileSystem // Dir on the real disk unless a test puts its own here
	limits limits
}

// What the sandbox uses for Twilio's API where its Config does not say.
const (
	DefaultAccountSID = "AC5a9a5a9a5a9a5a9a5a9a5a9a5a9a5a9a"
	DefaultAuthToken  = "sandbox"
	DefaultInboundURL = "http://127.0.0.1:8080/hooks/sms/inbound"
)

// segmentSize is how large a segment file grows before the next one is begun.
const segmentSize = 256 << 20

func (c Config) withDefaults() Config {
	if c.SMTPAddr == "" {
		c.SMTPAddr = "127.0.0.1:0"
	}
	if c.HTTPAddr == "" {
		c.HTTPAddr = "127.0.0.1:0"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.AccountSID = cmp.Or(c.AccountSID, DefaultAccountSID)
	c.AuthToken = cmp.Or(c.AuthToken, DefaultAuthToken)
	c.InboundURL = cmp.Or(c.InboundURL, DefaultInboundURL)
	c.Late, c.Retry, c.Hang = cmp.Or(c.Late, 5*time.Second), cmp.Or(c.Retry, time.Second), cmp.Or(c.Hang, 30*time.Second)
	if c.limits == (limits{}) {
		c.limits = limits{segment: segmentSize, record: maxMessage + maxMeta}
	}
	return c
}

// checkTwilio refuses what Twilio's clients could not use, and addresses elsewhere.
func (c Config) checkTwilio() error {
	letters := func(s string) bool { return consistsOf(s, func(b byte) bool { return isDigit(b) || isLetter(b) }) }
	if !strings.HasPrefix(c.AccountSID, "AC") || !letters(c.AccountSID) {
		return fmt.Errorf("account %q: write AC and letters or digits, such as %s", c.AccountSID, DefaultAccountSID)
	}
	if !letters(c.AuthToken) {
		return errors.New("the account's token has other characters than letters and digits")
	}
	u, err := url.Parse(c.InboundURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isLoopback(u.Hostname()) {
		return fmt.Errorf("inbound address %q: write one on this machine, such as %s", c.InboundURL, DefaultInboundURL)
	}
	return nil
}

// Server is a running sandbox. Its methods can be called by several goroutines at once.
type Server struct {
	config  Config
	store   *store
	rules   *misbehaviour
	network *network
	room    *mailroom
	optOuts *optOuts
	since   time.Time

	unanswered atomic.Int64 // of Counts

	smtpListener, httpListener net.Listener
	smtp                       *smtp.Server
	mail                       *replyListener
	http                       *http.Server

	done    chan struct{}
	serving sync.WaitGroup
	closing sync.Once
	closed  error
}

// Start reads the folder's mail and serves until Close is called or ctx ends.
func Start(ctx context.Context, config Config) (*Server, error) {
	s := &Server{config: config.withDefaults(), done: make(chan struct{}), optOuts: newOptOuts()}
	s.since = s.config.Now()
	rules, err := newMisbehaviour(slices.Concat(s.config.Misbehave, Magic(), MagicNumbers()), config.Seed)
	if err = errors.Join(err, s.config.checkTwilio()); err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	s.rules = rules
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("start sandbox: %w", errors.Join(err, s.Close()))
	}
	s.serve()
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return s, nil
}

// open listens before it reads the mail, so that a port in use is told at once.
func (s *Server) open(ctx context.Context) error {
	var err error
	if s.smtpListener, err = s.listen(ctx, s.config.SMTPAddr); err != nil {
		return err
	}
	if s.httpListener, err = s.listen(ctx, s.config.HTTPAddr); err != nil {
		return err
	}
	files := s.config.files
	if files == nil {
		if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
			return err
		}
		files = folder{s.config.Dir}
	}
	if s.store, err = openStore(files, s.config.limits, s.config.Log); err != nil {
		return err
	}
	s.network = newNetwork(s.config, s.store)
	s.recall()
	s.network.resume()
	return nil
}

func (s *Server) listen(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: write host:port, such as 127.0.0.1:2525", addr)
	}
	if !s.config.Expose && !isLoopback(host) {
		return nil, fmt.Errorf("address %q can be reached by other machines and the sandbox has no password: "+
			"use 127.0.0.1, or expose it on purpose", addr)
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// isLoopback reports whether a host, without its port, is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Server) serve() {
	s.room = &mailroom{store: s.store, rules: s.rules, now: s.config.Now, done: s.done}
	s.smtp = newSMTPServer(s.room, s.config.Log)
	s.http = &http.Server{
		Handler:           newPages(s).handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
	s.mail = newReplyListener(s.smtpListener)
	s.serving.Go(func() { s.report("smtp", s.smtp.Serve(s.mail)) })
	s.serving.Go(func() { s.report("http", s.http.Serve(s.httpListener)) })
	ctx, cancel := context.WithCancel(context.Background())
	s.serving.Go(func() {
		<-s.done
		cancel()
	})
	s.serving.Go(func() { s.network.run(ctx) })
}

func (s *Server) report(what string, err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		s.config.Log.Error("the sandbox stopped serving", slog.String("what", what), slog.Any("err", err))
	}
}

// SMTPAddr is where the sandbox takes mail, as host:port.
func (s *Server) SMTPAddr() string { return s.smtpListener.Addr().String() }

// HTTPAddr is where the sandbox shows mail, as host:port.
func (s *Server) HTTPAddr() string { return s.httpListener.Addr().String() }

// TwilioURL is where the sandbox takes texts, with the account's credentials, as sapa.yaml wants it.
func (s *Server) TwilioURL() string {
	return "http://" + s.config.AccountSID + ":" + s.config.AuthToken + "@" + s.HTTPAddr()
}

// Close cuts all connections, waits until what was taken is durable, and closes the files. Later calls do nothing.
func (s *Server) Close() error {
	s.closing.Do(func() {
		close(s.done)
		var errs []error
		if s.smtp != nil {
			errs = append(errs, s.http.Close())
		}
		// The servers close a listener only once they serve it, which may be still to come.
		errs = append(errs, closeListener(s.smtpListener), closeListener(s.httpListener))
		if s.mail != nil {
			s.mail.cut()
		}
		s.serving.Wait()
		if s.smtp != nil { // its Close would come between a connection and its BDAT, without a lock (go-smtp 0.25)
			_ = s.smtp.Shutdown(context.Background())
		}
		if s.store != nil {
			errs = append(errs, s.store.journal.close())
		}
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Messages lists one page of the messages that the filter chooses, newest first.
func (s *Server) Messages(f Filter, p Page) Listing { return s.store.list(f, p) }

// Message is a message and its text as it came over the wire, with its dots unstuffed; the text of a refused message is
// empty. It returns ErrNotFound.
func (s *Server) Message(id int64) (Message, []byte, error) { return s.store.raw(id) }

// Each yields the messages that the filter chooses, oldest first, up to those that are there when it begins.
func (s *Server) Each(f Filter) iter.Seq[Message] { return s.store.all(f) }

// EachRaw yields the text of every accepted mail, oldest first. It reads them one by one from the disk.
func (s *Server) EachRaw() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for m := range s.store.all(Filter{Channel: ChannelEmail}) {
			_, raw, err := s.store.raw(m.ID)
			if !yield(raw, err) {
				return
			}
		}
	}
}

// Counts are totals since the folder was made.
func (s *Server) Counts() Counts {
	c := s.store.totals()
	c.Cut, c.Unanswered = int(s.room.cut.Load()), int(s.unanswered.Load())
	return c
}

// WaitCallbacks returns when every accepted text is at its end and all callbacks were made, or given up.
func (s *Server) WaitCallbacks(ctx context.Context) error { return s.network.wait(ctx) }

// WriteLog writes what was decided about each mail whose Message-ID is known, a line each, in the order in which it became
// durable: the Message-ID, accepted or refused, the reply code and the words. It is the mail server's log, as sapa resolve
// reads it.
func (s *Server) WriteLog(w io.Writer) error {
	lines := bufio.NewWriter(w)
	for m := range s.Each(Filter{Which: All, Channel: ChannelEmail}) {
		if m.MessageID == "" {
			continue
		}
		verdict := "refused"
		if m.Verdict.Accepted {
			verdict = "accepted"
		}
		fmt.Fprintf(lines, "%s %s %d %s\n", m.MessageID, verdict, m.Verdict.Code, strings.Join(strings.Fields(m.Verdict.Words), " "))
	}
	if err := lines.Flush(); err != nil {
		return fmt.Errorf("write the sandbox's log: %w", err)
	}
	return nil
}
