package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// caller makes Twilio's requests to webhooks, signed, on this machine and nowhere else.
type caller struct {
	token  string
	client *http.Client
}

// callTimeout is how long Twilio waits for a webhook.
const callTimeout = 15 * time.Second

var errElsewhere = errors.New("not called: the sandbox calls addresses on this machine only")

// isPermanent reports whether it is in vain to call again.
func isPermanent(err error) bool { return errors.Is(err, errElsewhere) }

func newCaller(token string) *caller {
	dialer := &net.Dialer{Timeout: callTimeout, Control: loopbackOnly}
	return &caller{token: token, client: &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, MaxIdleConnsPerHost: networkWorkers, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// loopbackOnly looks at the address that is about to be dialled, after names were resolved.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	if host, _, err := net.SplitHostPort(address); err != nil || !isLoopback(host) {
		return errElsewhere
	}
	return nil
}

// answer is what a webhook said.
type answer struct {
	status      int // HTTP status, 0 without an answer
	contentType string
	body        string
}

// maxAnswer bounds what is read of a webhook's answer, in octets.
const maxAnswer = 64 << 10

// post calls a webhook. The error says why that was not a success.
func (c *caller) post(ctx context.Context, address string, form url.Values) (answer, error) {
	u, err := url.Parse(address)
	if err != nil {
		return answer{}, err
	}
	if !isLoopback(u.Hostname()) {
		return answer{}, errElsewhere
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set("User-Agent", "TwilioProxy/1.1 (Sapa sandbox)")
	r.Header.Set("X-Twilio-Signature", sign(c.token, address, form))
	response, err := c.client.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // the cause, without the address
	}
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	a := answer{status: response.StatusCode, contentType: response.Header.Get("Content-Type"), body: string(body)}
	if err == nil && (a.status < 200 || a.status > 299) {
		err = fmt.Errorf("the webhook answered %s", response.Status)
	}
	return a, err
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// sign is X-Twilio-Signature: HMAC-SHA1, keyed with the account's token, over the address and the names and values of the
// form in the order of their names; base64.
// https://www.twilio.com/docs/usage/security#validating-requests
func sign(token, address string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token))
	_, _ = io.WriteString(mac, address)
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			_, _ = io.WriteString(mac, name+value)
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// statusForm is what a status callback says.
// https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
func statusForm(account string, m Message, a act, now time.Time) url.Values {
	form := url.Values{
		"MessageSid": {m.MessageID}, "SmsSid": {m.MessageID}, "MessageStatus": {a.status}, "SmsStatus": {a.status},
		"To": {m.To[0]}, "From": {m.From}, "AccountSid": {account}, "ApiVersion": {apiVersion},
	}
	if m.Channel == ChannelWhatsApp {
		form.Set("ChannelToAddress", m.To[0])
		form.Set("ChannelPrefix", "whatsapp")
	}
	if m.SMS.Service != "" {
		form.Set("MessagingServiceSid", m.SMS.Service)
	}
	if a.error != 0 {
		form.Set("ErrorCode", strconv.Itoa(a.error))
		form.Set("ErrorMessage", carrierError(a.error))
	}
	if m.Channel == ChannelSMS && (a.status == "delivered" || a.status == "undelivered") {
		form.Set("RawDlrDoneDate", now.UTC().Format("0601021504"))
	}
	return form
}
