package email

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message/mail"
	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

func newComposer() *composer {
	return &composer{from: channels.Address{Name: "Bengkel Maju", Addr: "halo@bengkel.example"}, eightBit: true}
}

// full is a message in which every field is set.
func full() *channels.Message {
	return &channels.Message{
		Token: "v1.Zm9v_-.bar", To: channels.Address{Name: "Añdy Álvarez", Addr: "andy@example.org"}, ReplyTo: "Toko <toko@bengkel.example>",
		Subject: "Selamat ulang tahun, Añdy", Text: "Halo Añdy,\n\n.titik di awal baris\n..dua\n",
		HTML:           "<p>Halo Añdy,</p>\n<p>selamat ulang tahun.</p>\n",
		UnsubscribeURL: "https://sapa.bengkel.example/u/abc?x=1", Topic: "Service Reminders", Campaign: "birthday",
		Date: time.Date(2026, 11, 22, 8, 0, 0, 0, time.FixedZone("WIB", 7*3600)),
	}
}

// sent undoes the transparency and checks the rules of the wire: CRLF lines of at most 998 octets and the final dot.
func sent(t *testing.T, content []byte) string {
	t.Helper()
	s := string(content)
	if !strings.HasSuffix(s, "\r\n.\r\n") {
		t.Fatalf("no final dot: …%q", s[max(0, len(s)-20):])
	}
	if i := strings.Index(s, "\r\n.\r\n"); i != len(s)-5 {
		t.Fatalf("a dot alone on a line before the end, at %d of %d", i, len(s))
	}
	s = strings.TrimSuffix(s, ".\r\n")
	for line := range strings.SplitAfterSeq(strings.TrimSuffix(s, "\r\n"), "\r\n") {
		if line = strings.TrimSuffix(line, "\r\n"); len(line) > maxLine || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("line of %d octets or with a bare CR or LF: %.200q", len(line), line)
		}
	}
	return strings.ReplaceAll(s, "\r\n..", "\r\n.")
}

// parsed is what an independent parser makes of a composed message.
type parsed struct {
	header mail.Header
	parts  map[string]string // Content-Type → text
}

func parse(t *testing.T, text string) parsed {
	t.Helper()
	r, err := mail.CreateReader(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	out := parsed{r.Header, map[string]string{}}
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		mediaType, _, err := p.Header.(*mail.InlineHeader).ContentType()
		if err != nil {
			t.Fatal(err)
		}
		out.parts[mediaType] = string(body)
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	for _, eightBit := range []bool{true, false} {
		c, m := newComposer(), full()
		c.eightBit = eightBit
		got, err := c.compose(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		p := parse(t, sent(t, got.forData()))
		if got.eightBit != eightBit || got.utf8 || got.to.addr != "andy@example.org" || got.frame.sender.addr != "halo@bengkel.example" {
			t.Errorf("envelope %+v", got)
		}
		wantParts := map[string]string{"text/plain": crlf(m.Text), "text/html": crlf(m.HTML)}
		if diff := cmp.Diff(wantParts, p.parts); diff != "" {
			t.Errorf("parts (-want +got):\n%s", diff)
		}
		checkHeader(t, p.header)
	}
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), "\n", "\r\n")
}

func checkHeader(t *testing.T, h mail.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"From": "Bengkel Maju <halo@bengkel.example>", "Reply-To": "Toko <toko@bengkel.example>",
		"To": "Añdy Álvarez <andy@example.org>", "Subject": "Selamat ulang tahun, Añdy",
		"Date": "Sun, 22 Nov 2026 08:00:00 +0700", "Message-Id": "<v1.Zm9v_-.bar@bengkel.example>",
		"List-Unsubscribe": "<https://sapa.bengkel.example/u/abc?x=1>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"List-Id": "<service-reminders.bengkel.example>", "X-Campaign": "birthday", "Mime-Version": "1.0",
	} {
		if got, err := h.Text(name); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
		if n := len(h.Values(name)); n != 1 {
			t.Errorf("%s occurs %d times", name, n)
		}
	}
	to, err := h.AddressList("To")
	if diff := cmp.Diff([]*mail.Address{{Name: "Añdy Álvarez", Address: "andy@example.org"}}, to); err != nil || diff != "" {
		t.Errorf("To: %v\n%s", err, diff)
	}
}

// The same message sent again has the same Message-ID; what is not set has no header.
func TestComposeSparse(t *testing.T) {
	t.Parallel()
	c := newComposer()
	m := &channels.Message{Token: "abc", To: channels.Address{Addr: "andy@example.org"}, Subject: "Halo", Text: "Halo"}
	first, err := c.compose(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	p := parse(t, sent(t, first.forData()))
	if id := p.header.Get("Message-Id"); id != "<abc@bengkel.example>" {
		t.Errorf("Message-ID %q", id)
	}
	var names []string
	for fields := p.header.Fields(); fields.Next(); {
		names = append(names, fields.Key())
	}
	want := []string{"Date", "From", "To", "Subject", "Message-Id", "Mime-Version", "Content-Type", "Content-Transfer-Encoding"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"text/plain": "Halo\r\n"}, p.parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
	if date, err := p.header.Date(); err != nil || time.Since(date) > time.Minute {
		t.Errorf("date of a message without one: %v, %v", date, err)
	}
}

func TestComposeBodies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine)
	for name, test := range map[string]struct{ body, encoding, want string }{
		"ASCII":             {"Halo\n", "7bit", "Halo\r\n"},
		"accents":           {"Halo Añdy\n", "8bit", "Halo Añdy\r\n"},
		"longest line":      {long + "\n", "7bit", long + "\r\n"},
		"longest, CRLF":     {long + "\r\n" + long + "\r\n", "7bit", long + "\r\n" + long + "\r\n"},
		"longest, no end":   {long, "7bit", long + "\r\n"},
		"too long, no end":  {long + "x", "quoted-printable", long + "x\r\n"},
		"too long, CRLF":    {"a\n" + long + "x\r\n", "quoted-printable", "a\r\n" + long + "x\r\n"},
		"too long a line":   {long + "x\n", "quoted-printable", long + "x\r\n"},
		"NUL":               {"a\x00b\n", "quoted-printable", "a\x00b\r\n"},
		"mixed line breaks": {"a\r\nb\nc\rd\n\ne", "7bit", "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n"},
		"dots":              {".\n..\n.a\nb.\n.", "7bit", ".\r\n..\r\n.a\r\nb.\r\n.\r\n"},
		"long and dotted":   {".\n" + long + long + "\n.\n", "quoted-printable", ".\r\n" + long + long + "\r\n.\r\n"},
		"empty":             {"", "7bit", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := full()
			m.Text, m.HTML = test.body, ""
			got, err := newComposer().compose(nil, m)
			if err != nil {
				t.Fatal(err)
			}
			text := sent(t, got.forData())
			if !strings.Contains(text, "\r\nContent-Transfer-Encoding: "+test.encoding+"\r\n") {
				t.Errorf("not %s:\n%.800s", test.encoding, text)
			}
			if diff := cmp.Diff(test.want, parse(t, text).parts["text/plain"]); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestComposeHTMLOnly(t *testing.T) {
	t.Parallel()
	m := full()
	m.Text = ""
	got, err := newComposer().compose(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"text/html": crlf(m.HTML)}, parse(t, sent(t, got.forData())).parts); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// Whatever stands in a name or a subject comes back as it was, on lines of at most 78 octets.
func TestComposeHeaderValues(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"Halo", "Budi, S.Kom.", `Budi "Bud" \ Santoso`, "Añdy Álvarez", "日本語のとても長い件名が何行にもわたって続きますのでよろしくお願いします",
		"=?utf-8?q?decoded?=", "tail =?", " leading", "trailing ", "two  spaces", "tab\there", "😀 emoji", "a@b.c", "(comment)", "<tag>", "a:b;c",
		strings.Repeat("panjang sekali ", 40) + "akhir", strings.Repeat("x", 2000), strings.Repeat("é", 500), "ESC \x1b", "=", "?", "_ _",
	} {
		m := full()
		m.Subject, m.Campaign, m.To.Name = value, value, value
		got, err := newComposer().compose(nil, m)
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		text := sent(t, got.forData())
		for line := range strings.SplitSeq(text[:strings.Index(text, "\r\n\r\n")], "\r\n") {
			if len(line) > 78 && len(value) < maxWord {
				t.Errorf("%q: a header line of %d octets: %s", value, len(line), line)
			}
		}
		h := parse(t, text).header
		if subject, err := h.Subject(); err != nil || subject != value {
			t.Errorf("subject %q, %v; want %q", subject, err, value)
		}
		if to, err := h.AddressList("To"); err != nil || len(to) != 1 || to[0].Name != value || to[0].Address != "andy@example.org" {
			t.Errorf("To: %v, %v; want the name %q", to, err, value)
		}
	}
}

func TestComposeErrors(t *testing.T) {
	t.Parallel()
	const forged = " holds a line break, which would forge a header: take it out of the template or the data"
	for want, change := range map[string]func(*channels.Message){
		"the subject" + forged:                func(m *channels.Message) { m.Subject = "a\r\nBcc: b@example.org" },
		"the recipient's name" + forged:       func(m *channels.Message) { m.To.Name = "a\nb" },
		"the recipient's address" + forged:    func(m *channels.Message) { m.To.Addr = "a@example.org\rb" },
		"the sender's name" + forged:          func(m *channels.Message) { m.From = channels.Address{Name: "a\x00", Addr: "a@b.c"} },
		"the sender's address" + forged:       func(m *channels.Message) { m.From.Addr = "a@b.c\n" },
		"the reply address" + forged:          func(m *channels.Message) { m.ReplyTo = "a@b.c\n" },
		"the unsubscribe link" + forged:       func(m *channels.Message) { m.UnsubscribeURL = "https://a\r\n" },
		"the campaign's name" + forged:        func(m *channels.Message) { m.Campaign = "a\r\n" },
		"the topic" + forged:                  func(m *channels.Message) { m.Topic = "a\r\n" },
		"the message's token" + forged:        func(m *channels.Message) { m.Token = "a\r\n" },
		"the recipient: the address is empty": func(m *channels.Message) { m.To.Addr = "" },
		"the recipient: the address has no @": func(m *channels.Message) { m.To.Addr = "andy" },
		"the recipient: the part before the @ is not ASCII, and the SMTP server takes no such address (SMTPUTF8)": func(m *channels.Message) { m.To.Addr = "añdy@example.org" },
		"the sender: the part after the @ is not a valid domain":                                                  func(m *channels.Message) { m.From.Addr = "halo@b_d" },
		`the reply address "nobody" is not an address`:                                                            func(m *channels.Message) { m.ReplyTo = "nobody" },
		"the message's token can't stand in a Message-ID (RFC 5322)":                                              func(m *channels.Message) { m.Token = "a b" },
		"the unsubscribe link is not a URL that can stand in a header (RFC 2369)":                                 func(m *channels.Message) { m.UnsubscribeURL = "javascript:alert(1)" },
	} {
		m := full()
		change(m)
		if _, err := newComposer().compose(nil, m); err == nil || err.Error() != want {
			t.Errorf("error %v; want %s", err, want)
		}
	}
	for _, link := range []string{"https://a.example/ b", "https://a.example/>", "https://", "/u/abc", "https://a.example/é", "https://a.example/" + strings.Repeat("x", 1000)} {
		m := full()
		m.UnsubscribeURL = link
		if _, err := newComposer().compose(nil, m); err == nil {
			t.Errorf("%.60q stands in a header", link)
		}
	}
	for _, token := range []string{"", ".a", "a..b", "é", "a@b", "<a>"} {
		m := full()
		m.Token = token
		if _, err := newComposer().compose(nil, m); err == nil {
			t.Errorf("%q stands in a Message-ID", token)
		}
	}
}

func TestComposeInternationalAddresses(t *testing.T) {
	t.Parallel()
	c, m := newComposer(), full()
	m.To.Addr = "andy@bücher.example"
	got, err := c.compose(nil, m)
	if err != nil || got.utf8 || got.to.addr != "andy@xn--bcher-kva.example" {
		t.Errorf("IDN: %+v, %v", got.to, err)
	}
	c.utf8 = true
	m.To.Addr = "añdy@bücher.example"
	got, err = c.compose(nil, m)
	if err != nil || !got.utf8 || got.to.addr != "añdy@xn--bcher-kva.example" {
		t.Errorf("SMTPUTF8: %+v, %v", got.to, err)
	}
	if !strings.Contains(sent(t, got.forData()), " <añdy@xn--bcher-kva.example>\r\n") {
		t.Error("the header hasn't the address as it is")
	}
}

func TestListID(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string]string{
		"service-reminders": "<service-reminders.bengkel.example>",
		"Service Reminders": "<service-reminders.bengkel.example>",
		"a@b>c":             "<a-b-c.bengkel.example>",
		"日本":                "",
		"":                  "",
	} {
		if got := listID(topic, "bengkel.example"); got != want {
			t.Errorf("listID(%q) = %q, want %q", topic, got, want)
		}
	}
}

// FuzzCompose: whatever the values are, the message is refused, or an independent parser reads from it what was meant
// and no header that was not.
func FuzzCompose(f *testing.F) {
	f.Add("Halo", "Añdy", "Halo\n.\n", "<p>Halo</p>", true)
	f.Add("=?utf-8?q?x?=", `"`, ".", "", false)
	f.Add("a\r\nBcc: x@y.z", "\\", "\r", "\n", false)
	f.Add(" ", "  ", strings.Repeat("x", 1000), "é", true)
	f.Fuzz(func(t *testing.T, subject, name, text, html string, eightBit bool) {
		for _, s := range []string{subject, name, text, html} {
			if !utf8.ValidString(s) {
				return
			}
		}
		c, m := newComposer(), full()
		c.eightBit = eightBit
		m.Subject, m.To.Name, m.Text, m.HTML = subject, name, text, html
		got, err := c.compose(nil, m)
		if forges := strings.ContainsAny(subject+name, "\r\n\x00"); forges != (err != nil) {
			t.Fatalf("forges %t, error %v", forges, err)
		} else if err != nil {
			return
		}
		if !eightBit && bytes.IndexFunc(got.content, func(r rune) bool { return r > '~' && r != 0x7f }) >= 0 {
			t.Fatal("8-bit content for a 7-bit server")
		}
		p := parse(t, sent(t, got.forData()))
		if s, err := p.header.Subject(); err != nil || s != subject {
			t.Errorf("subject %q, %v; want %q", s, err, subject)
		}
		if to, err := p.header.AddressList("To"); err != nil || len(to) != 1 || to[0].Name != name {
			t.Errorf("To %v, %v; want %q", to, err, name)
		}
		if p.header.Has("Bcc") || p.header.Len() > 13 {
			t.Errorf("%d headers", p.header.Len())
		}
		checkBody(t, "text/plain", text, html == "" || text != "", len(p.parts) > 1, p.parts)
		checkBody(t, "text/html", html, html != "", len(p.parts) > 1, p.parts)
	})
}

// checkBody compares a part. A body that is not followed by a boundary ends with a line break, as mails do.
func checkBody(t *testing.T, mediaType, want string, present, bounded bool, parts map[string]string) {
	t.Helper()
	got, ok := parts[mediaType]
	if ok != present {
		t.Fatalf("%s present %t, want %t", mediaType, ok, present)
	}
	want = crlf(want)
	if !bounded && want != "" && !strings.HasSuffix(want, "\r\n") {
		want += "\r\n"
	}
	if ok && got != want {
		t.Errorf("%s is %q, want %q", mediaType, got, want)
	}
}
