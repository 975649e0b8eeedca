package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// sinkOptions are what a sink is told at first.
type sinkOptions struct {
	RTT time.Duration // delay of each flight of replies
}

// sinkStats is the sink's answer to any further value on its standard input; the counters begin anew with it.
type sinkStats struct {
	Addr        string
	Count       int64
	First, Last time.Time
}

// sink is an SMTP server that takes everything, as cheaply as it can, and keeps nothing.
type sink struct {
	rtt         time.Duration
	count       atomic.Int64
	first, last atomic.Int64
}

func beSink(in io.Reader, out io.Writer) error {
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	var o sinkOptions
	if err := commands.Decode(&o); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a benchmark that is ended by its parent
	if err != nil {
		return err
	}
	s := &sink{rtt: o.RTT}
	go s.accept(l)
	for {
		err := answers.Encode(sinkStats{l.Addr().String(), s.count.Swap(0), time.Unix(0, s.first.Swap(0)), time.Unix(0, s.last.Swap(0))})
		if err != nil {
			return err
		}
		if err := commands.Decode(&struct{}{}); err != nil {
			return nil //nolint:nilerr // the parent has gone
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
	_, _ = d.w.WriteString(text + "\r\n")
	if d.r.Buffered() > 0 {
		return
	}
	if d.sink.rtt > 0 {
		time.Sleep(d.sink.rtt)
	}
	d.err = d.w.Flush()
}

func (d *sinkDialogue) step() bool {
	line, err := d.r.ReadSlice('\n')
	if err != nil {
		return false
	}
	verb := bytes.ToUpper(line[:min(4, len(line))])
	switch string(verb) {
	case "EHLO":
		d.say("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 52428800")
	case "DATA":
		d.say("354 go on")
		return d.err == nil && d.data()
	case "QUIT":
		d.say("221 2.0.0 bye")
		return false
	default:
		d.say("250 2.0.0 OK")
	}
	return d.err == nil
}

func (d *sinkDialogue) data() bool {
	for {
		line, err := d.r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 3 && line[0] == '.' {
			break
		}
	}
	now := time.Now().UnixNano()
	d.sink.first.CompareAndSwap(0, now)
	d.sink.last.Store(now)
	d.sink.count.Add(1)
	d.say("250 2.0.0 OK: queued as 1")
	return d.err == nil
}
