package sandbox

import (
	stdcmp "cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMagicRecipients(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for to, want := range map[string]Verdict{
		"budi@surel.example":        {Accepted: true, Code: 250, Enhanced: "2.0.0", Words: "OK: queued", Stage: AtDot},
		"bouncer@surel.example":     {Accepted: true, Code: 250, Enhanced: "2.0.0", Words: "OK: queued", Stage: AtDot},
		"bounce@mail.example":       {Code: 550, Enhanced: "5.1.1", Words: "No such mailbox here", Stage: AtRecipient, Rule: "bounce"},
		"Budi+Bounce@surel.example": {Code: 550, Enhanced: "5.1.1", Words: "No such mailbox here", Stage: AtRecipient, Rule: "bounce"},
		"budi@bounce.example":       {Code: 550, Enhanced: "5.1.1", Words: "No such mailbox here", Stage: AtRecipient, Rule: "bounce"},
		"budi+later@surel.example":  {Code: 451, Enhanced: "4.7.1", Words: "Greylisted, try again later", Stage: AtRecipient, Rule: "later"},
		"budi+full@surel.example":   {Code: 452, Enhanced: "4.2.2", Words: "Mailbox full", Stage: AtRecipient, Rule: "full"},
		"budi+spam@surel.example":   {Code: 554, Enhanced: "5.7.1", Words: "Message refused as spam", Stage: AtDot, Rule: "spam"},
		"budi+silent@surel.example": {Accepted: true, Code: 250, Enhanced: "2.0.0", Words: "OK: queued", Stage: AtDot, Rule: "silent", Withheld: true},
	} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			err := send(s, "halo@bengkel.example", to, mailText("t", "Halo", "isi\r\n"))
			if (err == nil) != (want.Accepted && !want.Withheld) {
				t.Errorf("the client got %v", err)
			}
			if want.Withheld && !errors.Is(err, io.EOF) {
				t.Errorf("the client got %v, want a cut connection", err)
			}
			if !want.Accepted && replyCode(err) != want.Code {
				t.Errorf("the client got %v, want %d", err, want.Code)
			}
			l := s.Messages(Filter{Which: All, Recipient: to}, Page{})
			if l.Total != 1 {
				t.Fatalf("%d verdicts, want 1", l.Total)
			}
			if diff := cmp.Diff(want, l.Messages[0].Verdict); diff != "" {
				t.Error(diff)
			}
			if token := l.Messages[0].Token; (token == "t") != (want.Stage == AtDot) {
				t.Errorf("token %q at %s", token, want.Stage)
			}
		})
	}
}

func TestADroppedMailLeavesNoVerdict(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	err := send(s, "halo@bengkel.example", "budi+drop@surel.example", mailText("t", "Halo", "isi\r\n"))
	if !errors.Is(err, io.EOF) {
		t.Errorf("the client got %v, want a cut connection", err)
	}
	if n := s.Messages(Filter{Which: All}, Page{}).Total; n != 0 {
		t.Errorf("%d verdicts, want none", n)
	}
}

func TestSharesAreKept(t *testing.T) {
	t.Parallel()
	rules, err := ParseRules("4xx=20%, 5xx=10%")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Misbehave: rules, Seed: 1})
	const n = 400
	codes := map[int]int{}
	for i := range n {
		err := send(s, "halo@bengkel.example", "budi@surel.example", mailText(fmt.Sprint("t", i), "Halo", "isi\r\n"))
		codes[replyCode(err)]++
	}
	for code, share := range map[int]float64{0: 0.72, 451: 0.2, 554: 0.08} {
		if got := float64(codes[code]) / n; got < share-0.08 || got > share+0.08 {
			t.Errorf("reply %d to %.0f %% of the mail, want about %.0f %%", code, got*100, share*100)
		}
	}
	recorded := map[int]int{}
	for m := range s.Each(Filter{Which: All}) {
		if m.Token == "" {
			t.Errorf("no token with verdict %+v", m.Verdict)
		}
		recorded[m.Verdict.Code]++
	}
	want := map[int]int{250: codes[0], 451: codes[451], 554: codes[554]}
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("the log differs from what clients were told: %s", diff)
	}
}

func TestADelayHoldsTheReplyAndEndsWithTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Misbehave: []Rule{{Name: "delay", Delay: 50 * time.Millisecond}}})
	began := time.Now()
	mustSend(t, s, "budi@surel.example", mailText("t", "Halo", "isi\r\n"))
	if d := time.Since(began); d < 50*time.Millisecond {
		t.Errorf("replied after %s", d)
	}

	s = start(t, Config{Misbehave: []Rule{{Name: "delay", Stage: AtRecipient, Delay: time.Hour}}})
	c := dial(t, s)
	if err := c.PrintfLine("EHLO x\r\nMAIL FROM:<a@bengkel.example>\r\nRCPT TO:<b@surel.example>"); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Close waits for a delay")
	}
}

func TestParseRules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "[]",
		"4xx=5%":                   "[4xx for 5 % of the messages: 451 4.3.0 Temporary failure, as asked for]",
		"5xx=0.5%,":                "[5xx for 0.5 % of the messages: 554 5.3.0 Permanent failure, as asked for]",
		"drop-before=1%":           "[drop-before for 1 % of the messages: cut the connection before accepting]",
		"drop-after=100%":          "[drop-after for 100 % of the messages: cut the connection after accepting]",
		"delay=20ms, delay=2s/10%": "[delay for 100 % of the messages: wait 20ms delay for 10 % of the messages: wait 2s]",
		"sms-429=5%":               "[sms-429 for 5 % of the texts: 429 Too Many Requests]",
		"sms-21610=5%":             "[sms-21610 for 5 % of the texts: 400 Attempt to send to unsubscribed recipient]",
		"sms-503-after=5%":         "[sms-503-after for 5 % of the texts: 503 Service Unavailable, after accepting]",
		"sms-timeout-after=5%":     "[sms-timeout-after for 5 % of the texts: no answer, after accepting]",
		"sms-drop-before=5%":       "[sms-drop-before for 5 % of the texts: cut the connection before accepting]",
		"sms-delay=2s/10%":         "[sms-delay for 10 % of the texts: wait 2s]",
		"sms-30003=1%":             "[sms-30003 for 1 % of the texts: undelivered, 30003 Unreachable destination handset]",
		"callbacks-twice=100%":     "[callbacks-twice for 100 % of the texts: callbacks twice]",
		"sms-30004=1%":             `misbehaviour "sms-30004=1%": unknown word "sms-30004": did you mean "sms-30003"?`,
		"4xx":                      `misbehaviour "4xx": write a word and a value, such as 4xx=5%`,
		"4xx=5":                    `misbehaviour "4xx=5": "5" is not a share above 0% and up to 100%, such as 5%`,
		"4xx=0%":                   `misbehaviour "4xx=0%": "0%" is not a share above 0% and up to 100%, such as 5%`,
		"4xx=NaN%":                 `misbehaviour "4xx=NaN%": "NaN%" is not a share above 0% and up to 100%, such as 5%`,
		"delay=soon":               `misbehaviour "delay=soon": "soon" is not a duration of up to 10m, such as 20ms`,
		"delay=1h":                 `misbehaviour "delay=1h": "1h" is not a duration of up to 10m, such as 20ms`,
		"delay=1s/2":               `misbehaviour "delay=1s/2": "2" is not a share above 0% and up to 100%, such as 5%`,
		"drop-befor=1%":            `misbehaviour "drop-befor=1%": unknown word "drop-befor": did you mean "drop-before"?`,
	} {
		rules, err := ParseRules(text)
		got := fmt.Sprint(rules)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, rule := range map[string]Rule{
		`start sandbox: rule "x": share 2 is not between 0 and 1`:                                                            {Name: "x", Share: 2},
		`start sandbox: rule "x": reply 250 is neither 4xx nor 5xx`:                                                          {Name: "x", Reply: Reply{Code: 250}},
		`start sandbox: rule "x": a message can't be accepted at rcpt`:                                                       {Name: "x", Stage: AtRecipient, Drop: DropAfter},
		`start sandbox: rule "x": choose either a reply or a drop`:                                                           {Name: "x", Reply: Reply{Code: 450}, Drop: DropBefore},
		`start sandbox: rule "x": unknown stage "data": use "rcpt" or "dot"`:                                                 {Name: "x", Stage: "data"},
		`start sandbox: rule "x": reply 302 is neither 4xx nor 5xx`:                                                          {Name: "x", Stage: AtRequest, Reply: Reply{Code: 302}},
		`start sandbox: rule "x": that happens to texts only: use the stage "request" or "carrier"`:                          {Name: "x", Drop: HangAfter},
		`start sandbox: rule "x": at carrier the text has been accepted; use the stage "request"`:                            {Name: "x", Stage: AtCarrier, Drop: DropBefore},
		`start sandbox: rule "x": what becomes of a text is decided at "carrier"`:                                            {Name: "x", Stage: AtRequest, Fail: 30003},
		`start sandbox: rule "y": choose either a reply or a drop`:                                                           {Name: "y", Stage: AtRequest, Reply: tooMany(), Drop: DropAfter},
		`start sandbox: rule "x": unknown error 30099 of a carrier: use 30003, 30005, 30006, 63024 or 63049`:                 {Name: "x", Stage: AtCarrier, Fail: 30099},
		`start sandbox: rule "x": unknown way of callbacks "sometimes": use "early", "late", "twice", "reversed" or "never"`: {Name: "x", Stage: AtCarrier, Callbacks: "sometimes"},
	} {
		_, err := Start(t.Context(), Config{Dir: t.TempDir(), Misbehave: []Rule{rule}})
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestTheDocumentationHasEveryWordAndNumber(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range slices.Concat(Words(), Magic(), MagicNumbers()) {
		if word := stdcmp.Or(rule.To, rule.Name); !strings.Contains(string(page), "`"+word+"`") {
			t.Errorf("no %s", word)
		}
		if rule.Help == "" {
			t.Errorf("rule %s has no help", rule)
		}
	}
}
