package email

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

// benchMessage is about 4 KB of text and HTML on the wire.
func benchMessage() *channels.Message {
	const paragraph = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. "
	m := full()
	m.Text = "Halo Añdy,\n\n" + strings.Repeat(paragraph+"\n\n", 8) + "https://sapa.bengkel.example/c/abc\n"
	m.HTML = "<!doctype html><html><body><h1>Halo Añdy</h1>" + strings.Repeat("<p>"+paragraph+"</p>\n", 16) + "</body></html>\n"
	return m
}

func BenchmarkCompose(b *testing.B) {
	for name, eightBit := range map[string]bool{"8bit": true, "quoted-printable": false} {
		b.Run(name, func(b *testing.B) {
			c, m := newComposer(), benchMessage()
			c.eightBit = eightBit
			b.ReportAllocs()
			for b.Loop() {
				got, err := c.compose(m)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(got.content)))
			}
		})
	}
}

// BenchmarkDeliver is the whole way to a sink in the same process, over one connection.
func BenchmarkDeliver(b *testing.B) {
	for _, extension := range []string{"PIPELINING", "HELP"} {
		b.Run(extension, func(b *testing.B) {
			c, stop := sink(b, extension)
			defer stop()
			session, err := c.Open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer session.Close()
			in := make(chan *channels.Message, 64)
			go func() {
				defer close(in)
				m := benchMessage()
				for b.Loop() {
					in <- m
				}
			}()
			b.ReportAllocs()
			err = session.Deliver(b.Context(), in, yes, func(_ *channels.Message, _ channels.Receipt, err error) {
				if err != nil {
					b.Error(err)
				}
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

// sink answers what it must and looks at nothing.
func sink(b *testing.B, extension string) (c *Channel, stop func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		swallow(conn, extension)
	}()
	cfg, err := Parse("smtp://"+ln.Addr().String(), "halo@bengkel.example")
	if err != nil {
		b.Fatal(err)
	}
	if c, err = New(cfg); err != nil {
		b.Fatal(err)
	}
	return c, func() {
		_ = ln.Close()
		<-done
	}
}

func swallow(conn net.Conn, extension string) {
	r, w := bufio.NewReaderSize(conn, 64<<10), bufio.NewWriter(conn)
	_, _ = w.WriteString("220 sink\r\n")
	for inData := false; ; {
		if r.Buffered() == 0 {
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
		case bytes.HasPrefix(line, []byte("EHLO")):
			_, _ = w.WriteString("250-sink\r\n250-8BITMIME\r\n250 " + extension + "\r\n")
		default:
			_, _ = w.WriteString("250 2.1.0 ok\r\n")
		}
	}
}
