package webhook

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/secret"
)

// The test vector of the specification's reference libraries.
func TestSign(t *testing.T) {
	t.Parallel()
	key, err := key(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// The whole request, byte for byte; a second attempt differs in its time and signature alone.
func TestRequest(t *testing.T) {
	t.Parallel()
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		line := r.Method + " " + r.RequestURI
		for _, name := range []string{"Content-Type", "User-Agent", "Webhook-Id", "Webhook-Timestamp"} {
			line += "\n" + name + ": " + r.Header.Get(name)
		}
		key, err := key(testSecret)
		var at int64
		if _, scanErr := fmt.Sscan(r.Header.Get("webhook-timestamp"), &at); err != nil || scanErr != nil {
			t.Error(err, scanErr)
		}
		if want := sign(key, r.Header.Get("webhook-id"), at, body); r.Header.Get("webhook-signature") != want {
			t.Errorf("signature %s, want %s", r.Header.Get("webhook-signature"), want)
		}
		got = append(got, line+"\n\n"+string(body))
		if len(got) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	now := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	c, err := New(Config{URL: secret.Text(server.URL + "/hooks/sapa?key=k"), Secret: testSecret, Now: func() time.Time { now = now.Add(time.Minute); return now }})
	if err != nil {
		t.Fatal(err)
	}
	m := &channels.Message{
		ID: 17, Token: "t17", Date: now, Campaign: "oil-change", Topic: "service-reminders", Customer: "17", Locale: "id-ID",
		Parts: map[string]string{"data.plate": "H 1234 <AB>", "data.due": "", "text": "Sudah waktunya\nganti oli & rem."},
	}
	s, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan *channels.Message, 2)
	in <- m
	in <- m
	close(in)
	var verdicts []string
	err = s.Deliver(t.Context(), in, func(*channels.Message) error { return nil }, func(_ *channels.Message, r channels.Receipt, err error) {
		verdicts = append(verdicts, fmt.Sprint(channels.VerdictOf(err), " ", r.Code, " ", r.ProviderID))
	})
	if err != nil {
		t.Fatal(err)
	}
	id := "msg_4d316df0cdce8d24d84a117d"
	if diff := cmp.Diff([]string{"retry 500 " + id, "accepted 200 " + id}, verdicts); diff != "" {
		t.Error(diff)
	}
	request := func(at int64) string {
		return fmt.Sprintf("POST /hooks/sapa?key=k\nContent-Type: application/json\nUser-Agent: Sapa\nWebhook-Id: %s\nWebhook-Timestamp: %d\n\n", id, at) +
			`{"type":"message","timestamp":"2026-11-22T01:00:00Z","data":{"campaign":"oil-change","topic":"service-reminders","customer":"17","locale":"id-ID",` +
			`"data":{"due":"","plate":"H 1234 <AB>"},"text":"Sudah waktunya\nganti oli & rem."}}`
	}
	first := time.Date(2026, 11, 22, 1, 1, 0, 0, time.UTC).Unix()
	if diff := cmp.Diff([]string{request(first), request(first + 60)}, got); diff != "" {
		t.Error(diff)
	}
}

// Nothing shows the secret, or the URL's path and query.
func TestSecrets(t *testing.T) {
	t.Parallel()
	c, err := New(Config{URL: "https://crm.example/hooks/hunter2?key=hunter2", Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%v %+v %#v %s", c, c, c, c.LogValue()); got != strings.TrimSpace(strings.Repeat("https://crm.example ", 4)) {
		t.Error(got)
	}
	for _, bad := range []string{"", "hunter2", "whsec_hunter2", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)), "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		_, err := New(Config{URL: "https://crm.example/", Secret: secret.Text(bad)})
		if err == nil || err.Error() != "the webhook's secret must be whsec_ and 24 to 64 bytes in base64" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
