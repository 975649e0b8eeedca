package sandbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanHeader(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][2]string{
		"Subject: Halo\r\nMessage-ID: <a.b@c>\r\n\r\nSubject: not this\r\n": {"Halo", "a.b@c"},
		"subject:Halo\nmessage-id:\n <a@c>\n\n":                             {"Halo", "a@c"},
		"Subject: Selamat\r\n ulang\r\n\ttahun\r\n\r\n":                     {"Selamat ulang\ttahun", ""},
		"Subject: =?utf-8?q?Jos=C3=A9?= =?iso-8859-1?q?_Mu=F1oz?=\r\n\r\n":  {"José Muñoz", ""},
		"Subject: =?nosuch?q?x?=\r\n\r\n":                                   {"=?nosuch?q?x?=", ""},
		"Subject: \xff\xfe\r\n\r\n":                                         {"\uFFFD", ""},
		"Subject: one\r\nSubject: two\r\n\r\n":                              {"one", ""},
		"X-Subject: no\r\n\r\nMessage-ID: <x>\r\n":                          {"", ""},
		"\r\nSubject: body\r\n":                                             {"", ""},
		"Subject: no end":                                                   {"no end", ""},
		"":                                                                  {"", ""},
		"no colon\r\n":                                                      {"", ""},
		"Subject: " + strings.Repeat("é", 400) + "\r\n\r\n":                 {strings.Repeat("é", 150), ""},
	} {
		subject, id := scanHeader([]byte(raw))
		if got := [2]string{subject, id}; got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

const complete = "From: =?utf-8?q?Bengkel_Maju?= <halo@bengkel.example>\nDate: Sun, 22 Nov 2026 08:00:00 +0700\nMessage-ID: <t@x>\nMIME-Version: 1.0\n"

func TestParseMail(t *testing.T) {
	t.Parallel()
	header := []Field{
		{"From", "Bengkel Maju <halo@bengkel.example>"},
		{"Date", "Sun, 22 Nov 2026 08:00:00 +0700"},
		{"Message-Id", "<t@x>"},
		{"Mime-Version", "1.0"},
	}
	for name, test := range map[string]struct {
		raw  string
		want Mail
	}{
		"text only": {
			raw:  complete + "\nHalo, Budi\n",
			want: Mail{Text: "Halo, Budi\r\n"},
		},
		"alternative, quoted-printable and base64": {
			raw: complete + "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=iso-8859-1\n" +
				"Content-Transfer-Encoding: quoted-printable\n\nJos=E9=\n!\n--b\nContent-Type: text/html; charset=utf-8\n" +
				"Content-Transfer-Encoding: base64\n\nPGI+Sm9zw6k8L2I+\n--b--\n",
			want: Mail{Text: "José!", HTML: "<b>José</b>"},
		},
		"attachments": {
			raw: complete + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>Halo</p>\n--b\n" +
				"Content-Type: image/png\nContent-ID: <logo@x>\nContent-Disposition: inline; filename=\"logo.png\"\n\npng\n--b\n" +
				"Content-Type: text/plain\nContent-Disposition: attachment; filename=\"=?utf-8?q?na=C3=AFf.txt?=\"\n\nisi\n--b--\n",
			want: Mail{HTML: "<p>Halo</p>", Attachments: []Attachment{
				{Name: "logo.png", Type: "image/png", Size: 3, ContentID: "logo@x", Content: []byte("png")},
				{Name: "naïf.txt", Type: "text/plain", Size: 3, Content: []byte("isi")},
			}},
		},
		"unknown character set and encoding": {
			raw: complete + "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain; charset=martian\n\nHalo\n--b\n" +
				"Content-Type: text/html\nContent-Transfer-Encoding: rot13\n\n<p>\n--b--\n",
			want: Mail{Text: "Halo", HTML: "<p>", Defects: []string{
				`unknown charset: unknown charset: charset "martian": htmlindex: invalid encoding name`,
				"encoding error: unhandled encoding \"rot13\"",
			}},
		},
		"no end": {
			raw:  complete + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHalo",
			want: Mail{Text: "Halo", Defects: []string{"unexpected EOF", "multipart: NextPart: EOF"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseMail([]byte(crlf(test.raw)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(header, got.Header[:min(4, len(got.Header))]); diff != "" {
				t.Error(diff)
			}
			got.Header = nil
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefectsOnTheWire(t *testing.T) {
	t.Parallel()
	m, err := ParseMail([]byte("Subject: x\n\r\n" + strings.Repeat("x", 999) + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a line of 999 octets; at most 998 are allowed (RFC 5322 section 2.1.1)",
		"a line that does not end with CR LF (RFC 5321 section 2.3.8)",
		"no From field", "no Date field", "no Message-ID field",
	}
	if diff := cmp.Diff(want, m.Defects); diff != "" {
		t.Error(diff)
	}
}

func TestHostileNestingEnds(t *testing.T) {
	t.Parallel()
	var raw strings.Builder
	raw.WriteString("From: a@b\r\n")
	for i := range 5000 {
		fmt.Fprintf(&raw, "Content-Type: multipart/mixed; boundary=b%05d\r\n\r\n--b%05d\r\n", i, i)
	}
	m, err := ParseMail([]byte(raw.String()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Defects); n == 0 || m.Defects[n-1] != "too many parts" {
		t.Errorf("defects %v", m.Defects)
	}
}

func TestLinksAndImages(t *testing.T) {
	t.Parallel()
	m := Mail{HTML: `<A HREF="https://a.example/?x=1&amp;y=2">a</A> <a href=' /b '>b</a><a href="/b">again</a><a name=c>c</a>
		<!-- <a href="/hidden">no</a> --><img src="http://127.0.0.1/p.gif" alt=""><img/><link href="/no">`}
	if diff := cmp.Diff([]string{"https://a.example/?x=1&y=2", "/b"}, m.Links()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"http://127.0.0.1/p.gif"}, m.Images()); diff != "" {
		t.Error(diff)
	}
}
