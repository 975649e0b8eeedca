package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

const (
	sender   = "+6281100000001"
	customer = "+6281234567890"
)

// toSandbox lets Twilio's client talk to the sandbox: its base address can't be changed.
type toSandbox struct {
	http.RoundTripper
	host string
}

func (t toSandbox) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host, r.Host = "http", t.host, t.host
	return t.RoundTripper.RoundTrip(r)
}

// twilioClient is Twilio's own client, with a connection pool of its own.
func twilioClient(t *testing.T, s *Server) *api.ApiService {
	t.Helper()
	return twilioClientAs(t, s, DefaultAccountSID, DefaultAuthToken, &http.Transport{})
}

func twilioClientAs(t *testing.T, s *Server, account, token string, transport http.RoundTripper) *api.ApiService {
	t.Helper()
	if pool, ok := transport.(*http.Transport); ok {
		t.Cleanup(pool.CloseIdleConnections)
	}
	c := &client.Client{
		Credentials: client.NewCredentials(account, token),
		HTTPClient:  &http.Client{Transport: toSandbox{transport, s.HTTPAddr()}, Timeout: 20 * time.Second},
	}
	c.SetAccountSid(account)
	return api.NewApiServiceWithClient(c)
}

// textTo are the parameters of a text whose callbacks go to the hook, if there is one.
func textTo(to, body string, callback string) *api.CreateMessageParams {
	p := (&api.CreateMessageParams{}).SetTo(to).SetFrom(sender).SetBody(body)
	if callback != "" {
		p.SetStatusCallback(callback)
	}
	return p
}

func mustText(t *testing.T, s *Server, p *api.CreateMessageParams) *api.ApiV2010Message {
	t.Helper()
	m, err := twilioClient(t, s).CreateMessage(p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// errorCode is Twilio's error code, 0 for other errors.
func errorCode(err error) int {
	if e, ok := errors.AsType[*client.TwilioRestError](err); ok {
		return e.Code
	}
	return 0
}

func settle(t *testing.T, s *Server) {
	t.Helper()
	if err := s.WaitCallbacks(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hook is a webhook that checks each signature with Twilio's own validator.
type hook struct {
	*httptest.Server

	mu     sync.Mutex
	forms  []url.Values
	answer func(url.Values) (status int, contentType, body string)
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{answer: func(url.Values) (int, string, string) { return http.StatusNoContent, "", "" }}
	validator := client.NewRequestValidator(DefaultAuthToken)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		form, formErr := url.ParseQuery(string(body))
		if err != nil || formErr != nil {
			t.Errorf("read a callback: %v, %v", err, formErr)
		}
		if !validator.ValidateBody(h.URL+r.URL.String(), body, r.Header.Get("X-Twilio-Signature")) {
			t.Errorf("Twilio's validator refuses the signature of %s", r.URL)
		}
		form.Set("path", r.URL.Path)
		h.mu.Lock()
		h.forms = append(h.forms, form)
		answer := h.answer
		h.mu.Unlock()
		status, kind, text := answer(form)
		w.Header().Set("Content-Type", kind)
		if status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answerWith(answer func(url.Values) (int, string, string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// statuses are those that came for a text, in order.
func (h *hook) statuses(sid string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, f := range h.forms {
		if f.Get("MessageSid") == sid {
			list = append(list, f.Get("MessageStatus"))
		}
	}
	return list
}

func (h *hook) all() []url.Values {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]url.Values(nil), h.forms...)
}

// request makes a request of Twilio's API by hand.
func request(t *testing.T, s *Server, method, path string, form url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTPAddr()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(s.config.AccountSID, s.config.AuthToken)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func readFault(t *testing.T, body string) fault {
	t.Helper()
	var f fault
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return f
}
