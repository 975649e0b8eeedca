package email

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sapa-crm/sapa/channels"
)

// benchMessage is about 4 KB of text and HTML on the wire, for the i-th customer.
func benchMessage(i int) *channels.Message {
	const paragraph = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. "
	m, n := full(), strconv.Itoa(i)
	m.Token, m.To.Name, m.To.Addr = "v1.Zm9v_-.bar"+n, "Añdy "+n, "andy"+n+"@example.org"
	m.UnsubscribeURL = "https://sapa.bengkel.example/u/v1.Zm9v_-.bar" + n
	m.Text = "Halo Añdy " + n + ",\n\n" + strings.Repeat(paragraph+"\n\n", 8) + "https://sapa.bengkel.example/c/abc" + n + "\n"
	m.HTML = "<!doctype html><html><body><h1>Halo Añdy " + n + "</h1>" + strings.Repeat("<p>"+paragraph+"</p>\n", 16) +
		`<img src="https://sapa.bengkel.example/o/abc` + n + `.png" width="1" height="1" alt=""></body></html>` + "\n"
	return m
}

// benchMessages are enough that no message is like the one before it.
func benchMessages() []*channels.Message {
	list := make([]*channels.Message, 64)
	for i := range list {
		list[i] = benchMessage(i)
	}
	return list
}

func BenchmarkCompose(b *testing.B) {
	for name, eightBit := range map[string]bool{"8bit": true, "quoted-printable": false} {
		b.Run(name, func(b *testing.B) {
			c, list := newComposer(), benchMessages()
			c.eightBit = eightBit
			b.ReportAllocs()
			var buf []byte
			for i := 0; b.Loop(); i++ {
				got, err := c.compose(buf, list[i%len(list)])
				if err != nil {
					b.Fatal(err)
				}
				buf = got.buf
				b.SetBytes(int64(len(got.content)))
			}
		})
	}
}

// benchOffers are what sinks offer: each message in a chunk, its envelope behind the dot before it, step by step.
var benchOffers = []string{"CHUNKING", "PIPELINING", "HELP"}

// BenchmarkDeliver is the whole way to a sink in another process. cpu-µs/op is what a message costs this process, the
// kernel's part of it included.
func BenchmarkDeliver(b *testing.B) {
	for _, extension := range benchOffers {
		for _, sessions := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/sessions=%d", extension, sessions), func(b *testing.B) {
				benchDeliver(b, startSink(b, extension, 0), sessions)
			})
		}
	}
}

// BenchmarkDeliverFar is the same over a way that takes 5 ms to the sink and back.
func BenchmarkDeliverFar(b *testing.B) {
	for _, extension := range benchOffers {
		b.Run(extension+"/sessions=32", func(b *testing.B) {
			benchDeliver(b, startSink(b, extension, 5*time.Millisecond), 32)
		})
	}
}

func benchDeliver(b *testing.B, c *Channel, sessions int) {
	list := benchMessages()
	in := make(chan *channels.Message)
	var group errgroup.Group
	for range sessions {
		session, err := c.Open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer session.Close()
		group.Go(func() error {
			return session.Deliver(b.Context(), in, yes, func(_ *channels.Message, _ channels.Receipt, err error) {
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
	b.ReportAllocs()
	before := cpu(b)
	sent := 0
	for ; b.Loop(); sent++ {
		in <- list[sent%len(list)]
	}
	close(in)
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(sent), "cpu-µs/op")
}

// cpu is the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// sinkMark has TestSink run; its value is the sink's extension and its delay.
const sinkMark = "SAPA_SINK"

// startSink runs a sink in a process of its own, which ends with this one.
func startSink(b *testing.B, extension string, delay time.Duration) *Channel {
	b.Helper()
	process := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestSink$")
	process.Env = append(os.Environ(), sinkMark+"="+extension+" "+delay.String())
	lifeline, err := process.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = lifeline.Close()
		_ = process.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	cfg, err := Parse("smtp://"+strings.TrimSpace(addr), "halo@bengkel.example")
	if err != nil {
		b.Fatal(err)
	}
	c, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// TestSink is no test but the process of a benchmark's sink.
func TestSink(t *testing.T) {
	extension, delay, ok := strings.Cut(os.Getenv(sinkMark), " ")
	if !ok {
		t.Skip("a process of benchmarks")
	}
	wait, err := time.ParseDuration(delay)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(ln.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go swallow(conn, extension, wait)
	}
}

// swallow answers what it must and looks at nothing.
func swallow(conn net.Conn, extension string, delay time.Duration) {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, 16<<10), bufio.NewWriter(conn)
	_, _ = w.WriteString("220 sink\r\n")
	for inData := false; ; {
		if r.Buffered() == 0 && w.Buffered() > 0 {
			time.Sleep(delay)
			_ = w.Flush()
		}
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case inData:
			if inData = !bytes.Equal(line, []byte(".\r\n")); !inData {
				_, _ = w.WriteString("250 2.0.0 Ok: queued as 4XyZ\r\n")
			}
		case bytes.HasPrefix(line, []byte("DATA")):
			inData = true
			_, _ = w.WriteString("354 go on\r\n")
		case bytes.HasPrefix(line, []byte("BDAT ")):
			n, _ := strconv.Atoi(string(bytes.TrimSuffix(line[len("BDAT "):], []byte(" LAST\r\n"))))
			_, _ = r.Discard(n)
			_, _ = w.WriteString("250 2.0.0 Ok: queued as 4XyZ\r\n")
		case bytes.HasPrefix(line, []byte("EHLO")):
			offers := "250-sink\r\n250-8BITMIME\r\n"
			if extension == "CHUNKING" {
				offers += "250-PIPELINING\r\n"
			}
			_, _ = w.WriteString(offers + "250 " + extension + "\r\n")
		default:
			_, _ = w.WriteString("250 2.1.0 ok\r\n")
		}
	}
}
