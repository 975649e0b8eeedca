package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// sinkOptions are what a sink is told at first, and again before each measurement: its counters then begin anew.
type sinkOptions struct {
	RTT time.Duration // delay of each flight of replies
}

// sinkStats is the sink's answer: what it counted until then.
type sinkStats struct {
	Addr        string
	Count       int64
	Octets      int64 // of headers and bodies
	First, Last time.Time
}

// sink is an SMTP server that takes everything, as cheaply as it can, and keeps nothing.
type sink struct {
	rtt           atomic.Int64
	count, octets atomic.Int64
	first, last   atomic.Int64
}

func beSink(in io.Reader, out io.Writer) error {
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a benchmark that is ended by its parent
	if err != nil {
		return err
	}
	s := &sink{}
	go s.accept(l)
	for {
		var o sinkOptions
		if err := commands.Decode(&o); err != nil {
			return nil //nolint:nilerr // the parent has gone
		}
		s.rtt.Store(int64(o.RTT))
		err := answers.Encode(sinkStats{
			l.Addr().String(), s.count.Swap(0), s.octets.Swap(0), time.Unix(0, s.first.Swap(0)), time.Unix(0, s.last.Swap(0)),
		})
		if err != nil {
			return err
		}
	}
}

func (s *sink) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.serve(c)
	}
}

func (s *sink) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // nothing hangs on it
	d := &sinkDialogue{sink: s, r: bufio.NewReaderSize(c, 64<<10), w: bufio.NewWriter(c)}
	d.say("220 sink ESMTP")
	for d.step() {
	}
}

type sinkDialogue struct {
	sink *sink
	r    *bufio.Reader
	w    *bufio.Writer
	err  error
}

// say answers, together with what else has been asked already.
func (d *sinkDialogue) say(text string) {
	_, _ = d.w.WriteString(text)
	_, _ = d.w.WriteString("\r\n")
	if d.r.Buffered() > 0 {
		return
	}
	if rtt := d.sink.rtt.Load(); rtt > 0 {
		time.Sleep(time.Duration(rtt))
	}
	d.err = d.w.Flush()
}

func (d *sinkDialogue) step() bool {
	line, err := d.r.ReadSlice('\n')
	if err != nil {
		return false
	}
	switch string(bytes.ToUpper(line[:min(4, len(line))])) {
	case "EHLO":
		d.say("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250 SIZE 52428800")
	case "DATA":
		d.say("354 go on")
		return d.err == nil && d.data()
	case "BDAT":
		return d.chunk(line)
	case "QUIT":
		d.say("221 2.0.0 bye")
		return false
	default:
		d.say("250 2.0.0 OK")
	}
	return d.err == nil
}

func (d *sinkDialogue) data() bool {
	octets := 0
	for {
		line, err := d.r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 3 && line[0] == '.' {
			break
		}
		octets += len(line)
	}
	return d.taken(octets)
}

// chunk takes a message that comes in one chunk (RFC 3030).
func (d *sinkDialogue) chunk(line []byte) bool {
	size, last := bytes.CutSuffix(bytes.TrimRight(line[min(5, len(line)):], "\r\n"), []byte(" LAST"))
	octets, err := strconv.Atoi(string(size))
	if err != nil || !last {
		d.say("501 5.5.4 one chunk and no more")
		return false
	}
	if _, err := d.r.Discard(octets); err != nil {
		return false
	}
	return d.taken(octets)
}

func (d *sinkDialogue) taken(octets int) bool {
	now := time.Now().UnixNano()
	d.sink.first.CompareAndSwap(0, now)
	d.sink.last.Store(now)
	d.sink.octets.Add(int64(octets))
	d.sink.count.Add(1)
	d.say("250 2.0.0 OK: queued as 1")
	return d.err == nil
}
