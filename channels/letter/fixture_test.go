package letter

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

// noon is business time in these tests.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func company() *Settings {
	return &Settings{Sender: "Bengkel Maju", Return: []string{"Jl. Pemuda 12", "Semarang 50132"}, Country: "ID"}
}

// sunset is a picture.
func sunset(t testing.TB) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 148, 105))
	for y := range 105 {
		for x := range 148 {
			m.Set(x, y, color.RGBA{uint8(250 - y), uint8(120 + x/2), uint8(60 + y), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// office is a company with a campaign of letters.
type office struct {
	t    testing.TB
	pool *pgxpool.Pool
	run  *ledgertest.Run
	ch   *Channel
}

func newOffice(t testing.TB, messages int) *office {
	t.Helper()
	o := &office{t: t, pool: pgtest.Pool(t)}
	o.run = ledgertest.NewCampaign(t, o.pool, "oil-change", "service").Run(t, "once", messages)
	ledgertest.Exec(t, o.pool, `update messages set channel = 'letter'`)
	var err error
	o.ch, err = New(Config{Pool: o.pool, Files: fstest.MapFS{"card.png": {Data: sunset(t)}, "notes.png": {Data: []byte("no picture")}}, Print: *company(), Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// message is the run's i-th, a postcard.
func (o *office) message(i int) *channels.Message {
	return &channels.Message{
		ID: o.run.Base + int64(i),
		To: channels.Address{Name: "Budi Santoso", Addr: "Budi Santoso\nJl. Merdeka 17\nSemarang 50241\nID"},
		Parts: map[string]string{
			"text": "# Waktunya ganti oli\n\nHalo **Budi Santoso**, B 1234 XY sudah waktunya ganti oli.",
			"size": "postcard-a6", "window": "left", "front": "card.png", "link": "https://sapa.bengkel.example/l/aB3dE6gH",
		},
	}
}

// deliver hands messages over and says what became of each; pending ones are then recorded as the engine does.
func (o *office) deliver(ctx context.Context, messages ...*channels.Message) (verdicts []string, err error) {
	o.t.Helper()
	s, err := o.ch.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	in := make(chan *channels.Message, len(messages))
	for _, m := range messages {
		in <- m
	}
	close(in)
	err = s.Deliver(ctx, in, func(*channels.Message) error { return nil }, func(m *channels.Message, _ channels.Receipt, err error) {
		verdict := channels.VerdictOf(err)
		verdicts = append(verdicts, verdict.String()+": "+err.Error())
		if verdict == channels.VerdictPending {
			ledgertest.Exec(o.t, o.pool, `update messages set not_before = '9999-01-01' where id = $1`, m.ID)
		}
	})
	return verdicts, err
}

func (o *office) compose(n int) {
	o.t.Helper()
	for i := range n {
		if _, err := o.deliver(o.t.Context(), o.message(i+1)); err != nil {
			o.t.Fatal(err)
		}
	}
}
