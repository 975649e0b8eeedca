package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

const messagesPath = "/2010-04-01/Accounts/" + DefaultAccountSID + "/Messages"

func TestWhatTwilioRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	form := func(pairs ...string) url.Values {
		v := url.Values{"To": {customer}, "From": {sender}, "Body": {"Halo"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for want, f := range map[string]url.Values{
		"400 21604 A 'To' phone number is required.":                                                                                                form("To", ""),
		"400 21603 A 'From' phone number is required.":                                                                                              form("From", ""),
		"400 21602 Message body is required.":                                                                                                       form("Body", ""),
		"400 21211 Invalid 'To' Phone Number: 0811":                                                                                                 form("To", "0811"),
		"400 21211 Invalid 'To' Phone Number: +15005550001":                                                                                         form("To", "+15005550001"),
		"400 21211 Invalid 'To' Phone Number: +62 811 1":                                                                                            form("To", "+62 811 1"),
		"400 21614 'To' number is not a valid mobile number: +6281255551614":                                                                        form("To", "+6281255551614"),
		"400 21610 Attempt to send to unsubscribed recipient":                                                                                       form("To", "+15005550004"),
		"400 21408 Permission to send an SMS has not been enabled for the region indicated by the 'To' number: +15005550003":                        form("To", "+15005550003"),
		"400 21612 The 'To' phone number: +15005550002, is not currently reachable using the 'From' phone number":                                   form("To", "+15005550002"),
		"400 21212 Invalid From Number (caller ID): +0":                                                                                             form("From", "+0"),
		"400 21212 Invalid From Number (caller ID): Bengkel Maju Jaya":                                                                              form("From", "Bengkel Maju Jaya"),
		"400 21606 The 'From' phone number provided (+15005550007) is not a valid message-capable Twilio phone number for this destination/account": form("From", "+15005550007"),
		"429 21611 This 'From' number has exceeded the maximum number of queued messages":                                                           form("From", "+15005550008"),
		"400 21266 'To' and 'From' number cannot be the same: " + customer:                                                                          form("From", customer),
		"400 21617 The concatenated message body exceeds the 1600 character limit":                                                                  form("Body", strings.Repeat("é", 1601)),
		"400 21701 The Messaging Service resource MG1 was not found":                                                                                form("MessagingServiceSid", "MG1"),
		"400 21609 The 'StatusCallback' URL bengkel is not a valid URL":                                                                             form("StatusCallback", "bengkel"),
		"400 20001 ValidityPeriod is not a number of seconds from 1 to 36000: 40000":                                                                form("ValidityPeriod", "40000"),
		"429 20429 Too Many Requests":                                                                                                               form("To", "+6281255550429"),
		"500 20500 An internal server error has occurred":                                                                                           form("To", "+6281255550500"),
		"503 20503 Service Unavailable":                                                                                                             form("To", "+6281255550503"),
	} {
		response, body := request(t, s, http.MethodPost, messagesPath+".json", f)
		got := readFault(t, body)
		if text := fmt.Sprintf("%d %d %s", response.StatusCode, got.Code, got.Message); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		if got.Status != response.StatusCode || got.MoreInfo != fmt.Sprintf("https://www.twilio.com/docs/errors/%d", got.Code) {
			t.Errorf("answer %s", body)
		}
		if after := response.Header.Get("Retry-After"); (after == "1") != (response.StatusCode == http.StatusTooManyRequests) {
			t.Errorf("%s: Retry-After %q", want, after)
		}
		l := s.Messages(Filter{Which: Refused}, Page{Size: 1})
		v := l.Messages[0].Verdict
		if v.Code != got.Status || v.Enhanced != fmt.Sprint(got.Code) || v.Words != got.Message || v.Stage != AtRequest || l.Messages[0].MessageID != "" {
			t.Errorf("recorded %+v for %s", v, want)
		}
	}
	if c := s.Counts(); c.Refused != 22 || c.Accepted != 0 || c.Texts != 0 || c.Unanswered != 2 {
		t.Errorf("counts %+v", c)
	}
	response, body := request(t, s, http.MethodPost, messagesPath+".json", form("To", "+6281255550502"))
	if response.StatusCode != http.StatusBadGateway || !strings.Contains(body, "<h1>502 Bad Gateway</h1>") {
		t.Errorf("%s %s", response.Status, body)
	}
	response, body = request(t, s, http.MethodPost, messagesPath+".json", form("Body", strings.Repeat("é", 1600)))
	if response.StatusCode != http.StatusCreated {
		t.Errorf("1600 characters: %s %s", response.Status, body)
	}
	for _, from := range []string{"12345", "BENGKEL 7", "+628111"} {
		if response, body := request(t, s, http.MethodPost, messagesPath+".json", form("From", from)); response.StatusCode != http.StatusCreated && from != "+628111" {
			t.Errorf("%s: %s %s", from, response.Status, body)
		}
	}
}

func TestCredentialsAreAsked(t *testing.T) {
	t.Parallel()
	const other = "AC00000000000000000000000000000000"
	s := start(t, Config{AccountSID: other, AuthToken: "rahasia1"})
	if want := "http://" + other + ":rahasia1@" + s.HTTPAddr(); s.TwilioURL() != want {
		t.Errorf("got %s, want %s", s.TwilioURL(), want)
	}
	right := twilioClientAs(t, s, other, "rahasia1", &http.Transport{})
	account, err := right.FetchAccount(other)
	if err != nil || *account.Sid != other || *account.Status != "active" {
		t.Errorf("%+v, %v", account, err)
	}
	if _, err := right.FetchAccount(DefaultAccountSID); errorCode(err) != 20003 {
		t.Errorf("another account: %v", err)
	}
	for _, wrong := range []*api.ApiService{
		twilioClientAs(t, s, other, "salah", &http.Transport{}), twilioClientAs(t, s, DefaultAccountSID, "rahasia1", &http.Transport{}),
	} {
		if _, err := wrong.FetchAccount(other); errorCode(err) != 20003 {
			t.Errorf("fetch account: %v", err)
		}
		if _, err := wrong.CreateMessage(textTo(customer, "Halo", "")); errorCode(err) != 20003 {
			t.Errorf("create: %v", err)
		}
	}
	if n := s.Messages(Filter{Which: All}, Page{}).Total; n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]Config{
		`start sandbox: account "sandbox": write AC and letters or digits, such as ` + DefaultAccountSID:                   {AccountSID: "sandbox"},
		`start sandbox: the account's token has other characters than letters and digits`:                                  {AuthToken: "a:b"},
		`start sandbox: inbound address "https://sapa.example/x": write one on this machine, such as ` + DefaultInboundURL: {InboundURL: "https://sapa.example/x"},
	} {
		config.Dir = t.TempDir()
		if _, err := Start(t.Context(), config); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestATextIsKeptBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	disk := &faultyDisk{folder: folder{t.TempDir()}}
	s := start(t, Config{files: disk})
	full := errors.New("no space left on device")
	disk.set(func(d *faultyDisk) { d.syncFault = full })
	_, err := twilioClient(t, s).CreateMessage(textTo(customer, "Halo", ""))
	if errorCode(err) != 20500 || !strings.Contains(err.Error(), "The sandbox can't write: no space left on device") {
		t.Errorf("got %v", err)
	}
	if n := s.Messages(Filter{Which: All}, Page{}).Total; n != 0 {
		t.Errorf("%d messages", n)
	}
	disk.set(func(d *faultyDisk) { d.syncFault = nil })
	m := mustText(t, s, textTo(customer, "Halo lagi", "https://sapa.example/hooks/sms/report/tok.en-1"))
	settle(t, s)
	before, err := s.TextBySID(*m.Sid)
	if err != nil {
		t.Fatal(err)
	}
	if before.Token != "tok.en-1" || before.Form.Get("Body") != "Halo lagi" || before.SMS.Status != "delivered" || before.Channel != ChannelSMS {
		t.Errorf("kept %+v", before)
	}
	counts := s.Counts()
	s = restart(t, s, disk)
	after, err := s.TextBySID(*m.Sid)
	if diff := cmp.Diff(before, after, cmp.AllowUnexported(SMS{})); err != nil || diff != "" {
		t.Errorf("after a restart: %v %s", err, diff)
	}
	if diff := cmp.Diff(counts, s.Counts()); diff != "" || counts.Texts != 1 || counts.Accepted != 1 {
		t.Errorf("counts %+v %s", counts, diff)
	}
}

func TestMailAndTextsShareTheBooks(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	mustSend(t, s, "budi@surel.example", mailText("mail-token", "Halo", "isi\r\n"))
	mustText(t, s, textTo(customer, "Halo Budi", "http://127.0.0.1:1/hooks/sms/report/text-token"))
	_, _ = s.Reply(t.Context(), customer, sender, "Terima kasih")
	tokens := func(f Filter) []string {
		list := []string{}
		for m := range s.Each(f) {
			list = append(list, m.Channel+" "+m.Token)
		}
		return list
	}
	for _, test := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{}, []string{"email mail-token", "sms text-token"}},
		{Filter{Which: All}, []string{"email mail-token", "sms text-token"}},
		{Filter{Channel: ChannelEmail}, []string{"email mail-token"}},
		{Filter{Channel: ChannelSMS}, []string{"sms text-token"}},
		{Filter{Text: "text-TOKEN"}, []string{"sms text-token"}},
		{Filter{Recipient: "234567"}, []string{"sms text-token"}},
		{Filter{Subject: "halo budi"}, []string{"sms text-token"}},
		{Filter{Which: Refused}, []string{}},
		{Filter{Which: Conversation}, []string{"sms "}},
	} {
		if diff := cmp.Diff(test.want, tokens(test.filter)); diff != "" {
			t.Errorf("%+v: %s", test.filter, diff)
		}
	}
	mails := 0
	for _, err := range s.EachRaw() {
		if err != nil {
			t.Error(err)
		}
		mails++
	}
	if c := s.Counts(); mails != 1 || c.Accepted != 2 || c.Texts != 1 || c.Inbound != 1 {
		t.Errorf("%d mails, counts %+v", mails, c)
	}
}

// TestMisbehavingRequests asks for what a client sees, and whether the text was taken all the same.
func TestMisbehavingRequests(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]struct {
		code     int // Twilio's error
		cut      bool
		accepted bool
		withheld bool
		rule     string
	}{
		"+6281234567890": {accepted: true},
		"+6281255550408": {cut: true},
		"+6281255551408": {cut: true, accepted: true, withheld: true, rule: "sms-timeout-after"},
		"+6281255550444": {cut: true},
		"+6281255551444": {cut: true, accepted: true, withheld: true, rule: "sms-drop-after"},
		"+6281255551500": {code: 20500, accepted: true, withheld: true, rule: "sms-500-after"},
		"+6281255551503": {code: 20503, accepted: true, withheld: true, rule: "sms-503-after"},
	} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			h := newHook(t)
			s := start(t, Config{Hang: time.Millisecond})
			_, err := twilioClient(t, s).CreateMessage(textTo(to, "Halo", h.URL+"/report/tok"))
			if errorCode(err) != want.code || errors.Is(err, io.EOF) != want.cut || (err == nil) != (want.code == 0 && !want.cut) {
				t.Errorf("the client got %v", err)
			}
			settle(t, s)
			if n := s.Counts().Unanswered; (n == 1) != (want.cut || want.withheld) || n > 1 {
				t.Errorf("%d unanswered", n)
			}
			l := s.Messages(Filter{Which: All}, Page{})
			if l.Total != 0 && !want.accepted || l.Total != 1 && want.accepted {
				t.Fatalf("%d verdicts", l.Total)
			}
			if !want.accepted {
				return
			}
			m := l.Messages[0]
			if !m.Verdict.Accepted || m.Verdict.Withheld != want.withheld || m.Verdict.Rule != want.rule || m.Token != "tok" {
				t.Errorf("recorded %+v", m)
			}
			if diff := cmp.Diff([]string{"queued", "sent", "delivered"}, h.statuses(m.MessageID)); diff != "" {
				t.Errorf("callbacks %s", diff)
			}
		})
	}
}

func TestAHangEndsWhenTheClientGivesUp(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Hang: time.Hour})
	ended := make(chan struct{})
	inner := s.http.Handler
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		inner.ServeHTTP(w, r)
	})
	c := &http.Client{Timeout: 300 * time.Millisecond}
	form := url.Values{"To": {"+6281255551408"}, "From": {sender}, "Body": {"Halo"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.HTTPAddr()+messagesPath+".json", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(DefaultAccountSID, DefaultAuthToken)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := c.Do(r); err == nil {
		t.Error("there was an answer")
	}
	<-ended
	if n := s.Counts().Texts; n != 1 {
		t.Errorf("%d texts, want 1", n)
	}
}

func TestSharesOfTextsAreKept(t *testing.T) {
	t.Parallel()
	rules, err := ParseRules("sms-429=20%, sms-30005=30%, 4xx=100%")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Misbehave: rules, Seed: 1})
	const n = 400
	var senders sync.WaitGroup
	for w := range 4 {
		c := twilioClient(t, s)
		senders.Go(func() {
			for i := w; i < n; i += 4 {
				_, err := c.CreateMessage(textTo(fmt.Sprintf("+62812%08d", i), "Halo", ""))
				if code := errorCode(err); err != nil && code != 20429 {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	settle(t, s)
	got := map[string]int{}
	for m := range s.Each(Filter{Which: All}) {
		got[fmt.Sprint(m.Verdict.Code, " ", m.SMS.Status, " ", m.Verdict.Rule)]++
	}
	for what, share := range map[string]float64{"429  sms-429": 0.2, "201 undelivered sms-30005": 0.24, "201 delivered ": 0.56} {
		if part := float64(got[what]) / n; part < share-0.08 || part > share+0.08 {
			t.Errorf("%s: %.0f %%, want about %.0f %%; all: %v", what, part*100, share*100, got)
		}
	}
}
