package email

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sapa-crm/sapa/channels"
)

// Whatever is written in quoted-printable comes back, on lines that are short enough, lose nothing at their ends, and begin
// with no dot.
func TestQuoted(t *testing.T) {
	t.Parallel()
	pieces := rapid.SampledFrom([]string{
		"a", " ", "  ", "\t", ".", "..", "=", "\n", "\r\n", "\r", "é", "日本", "\x00", "\x7f", "\xff",
		strings.Repeat("x", 70), strings.Repeat("y", 74), strings.Repeat("z", 75), strings.Repeat("word ", 30),
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(pieces, 0, 20).Draw(t, "text"), "")
		quoted := appendQuoted(nil, text)
		back, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(quoted)))
		if err != nil || string(back) != crlf(text) {
			t.Errorf("%q came back as %q, %v", text, back, err)
		}
		for line := range strings.SplitSeq(string(quoted), "\r\n") {
			if len(line) > 76 || strings.HasPrefix(line, ".") || strings.TrimRight(line, " \t") != line {
				t.Errorf("%q has the line %q", text, line)
			}
		}
	})
}

var boundaryLine = regexp.MustCompile(`=_[0-9a-f]{32}`)

// No message has the boundary of another, whose recipient knows it.
func TestBoundaries(t *testing.T) {
	t.Parallel()
	c, seen := newComposer(), map[string]bool{}
	for range 200 { // more than one supply of random octets
		got, err := c.compose(nil, full())
		if err != nil {
			t.Fatal(err)
		}
		seen[boundaryLine.FindString(sent(t, got.forData()))] = true
	}
	if len(seen) != 200 || seen[""] {
		t.Errorf("%d boundaries of 200 messages", len(seen))
	}
}

// What is kept from one message to the next changes none of them, however campaigns alternate.
func TestComposerKeepsNothing(t *testing.T) {
	t.Parallel()
	vary := []func(m *channels.Message, i int){
		func(m *channels.Message, i int) { m.Campaign = fmt.Sprint("campaign", i) },
		func(m *channels.Message, i int) { m.Topic = fmt.Sprint("topic", i) },
		func(m *channels.Message, i int) { m.ReplyTo = fmt.Sprintf("toko%d@bengkel.example", i) },
		func(m *channels.Message, i int) { m.From.Addr = fmt.Sprintf("halo%d@b%d.example", i, i) },
		func(m *channels.Message, i int) {
			m.From = channels.Address{Name: fmt.Sprint("Toko ", i), Addr: "halo@bengkel.example"}
		},
		func(m *channels.Message, i int) { m.Subject = fmt.Sprint("Halo ", i) },
		func(m *channels.Message, i int) { m.Date = m.Date.AddDate(0, 0, i) },
		func(m *channels.Message, i int) { m.To.Name = fmt.Sprint("Ani ", i) },
		func(m *channels.Message, i int) { m.Text = fmt.Sprint("Halo ", i) },
		func(m *channels.Message, i int) { m.From.Addr = fmt.Sprint("nobody ", i) },
	}
	c := newComposer()
	var buf []byte
	rapid.Check(t, func(t *rapid.T) {
		m := full()
		for _, change := range vary {
			if rapid.IntRange(0, 3).Draw(t, "changed") == 0 {
				change(m, rapid.IntRange(0, 3).Draw(t, "value"))
			}
		}
		got, err := c.compose(buf, m)
		want, wantErr := newComposer().compose(nil, m)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%v, want %v", err, wantErr)
		}
		if err != nil {
			return
		}
		buf = got.buf
		if diff := cmp.Diff(masked(want.content), masked(got.content)); diff != "" || got.frame.mail != want.frame.mail {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
	if len(c.frames) != maxFrames {
		t.Errorf("%d frames are kept, want %d", len(c.frames), maxFrames)
	}
}

func masked(content []byte) string { return boundaryLine.ReplaceAllString(string(content), "boundary") }
