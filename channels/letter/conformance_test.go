package letter

import (
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	channeltest.RunTable(t, `select message_id from letters where message_id between $1 and $2 order by composed_at`,
		func(t *testing.T, table *channeltest.Table) channeltest.Provider {
			l := &list{Table: table, clock: noon()}
			var err error
			if l.ch, err = New(Config{Pool: table.Own, Files: fstest.MapFS{}, Print: *company(), Now: l.now}); err != nil {
				t.Fatal(err)
			}
			return l
		})
}

// list is Sapa's own table, which takes every letter that can be printed.
type list struct {
	*channeltest.Table
	ch *Channel

	mu    sync.Mutex
	clock time.Time
}

// now goes on with every question, so that letters are in an order.
func (l *list) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = l.clock.Add(time.Millisecond)
	return l.clock
}

func (l *list) Channel() channels.Channel { return l.ch }

func (l *list) Recipient(i int) channels.Address {
	return channels.Address{Name: "Budi", Addr: "Budi\nJl. Merdeka " + strings.Repeat("I", i%40+1) + "\nSemarang 50241\nID"}
}

func (l *list) Fill(m *channels.Message) {
	l.Table.Fill(m, map[string]string{"text": "Halo", "size": "a4"})
}

func (l *list) Unfit() map[string]func(*channels.Message) {
	return map[string]func(*channels.Message){
		"no address":      func(m *channels.Message) { m.To.Addr = "" },
		"nothing to say":  func(m *channels.Message) { m.Parts["text"] = "" },
		"not printable":   func(m *channels.Message) { m.Parts["text"] = "\x01" },
		"of no run":       func(m *channels.Message) { m.ID = 1 },
		"address too big": func(m *channels.Message) { m.To.Addr = strings.Repeat("a\n", 9) + "ID" },
	}
}
