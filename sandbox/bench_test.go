package sandbox

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkCatch takes mail of 4 KB over 32 connections, one round trip per message.
func BenchmarkCatch(b *testing.B) {
	s, err := Start(b.Context(), Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 52)
	var next atomic.Int64
	var senders sync.WaitGroup
	b.ResetTimer()
	for range 32 {
		senders.Go(func() { pipeline(b, s, &next, body) })
	}
	senders.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if n := s.Counts().Accepted; n != b.N {
		b.Errorf("%d were caught, want %d", n, b.N)
	}
}

func pipeline(b *testing.B, s *Server, next *atomic.Int64, body string) {
	conn, err := net.Dial("tcp", s.SMTPAddr())
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	replies := bufio.NewReader(conn)
	say := func(text string, finals int) bool {
		if _, err := conn.Write([]byte(text)); err != nil {
			b.Error(err)
			return false
		}
		for finals > 0 {
			line, err := replies.ReadString('\n')
			if err != nil || line[0] > '3' {
				b.Errorf("%q %v", line, err)
				return false
			}
			if line[3] == ' ' {
				finals--
			}
		}
		return true
	}
	if !say("EHLO bench\r\n", 2) {
		return
	}
	for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
		text := mailText(fmt.Sprintf("token-%d", n), "Selamat ulang tahun", body)
		to := fmt.Sprintf("c%d@surel.example", n)
		if !say("MAIL FROM:<a@bengkel.example>\r\nRCPT TO:<"+to+">\r\nDATA\r\n"+text+".\r\n", 4) {
			return
		}
	}
}
