package twilio

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"github.com/sapa-crm/sapa/channels/httpsend"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// answer is what came back on a request; the zero answer: nothing.
type answer struct {
	status  int // of HTTP
	code    int // Twilio's error code; 0: none was given
	message string
	retry   time.Duration // the wait that a Retry-After asks for
}

func (a answer) String() string {
	if a.code != 0 {
		return fmt.Sprintf("HTTP %d, error %d", a.status, a.code)
	}
	return fmt.Sprintf("HTTP %d", a.status)
}

// service is twilio-go's API with our transport under it. It follows no redirects: a request is one hand-over.
func (c *Channel) service(trip tripper) *openapi.ApiService {
	base := &client.Client{
		Credentials: client.NewCredentials(c.cfg.User, c.cfg.Password.Reveal()),
		HTTPClient: &http.Client{Transport: trip, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	}
	base.SetAccountSid(c.cfg.AccountSID)
	return openapi.NewApiServiceWithClient(base)
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// address sends a request of twilio-go's to the configured server.
func (c *Channel) address(r *http.Request) {
	base, err := url.Parse(c.cfg.BaseURL)
	if err != nil {
		return // validate has parsed it
	}
	r.URL.Scheme, r.URL.Host, r.Host = base.Scheme, base.Host, base.Host
}

// ask makes a call that changes nothing, and may be given up at any time.
func (c *Channel) ask(ctx context.Context, via http.RoundTripper, use func(*openapi.ApiService) error) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout+c.cfg.AnswerTimeout, errNoAnswer)
	defer cancel()
	var got answer
	err := use(c.service(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(ctx)
		c.address(r)
		response, err := via.RoundTrip(r)
		if err != nil {
			return nil, cause(ctx, err)
		}
		return c.read(response, &got)
	}))
	return got, bare(err)
}

// read takes the whole answer in, so that the connection is free again and no time limit is left to run.
func (c *Channel) read(response *http.Response, into *answer) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	*into = answer{status: response.StatusCode, retry: httpsend.RetryAfter(response.Header, c.cfg.Now())}
	var refused client.TwilioRestError
	if response.StatusCode >= 400 && json.Unmarshal(body, &refused) == nil {
		into.code, into.message = refused.Code, refused.Message
	}
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

var (
	errNoConnection = errors.New("no connection in time")
	errNoAnswer     = errors.New("no answer in time")
)

// handOver is one request that hands a message over.
type handOver struct {
	channel *Channel
	permit  func() error // of its message
	cancel  context.CancelCauseFunc

	mu       sync.Mutex
	over     bool      // there must be no hand-over any more
	withheld error     // why we did not hand over ourselves: no permission, or the context's end
	at       time.Time // of the hand-over
	limit    *time.Timer

	answer  answer
	created taken
}

// run makes the request. Until the hand-over, the end of the context or the limit for connecting ends it; after it,
// only the answer or the limit for that.
func (h *handOver) run(ctx context.Context, via http.RoundTripper, place order) (err error) {
	callCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	h.cancel = cancel
	h.limit = time.AfterFunc(h.channel.cfg.ConnectTimeout, func() { h.stop(errNoConnection, nil) })
	defer h.end()
	defer context.AfterFunc(ctx, func() { h.stop(context.Cause(ctx), context.Cause(ctx)) })()
	allow := func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return h.permit()
	}
	h.created, err = place(h.channel.service(func(r *http.Request) (*http.Response, error) {
		g := h.gate(allow)
		response, err := via.RoundTrip(h.request(callCtx, r, g))
		for err != nil && h.again(g) {
			g = h.gate(allow)
			response, err = via.RoundTrip(h.request(callCtx, r, g))
		}
		if err != nil {
			return nil, cause(callCtx, err)
		}
		return h.channel.read(response, &h.answer)
	}))
	return bare(err)
}

// gate is the body of one try.
func (h *handOver) gate(allow func() error) *gate {
	g := &gate{ReadCloser: http.NoBody}
	g.enter = func() error {
		if g.kept != nil && stale(g.kept) {
			return errStale
		}
		return h.enter(allow)
	}
	return g
}

// again says that a try failed only because the server had closed the kept connection: nothing was written, and the transport
// makes another. It may notice before the body is read, and then says so in its own words.
func (h *handOver) again(g *gate) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return g.kept != nil && h.at.IsZero() && !h.over
}

// request is twilio-go's request with the body that hands it over. The transport must not repeat it by itself.
func (h *handOver) request(ctx context.Context, r *http.Request, g *gate) *http.Request {
	if body, err := r.GetBody(); err == nil { // twilio-go's body is in memory
		g.ReadCloser = body
	}
	r = r.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: g.got}))
	h.channel.address(r)
	r.Body, r.GetBody = g, nil
	return r
}

// end is for a transport that is still busy with a request that has failed: it must hand nothing over any more.
func (h *handOver) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	h.limit.Stop()
}

// stop ends what has not been handed over yet.
func (h *handOver) stop(why, withheld error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || !h.at.IsZero() {
		return
	}
	h.over, h.withheld = true, withheld
	h.cancel(why)
}

var errOver = errors.New("the request has ended")

// enter is the hand-over: from here on the request is written.
func (h *handOver) enter(allow func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.at.IsZero():
		return nil
	case h.over:
		return errOver
	}
	if err := allow(); err != nil {
		h.over, h.withheld = true, err
		return err
	}
	h.at = time.Now()
	h.limit.Stop()
	h.limit = time.AfterFunc(h.channel.cfg.AnswerTimeout, func() { h.cancel(errNoAnswer) })
	return nil
}

// gate is a request's body that can be read once the hand-over is allowed.
type gate struct {
	io.ReadCloser
	enter   func() error
	entered bool
	kept    net.Conn // the connection, where it was used before
}

// got is told the connection before the body is read.
func (g *gate) got(info httptrace.GotConnInfo) {
	if info.Reused {
		g.kept = info.Conn
	}
}

// Read asks for permission the first time.
func (g *gate) Read(p []byte) (int, error) {
	if !g.entered {
		if err := g.enter(); err != nil {
			return 0, err
		}
		g.entered = true
	}
	return g.ReadCloser.Read(p)
}

// errStale says that a kept connection can't be used any more.
var errStale = errors.New("the server has closed the kept connection")

// stale says whether the server has closed a connection, or said something unasked on it. It looks at the socket without
// taking anything from it: the transport, which reads it, may not have got round to noticing.
func stale(conn net.Conn) bool {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	var peeked error
	if err := raw.Control(func(fd uintptr) {
		_, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); err != nil {
		return true
	}
	return !errors.Is(peeked, syscall.EAGAIN)
}

// cause prefers why a context was ended to that it was.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// bare takes off what net/http puts around an error, which repeats the URL.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
