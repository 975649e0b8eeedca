package letter

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/ledgertest"
	"github.com/sapa-crm/sapa/internal/pg"
)

// watched is a file that looks at the heap as it is written.
type watched struct {
	file  *os.File
	wrote int64
	next  int64
	most  uint64
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	if w.wrote += int64(n); w.wrote >= w.next {
		w.next = w.wrote + 1<<20
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.most = max(w.most, m.HeapAlloc)
	}
	return n, err
}

// BenchmarkPrint prints a batch of two-sided postcards, each with a text, an address and a QR code of its own, from the
// database to a file.
func BenchmarkPrint(b *testing.B) {
	for _, pieces := range []int{1_000, 10_000} {
		b.Run(strconv.Itoa(pieces), func(b *testing.B) {
			o := newOffice(b, pieces)
			o.compose(1)
			ledgertest.Exec(b, o.pool, `update messages set not_before = '9999-01-01'`)
			ledgertest.Exec(b, o.pool, `insert into letters (message_id, run_id, code, size, content, front, composed_at)
				select message_id + i, run_id, 'X' || lpad(i::text, 7, '0'), size,
				       content || jsonb_build_object('link', 'https://sapa.bengkel.example/l/' || left(md5(i::text), 8),
				         'address', 'Budi Santoso ' || i || E'\nJl. Merdeka ' || i || E'\nSemarang 50241\nID'), front, composed_at
				from letters, generate_series(1, $1::int - 1) i`, pieces)
			var size int64
			var most uint64
			batch := BatchID{Run: o.run.ID}
			for b.Loop() {
				f, err := os.Create(filepath.Join(b.TempDir(), "letters.pdf"))
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				w := &watched{file: f}
				err = pg.InTx(b.Context(), o.pool, func(tx pgx.Tx) error {
					_, err := Print(b.Context(), tx, Order{Batch: batch, Actor: "ani", Now: noon(), Settings: *company(), PDF: bufio.NewWriter(w)})
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
				batch.Number = 1 // made by the first
				size, most = w.wrote, max(most, w.most)
			}
			b.ReportMetric(float64(most)/(1<<20), "MB-heap")
			b.ReportMetric(float64(size)/(1<<20), "MB-file")
			b.ReportMetric(float64(pieces)*float64(b.N)/b.Elapsed().Seconds(), "pieces/s")
		})
	}
}
