package alert

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, func(t *testing.T) channeltest.Provider { return newDesk(t) })
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// desk is a company with one desk, in a database of its own.
type desk struct {
	t    *testing.T
	pool *pgxpool.Pool // the channel's, which Stop closes
	look *pgxpool.Pool
	ways []Way

	held  chan struct{}
	freed sync.Once
	lock  pgx.Tx // holds alerts up; nil: nothing does
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, look: pgtest.Pool(t), held: make(chan struct{}, 1)}
	var err error
	if d.pool, err = pgxpool.NewWithConfig(t.Context(), d.look.Config()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.pool.Close)
	t.Cleanup(d.Release)
	return d
}

func (d *desk) Channel() channels.Channel {
	return New(Config{Pool: d.pool, Desks: map[string]Desk{"front-desk": {Ways: d.ways}}, Now: func() time.Time { return noon }})
}

func (d *desk) Traits() channeltest.Traits {
	return channeltest.Traits{Repeatable: true, NoReceipt: true, Never: []channeltest.Answer{
		channeltest.Refuse, channeltest.RefuseAddress, channeltest.RefuseForNow, channeltest.DropBefore, channeltest.DropAfter,
	}}
}

func (d *desk) Recipient(i int) channels.Address {
	return channels.Address{Name: "Ani " + strconv.Itoa(i)}
}

func (d *desk) Fill(m *channels.Message) {
	m.Parts = map[string]string{"to": "front-desk", "title": m.To.Name + " has a birthday", "text": "token=" + m.Token}
}

func (d *desk) Unfit() map[string]func(*channels.Message) {
	return map[string]func(*channels.Message){
		"a desk that there is not": func(m *channels.Message) { m.Parts["to"] = "back-desk" },
		"no title":                 func(m *channels.Message) { m.Parts["title"] = " " },
		"a title of two lines":     func(m *channels.Message) { m.Parts["title"] = "Ani\nBudi" },
		"a text that is not UTF-8": func(m *channels.Message) { m.Parts["text"] = "Halo \xff" },
		"a text with a zero":       func(m *channels.Message) { m.Parts["text"] = "Halo \x00" },
		"a text without an end":    func(m *channels.Message) { m.Parts["text"] = strings.Repeat("x", maxText+1) },
	}
}

// Answer holds alerts up by a lock on their table.
func (d *desk) Answer(_ channels.Address, a channeltest.Answer) {
	if a != channeltest.Hold {
		return
	}
	var err error
	if d.lock, err = d.look.Begin(d.t.Context()); err == nil {
		_, err = d.lock.Exec(d.t.Context(), `lock table alerts in share mode`)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	go d.watch(context.WithoutCancel(d.t.Context()))
}

// watch tells when somebody waits for the lock.
func (d *desk) watch(ctx context.Context) {
	for range 2000 {
		var waits bool
		err := d.look.QueryRow(ctx, `select exists (select from pg_locks where relation = 'alerts'::regclass and not granted)`).Scan(&waits)
		if err != nil || waits {
			d.held <- struct{}{}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *desk) Held() <-chan struct{} { return d.held }

func (d *desk) Release() {
	d.freed.Do(func() {
		if d.lock != nil {
			_ = d.lock.Rollback(context.WithoutCancel(d.t.Context()))
		}
	})
}

func (d *desk) Accepted() []string {
	d.t.Helper()
	rows, _ := d.look.Query(d.t.Context(), `select substr(text, 7) from alerts order by id`)
	tokens, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		d.t.Fatal(err)
	}
	return tokens
}

func (d *desk) Stop() { d.pool.Close() }
