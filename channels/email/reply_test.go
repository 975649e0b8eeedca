package email

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

func TestReadReply(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   string
		want reply
		err  error
	}{
		"one line":            {"250 2.0.0 Ok: queued as 4XyZ\r\n", reply{250, "2.0.0", "Ok: queued as 4XyZ"}, nil},
		"no text":             {"250\r\n", reply{250, "", ""}, nil},
		"LF alone":            {"250 ok\n", reply{250, "", "ok"}, nil},
		"many lines":          {"550-5.1.1 The account\r\n550-5.1.1 does not\r\n550 5.1.1 exist\r\n", reply{550, "5.1.1", "The account does not exist"}, nil},
		"status of last line": {"550-no\r\n550 5.1.1 body\r\n", reply{550, "5.1.1", "no body"}, nil},
		"status alone":        {"250 2.0.0\r\n", reply{250, "2.0.0", ""}, nil},
		"long status":         {"550 5.1.10 null MX\r\n", reply{550, "5.1.10", "null MX"}, nil},
		"another class":       {"450 5.1.1 hm\r\n", reply{450, "", "5.1.1 hm"}, nil},
		"no status":           {"550 5.1 hm\r\n", reply{550, "", "5.1 hm"}, nil},
		"an address is none":  {"550 5.1.x hm\r\n", reply{550, "", "5.1.x hm"}, nil},
		"control characters":  {"550 a\x00b\tc\x1b\r\n", reply{550, "", "a b c"}, nil},
		"not UTF-8":           {"550 caf\xe9\r\n", reply{550, "", "caf\uFFFD"}, nil},
		"nothing":             {"", reply{}, io.EOF},
		"no end of line":      {"250 ok", reply{}, io.ErrUnexpectedEOF},
		"no last line":        {"250-ok\r\n", reply{}, io.EOF},
		"cut at CR":           {"250 ok\r", reply{}, io.ErrUnexpectedEOF},
		"two codes":           {"250-ok\r\n550 no\r\n", reply{}, errMalformed},
		"no code":             {"hello\r\n", reply{}, errMalformed},
		"empty line":          {"\r\n", reply{}, errMalformed},
		"code too high":       {"650 x\r\n", reply{}, errMalformed},
		"code too low":        {"150 x\r\n", reply{}, errMalformed},
		"four digits":         {"2500 x\r\n", reply{}, errMalformed},
		"endless line":        {"250 " + strings.Repeat("x", maxReply) + "\r\n", reply{}, errMalformed},
		"endless lines":       {strings.Repeat("250-xxxxxxxxxx\r\n", maxReply/16+1), reply{}, errMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readReply(bufio.NewReader(strings.NewReader(test.in)))
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(reply{})); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
		})
	}
}

// A reply leaves the next one where it is, and its words fit the ledger.
func TestReadReplyBounds(t *testing.T) {
	t.Parallel()
	r := bufio.NewReader(strings.NewReader("250 " + strings.Repeat("é", 9000) + "\r\n354 go on\r\n"))
	long, err := readReply(r)
	if err != nil || len(long.words) > channels.MaxWords || len(long.words) < channels.MaxWords-1 || !utf8.ValidString(long.words) {
		t.Errorf("%d octets of words, valid %t, %v", len(long.words), utf8.ValidString(long.words), err)
	}
	if next, err := readReply(r); err != nil || next.code != 354 {
		t.Errorf("next reply %+v, %v", next, err)
	}
}

// A reply is there when it can be read without waiting, and not before.
func TestHasReply(t *testing.T) {
	t.Parallel()
	for _, whole := range []string{"250 ok\r\n", "250\n", "250-a\r\n250-b\r\n250 c\r\n", "what?\r\n", "\n", "250-a\r\n550 b\r\n"} {
		for n := range len(whole) + 1 {
			r := bufio.NewReader(io.MultiReader(strings.NewReader(whole[:n]), strings.NewReader("354 go on\r\n")))
			_, _ = r.Peek(n)
			if got, want := hasReply(r), n == len(whole); got != want {
				t.Errorf("of %q: %t, want %t", whole[:n], got, want)
			}
		}
	}
}

// The words of a positive reply may be left out, those of a refusal not.
func TestReadReplyWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]reply{
		"250 2.1.5 ok\r\n":                   {250, "2.1.5", ""},
		"250-2.1.5 ok\r\n250 2.1.5 ok\r\n":   {250, "2.1.5", ""},
		"550 5.1.1 no\r\n":                   {550, "5.1.1", "no"},
		"550-5.1.1 no\r\n550 5.1.1 user\r\n": {550, "5.1.1", "no user"},
	} {
		got, err := readReplyWords(bufio.NewReader(strings.NewReader(in)), false)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(reply{})); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", in, err, diff)
		}
	}
}

func TestQueueID(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"Ok: queued as 4XyZ1b2C3d":                     "4XyZ1b2C3d",
		"OK id=1rABcd-000123-4E":                       "1rABcd-000123-4E",
		"3AGMAAAA012345 Message accepted for delivery": "3AGMAAAA012345",
		"<a@b> [InternalId=123456, Hostname=x.example] 8021 bytes Queued mail for delivery": "123456",
		"OK  1763800000 d9443c01a7336-2a1 - gsmtp":                                          "d9443c01a7336-2a1",
		"Ok 010201935f0f-7e9c-000000":                                                       "010201935f0f-7e9c-000000",
		"Message Queued (4C1F.1)":                                                           "",
		"OK: queued":                                                                        "",
		"ok thanks a lot":                                                                   "",
		"":                                                                                  "",
	} {
		if got := queueID(words); got != want {
			t.Errorf("queueID(%q) = %q, want %q", words, got, want)
		}
	}
}

// FuzzReadReply: whatever a server says, a reply has one code and words that the ledger takes, or there is an error.
func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{"250 ok\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "250", "250-\r\n", "\xff\r\n", "354 \x00\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readReply(bufio.NewReaderSize(strings.NewReader(string(in)), 16))
		switch {
		case err != nil && got != (reply{}):
			t.Errorf("both a reply and an error: %+v, %v", got, err)
		case err != nil:
		case got.code < 200 || got.code > 599:
			t.Errorf("code %d", got.code)
		case len(got.words) > channels.MaxWords || !utf8.ValidString(got.words) || strings.ContainsAny(got.words, "\x00\r\n"):
			t.Errorf("words %q", got.words)
		case got.enhanced != "" && got.enhanced[0] != byte('0'+got.class()):
			t.Errorf("status %s of a %d", got.enhanced, got.code)
		}
	})
}
