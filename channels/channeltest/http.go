package channeltest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

// HTTP describes a provider that takes each message as one HTTP request. Start makes it a Provider: a real server on
// loopback.
type HTTP struct {
	// New makes the channel for a server at url, such as http://127.0.0.1:12345.
	New func(url string) channels.Channel
	// Recipient is a valid address, another for each i; of a channel without addresses, only a name.
	Recipient func(i int) channels.Address
	// Fill gives a message the parts that make it a good one. Those, or its address, must make To and Token possible.
	Fill func(m *channels.Message)
	// Request reads whom a request's message goes to (an address, or a name where there is none) and its token.
	// Requests that are none for a message have no token; they are answered with Replies[Accept].
	Request func(r *http.Request, body []byte) (to, token string)
	// Replies are the provider's answers to Accept, Refuse, RefuseAddress and RefuseForNow; of those that are missing, the
	// tests are left out.
	Replies map[Answer]Reply
	// Unfit is Provider.Unfit.
	Unfit map[string]func(*channels.Message)
	// Repeatable is Traits.Repeatable: the server takes a token once.
	Repeatable bool
}

// Reply is an answer of HTTP.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Start starts the server, which stops when the test ends.
func (h HTTP) Start(t *testing.T) Provider {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httpServer{
		HTTP: h, listener: listener, url: "http://" + listener.Addr().String(),
		answers: map[string]Answer{}, held: make(chan struct{}, 10), release: make(chan struct{}),
	}
	s.server = &http.Server{Handler: s} //nolint:gosec // on loopback, for a test
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		s.Release()
		s.Stop()
		<-ended
	})
	return s
}

// httpServer is the provider.
type httpServer struct {
	HTTP
	listener net.Listener
	url      string
	server   *http.Server

	mu      sync.Mutex
	answers map[string]Answer
	taken   []string

	held    chan struct{}
	release chan struct{}
	freed   sync.Once
}

// ServeHTTP answers one request.
func (s *httpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	to, token := s.Request(r, body)
	if token == "" {
		s.reply(w, Accept)
		return
	}
	s.mu.Lock()
	answer := s.answers[to]
	s.mu.Unlock()
	switch answer {
	case Refuse, RefuseAddress, RefuseForNow:
		s.reply(w, answer)
		return
	case DropAfter:
		s.take(token)
		panic(http.ErrAbortHandler) // closes the connection
	case Hold:
		s.take(token)
		s.held <- struct{}{}
		<-s.release
	default:
		s.take(token)
	}
	s.prepareCut(w)
	s.reply(w, Accept)
}

func (s *httpServer) reply(w http.ResponseWriter, a Answer) {
	reply := s.Replies[a]
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(reply.Status)
	_, _ = io.WriteString(w, reply.Body)
}

func (s *httpServer) take(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Repeatable || !slices.Contains(s.taken, token) {
		s.taken = append(s.taken, token)
	}
}

// prepareCut arranges that no connection can be made for the next message, where one is to be cut off before it is handed
// over: the only way in which HTTP breaks before a request that it can't foresee.
func (s *httpServer) prepareCut(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.answers {
		if a == DropBefore {
			_ = s.listener.Close()
			w.Header().Set("Connection", "close")
		}
	}
}

// Channel implements Provider.
func (s *httpServer) Channel() channels.Channel { return s.New(s.url) }

// Recipient implements Provider.
func (s *httpServer) Recipient(i int) channels.Address { return s.HTTP.Recipient(i) }

// Unfit implements Provider.
func (s *httpServer) Unfit() map[string]func(*channels.Message) { return s.HTTP.Unfit }

// Fill implements Filler.
func (s *httpServer) Fill(m *channels.Message) {
	if s.HTTP.Fill != nil {
		s.HTTP.Fill(m)
	}
}

// Traits implements Peculiar.
func (s *httpServer) Traits() Traits {
	traits := Traits{Repeatable: s.Repeatable}
	for _, a := range []Answer{Refuse, RefuseAddress, RefuseForNow} {
		if _, ok := s.Replies[a]; !ok {
			traits.Never = append(traits.Never, a)
		}
	}
	return traits
}

// Answer implements Provider.
func (s *httpServer) Answer(to channels.Address, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := to.Addr
	if name == "" {
		name = to.Name
	}
	s.answers[name] = a
}

// Accepted implements Provider.
func (s *httpServer) Accepted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// Held implements Provider.
func (s *httpServer) Held() <-chan struct{} { return s.held }

// Release implements Provider.
func (s *httpServer) Release() { s.freed.Do(func() { close(s.release) }) }

// Stop implements Provider.
func (s *httpServer) Stop() { _ = s.server.Close() }
