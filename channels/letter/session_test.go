package letter

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
)

func TestDeliver(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 3)
	first, again := o.message(1), o.message(1)
	again.Parts["text"] = "Halo lagi"
	for _, m := range []*channels.Message{first, again} {
		got, err := o.deliver(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"pending: it waits for a person"}, got); diff != "" {
			t.Error(diff)
		}
	}
	var size, code string
	var content Content
	var pieces, pictures int
	err := o.pool.QueryRow(t.Context(), `select count(*) over (), size, code, content, (select count(*) from letter_pictures) from letters`).Scan(&pieces, &size, &code, &content, &pictures)
	if err != nil {
		t.Fatal(err)
	}
	want := Content{Address: "Budi Santoso\nJl. Merdeka 17\nSemarang 50241\nID", Text: "Halo lagi", Window: "left", Link: "https://sapa.bengkel.example/l/aB3dE6gH"}
	if diff := cmp.Diff(want, content); diff != "" {
		t.Error(diff)
	}
	if read, err := ReadCode(code); err != nil || read != code || pieces != 1 || pictures != 1 || size != "postcard-a6" {
		t.Errorf("code %s (%v), %d pieces, %d pictures, size %s", code, err, pieces, pictures, size)
	}
}

func TestUnfitLettersFailAlone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 3)
	for name, tt := range map[string]struct {
		change func(*channels.Message)
		want   string
	}{
		"no text":      {func(m *channels.Message) { m.Parts["text"] = " \n" }, "permanent: nothing is left of the text for this customer"},
		"no address":   {func(m *channels.Message) { m.To.Addr = "budi@mail.example" }, "permanent: the address is not one of the post: lines, the last of them the country"},
		"foreign text": {func(m *channels.Message) { m.Parts["text"] = "Halo 世界" }, "permanent: the text has a character that the font does not have: '世' (U+4E16)"},
		"long text": {
			func(m *channels.Message) { m.Parts["text"] = strings.Repeat("Waktunya ganti oli. ", 90) },
			"permanent: the text does not fit on the postcard: at 7.5 points it needs 122 mm, and there are 58",
		},
		"long letter": {
			func(m *channels.Message) {
				m.Parts["size"], m.Parts["text"] = "a4", strings.Repeat("Waktunya ganti oli.\n\n", 400)
			},
			"permanent: the letter has more than 10 pages",
		},
		"two links": {
			func(m *channels.Message) { m.Parts["link"] = "https://a.example https://b.example" },
			"permanent: the link is not one address such as https://bengkel.example/booking",
		},
		"unknown size":         {func(m *channels.Message) { m.Parts["size"] = "a3" }, `permanent: no size "a3"; known here: a4, letter, postcard-a6, postcard-4x6`},
		"message of a preview": {func(m *channels.Message) { m.ID = 7 }, "permanent: letters are printed for the messages of a run; this one has none"},
	} {
		bad := o.message(2)
		tt.change(bad)
		got, err := o.deliver(t.Context(), bad, o.message(1))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{tt.want, "pending: it waits for a person"}, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestPictureMistakesBurnNothing(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 1)
	for name, want := range map[string]string{
		"gone.png":  "unavailable: read the picture templates/gone.png: open gone.png: file does not exist",
		"notes.png": "unavailable: templates/notes.png: it is neither PNG nor JPEG: image: unknown format",
	} {
		m := o.message(1)
		m.Parts["front"] = name
		got, err := o.deliver(t.Context(), m, o.message(1))
		if diff := cmp.Diff([]string{want}, got); diff != "" || channels.VerdictOf(err) != channels.VerdictUnavailable {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

func TestPermitIsAskedBeforeAnythingIsKept(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 1)
	s, err := o.ch.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan *channels.Message, 1)
	in <- o.message(1)
	close(in)
	withheld := errors.New("the lease is over")
	var got error
	_ = s.Deliver(t.Context(), in, func(*channels.Message) error { return withheld }, func(_ *channels.Message, _ channels.Receipt, err error) { got = err })
	if channels.VerdictOf(got) != channels.VerdictUnavailable || !errors.Is(got, withheld) {
		t.Errorf("%v", got)
	}
	var n int
	if err := o.pool.QueryRow(t.Context(), `select count(*) from letters`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d letters, %v", n, err)
	}
}

func TestOpenEnded(t *testing.T) {
	t.Parallel()
	c, err := New(Config{Pool: newOffice(t, 1).pool, Files: nil, Now: noon})
	if err == nil || c != nil {
		t.Error("a channel without pictures was made")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newOffice(t, 1).ch.Open(ctx); channels.VerdictOf(err) != channels.VerdictUnavailable {
		t.Errorf("%v", err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Settings{
		"bleed: a picture goes 0 to 10 mm beyond the edge, not 11":        {Bleed: 11},
		"the sender can't be printed: the font has no '車' (U+8ECA)":       {Sender: "車"},
		"the sender can't be printed: the font has no '\\u202e' (U+202E)": {Return: []string{"a\u202eb"}},
	} {
		if err := s.check(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	text, err := json.Marshal(company())
	if diff := cmp.Diff(`{"sender":"Bengkel Maju","return":["Jl. Pemuda 12","Semarang 50132"],"country":"ID","bleed":0,"permit":null,"duplex":false}`, string(text)); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
