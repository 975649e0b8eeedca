package sandbox

import (
	"bytes"
	"fmt"
	"net"
	"net/smtp"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEachMailIsCaughtOnceAndUnchanged(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	const connections, each = 8, 100
	var senders sync.WaitGroup
	for c := range connections {
		senders.Go(func() {
			if err := sendMany(s, c, each); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()

	want := map[string]string{}
	for c := range connections {
		for i := range each {
			want[fmt.Sprintf("token-%d-%d", c, i)] = numbered(c, i)
		}
	}
	got := map[string]string{}
	for m := range s.Each(Filter{}) {
		_, raw, err := s.Message(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got[m.Token]; twice {
			t.Errorf("%s was caught twice", m.Token)
		}
		got[m.Token] = string(raw)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c := s.Counts(); c.Accepted != connections*each || c.Refused != 0 {
		t.Errorf("counts %+v", c)
	}
}

func numbered(c, i int) string {
	body := fmt.Sprintf(".dot first\r\n..two dots\r\nSelamat, José — %d\r\n.\x20\r\n%s\r\n", i, strings.Repeat("x", i*37))
	return mailText(fmt.Sprintf("token-%d-%d", c, i), fmt.Sprintf("Nomor %d", i), body)
}

func sendMany(s *Server, c, n int) error {
	client, err := smtp.Dial(s.SMTPAddr())
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range n {
		if err := sendOn(client, fmt.Sprintf("c%d.%d@surel.example", c, i), numbered(c, i)); err != nil {
			return fmt.Errorf("mail %d of connection %d: %w", i, c, err)
		}
	}
	return client.Quit()
}

func sendOn(client *smtp.Client, to, text string) error {
	if err := client.Mail("halo@bengkel.example"); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return w.Close()
}

func TestExtensionsAreAnnounced(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, Config{}))
	if err := c.PrintfLine("EHLO client.example"); err != nil {
		t.Fatal(err)
	}
	words := expect(t, c, 250)
	for _, extension := range []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "AUTH PLAIN", "SIZE 33554432"} {
		if !strings.Contains(words, extension) {
			t.Errorf("no %s in\n%s", extension, words)
		}
	}
}

func TestCommandsMayArriveTogether(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	c := dial(t, s)
	dialogue := "EHLO client.example\r\n" +
		"MAIL FROM:<a@bengkel.example> BODY=8BITMIME\r\nRCPT TO:<satu@surel.example>\r\nDATA\r\n" +
		mailText("satu", "Satu", "satu\r\n") + ".\r\n" +
		"MAIL FROM:<a@bengkel.example> SMTPUTF8\r\nRCPT TO:<dóa@surel.example>\r\nDATA\r\n" +
		mailText("dua", "Dua", "dua\r\n") + ".\r\nQUIT\r\n"
	if _, err := c.W.WriteString(dialogue); err != nil {
		t.Fatal(err)
	}
	if err := c.W.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{250, 250, 250, 354, 250, 250, 250, 354, 250, 221} {
		expect(t, c, code)
	}
	l := s.Messages(Filter{}, Page{})
	if diff := cmp.Diff([]string{"Dua", "Satu"}, subjects(l)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"dóa@surel.example"}, l.Messages[0].To); diff != "" {
		t.Error(diff)
	}
}

func TestAnyPasswordWillDoExceptForWrong(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	host, _, _ := net.SplitHostPort(s.SMTPAddr())
	for user, want := range map[string]int{"budi": 0, "wrong": 535} {
		err := smtp.SendMail(s.SMTPAddr(), smtp.PlainAuth("", user, "secret", host), "a@bengkel.example",
			[]string{"b@surel.example"}, []byte(mailText("t", "s", "b\r\n")))
		if got := replyCode(err); got != want {
			t.Errorf("user %s: reply %d, want %d (%v)", user, got, want, err)
		}
	}
}

func TestTooLargeMailIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	line := strings.Repeat("x", 998) + "\r\n"
	err := send(s, "a@bengkel.example", "b@surel.example", mailText("big", "Besar", strings.Repeat(line, maxMessage/1000+1)))
	if replyCode(err) != 552 {
		t.Errorf("got %v, want 552", err)
	}
	l := s.Messages(Filter{Which: All}, Page{})
	if l.Total != 1 || l.Messages[0].Verdict.Code != 552 || l.Messages[0].Verdict.Accepted {
		t.Errorf("verdicts %+v", l.Messages)
	}
}

func TestMailSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := time.Date(2026, 11, 22, 8, 0, 0, 123000, time.UTC)
	config := Config{Dir: dir, Now: func() time.Time { return at }, limits: limits{segment: 2000, record: 1 << 20}}
	s := start(t, config)
	for i := range 30 {
		mustSend(t, s, fmt.Sprintf("p%d@surel.example", i), mailText(fmt.Sprintf("t%d", i), "Halo", fmt.Sprintf("isi %d\r\n", i)))
	}
	if err := send(s, "a@bengkel.example", "x+bounce@surel.example", mailText("no", "Tidak", "")); replyCode(err) != 550 {
		t.Fatalf("got %v, want 550", err)
	}
	before := s.Messages(Filter{Which: All}, Page{Size: 100})
	counts := s.Counts()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.mail"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("segments %v, %v: want several", segments, err)
	}

	s = start(t, config)
	if diff := cmp.Diff(before, s.Messages(Filter{Which: All}, Page{Size: 100})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(counts, s.Counts()); diff != "" {
		t.Error(diff)
	}
	mustSend(t, s, "p30@surel.example", mailText("t30", "Halo", "isi 30\r\n"))
	i := 0
	for raw, err := range s.EachRaw() {
		if want := fmt.Sprintf("isi %d\r\n", i); err != nil || !bytes.HasSuffix(raw, []byte(want)) {
			t.Fatalf("mail %d: %v, ends %q, want %q", i, err, raw[max(0, len(raw)-10):], want)
		}
		i++
	}
	if i != 31 {
		t.Errorf("%d mails, want 31", i)
	}
}

func TestAFolderBelongsToOneSandbox(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, err := Start(t.Context(), Config{Dir: s.config.Dir})
	want := "start sandbox: open the sandbox's folder: " + s.config.Dir +
		" is in use by another sandbox: stop it, or choose another folder (resource temporarily unavailable)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestOnlyThisMachineIsServed(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"0.0.0.0:0": `start sandbox: address "0.0.0.0:0" can be reached by other machines and the sandbox has no password: ` +
			`use 127.0.0.1, or expose it on purpose`,
		":2525": `start sandbox: address ":2525" can be reached by other machines and the sandbox has no password: ` +
			`use 127.0.0.1, or expose it on purpose`,
		"2525": `start sandbox: address "2525": write host:port, such as 127.0.0.1:2525`,
	} {
		_, err := Start(t.Context(), Config{Dir: t.TempDir(), SMTPAddr: addr})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got  %v\nwant %s", addr, err, want)
		}
	}
}

func TestTheEndOfTheContextStopsIt(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.DialTimeout("tcp", s.SMTPAddr(), time.Second); err == nil {
		t.Error("still listens for mail")
	}
	if _, err := net.DialTimeout("tcp", s.HTTPAddr(), time.Second); err == nil {
		t.Error("still listens for pages")
	}
}

func TestTheIndexHoldsNoBodies(t *testing.T) {
	// Not parallel: it measures the heap.
	const messages, body = 20_000, 4096
	s, err := openStore(folder{t.TempDir()}, Config{}.withDefaults().limits, Config{}.withDefaults().Log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.journal.close() }()
	before := heapSize()
	raw := bytes.Repeat([]byte("x"), body)
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := w; i < messages; i += 16 {
				m := Message{
					From: "bounce+0123456789abcdef0123456789@bengkel.example", To: []string{fmt.Sprintf("customer%d@surel.example", i)},
					Subject: "Selamat ulang tahun, Budi Santoso!", MessageID: fmt.Sprintf("%064d@sapa.bengkel.example", i), Size: body,
				}
				if err := s.journal.append(sealRecord(nil, &m, raw)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if perMessage := (heapSize() - before) / messages; perMessage > 400 {
		t.Errorf("%d octets of memory for each message, want at most 400", perMessage)
	}
}

func heapSize() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
