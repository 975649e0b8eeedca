package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"

	mail "github.com/wneessen/go-mail"
	"golang.org/x/sync/errgroup"
)

// loop is what the bare loop is told: so many messages over so many connections.
type loop struct {
	Addr        string
	Messages    int
	Connections int
	Lean        bool // without NOOP and RSET
}

// beGoMail sends as a program would that knows no better: a client of go-mail for each connection, a message composed by
// go-mail for each person, Send, and no record of anything.
func beGoMail(ctx context.Context, in io.Reader) error {
	var l loop
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return err
	}
	var next atomic.Int64
	work, ctx := errgroup.WithContext(ctx)
	for range l.Connections {
		work.Go(func() error { return l.send(ctx, &next) })
	}
	return work.Wait()
}

func (l loop) send(ctx context.Context, next *atomic.Int64) error {
	host, port, err := net.SplitHostPort(l.Addr)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	options := []mail.Option{mail.WithPort(number), mail.WithTLSPolicy(mail.NoTLS), mail.WithHELO("bench.example")}
	if l.Lean {
		options = append(options, mail.WithoutNoop(), mail.WithoutRset())
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return err
	}
	if err := client.DialWithContext(ctx); err != nil {
		return err
	}
	for i := next.Add(1); i <= int64(l.Messages); i = next.Add(1) {
		m, err := compose(i)
		if err != nil {
			return err
		}
		if err := client.Send(m); err != nil {
			return err
		}
	}
	return client.Close()
}

// The message's parts, split once.
var (
	subjectText = split(subject)
	plainText   = split(text)
	htmlText    = split(strings.Replace(html, "</body>", `<img src="`+pixel+`" width="1" height="1" alt=""></body>`, 1))
)

// pixel stands where the address of the pixel goes.
const pixel = "{{ pixel }}"

// split takes a template apart: texts, and between them what to put there.
func split(template string) []string {
	for _, name := range []string{"{{ customer.name }}", "{{ customer.city }}", "{{ customer.score }}", link, pixel} {
		template = strings.ReplaceAll(template, name, "\x00"+name+"\x00")
	}
	return strings.Split(template, "\x00")
}

// fill puts a person's values into a template.
func fill(parts []string, values map[string]string) string {
	var b strings.Builder
	b.Grow(6 << 10)
	for i, part := range parts {
		if i%2 == 1 {
			part = values[part]
		}
		b.WriteString(part)
	}
	return b.String()
}

func compose(i int64) (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := m.FromFormat("Bench", "bench@sender.example"); err != nil {
		return nil, err
	}
	if err := m.To(fmt.Sprintf("person%d@mail.example", i)); err != nil {
		return nil, err
	}
	values := map[string]string{
		"{{ customer.name }}": fmt.Sprintf("Person %d", i), "{{ customer.city }}": fmt.Sprintf("City %d", i%97),
		"{{ customer.score }}": strconv.FormatInt(i%1000, 10), link: tracked("c", i), pixel: tracked("o", i),
	}
	m.Subject(fill(subjectText, values))
	m.SetDate()
	m.SetMessageID()
	m.SetGenHeader("List-Unsubscribe", "<"+tracked("u", i)+">")
	m.SetGenHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	m.SetBodyString(mail.TypeTextPlain, fill(plainText, values))
	m.AddAlternativeString(mail.TypeTextHTML, fill(htmlText, values))
	return m, nil
}

// tracked is an address as long as those that Sapa signs.
func tracked(kind string, i int64) string {
	return fmt.Sprintf("https://bench.example/%s/%030d", kind, i)
}
