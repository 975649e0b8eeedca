package campaign_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// startRefusingServer is an SMTP server that refuses every login with the given reply.
func startRefusingServer(t *testing.T, reply string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go refuse(c, reply)
		}
	}()
	return l.Addr().String()
}

func refuse(c net.Conn, reply string) {
	defer c.Close()
	fmt.Fprint(c, "220 refusing.example ESMTP\r\n")
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		switch verb := strings.ToUpper(strings.SplitN(lines.Text(), " ", 2)[0]); verb {
		case "EHLO":
			fmt.Fprint(c, "250-refusing.example\r\n250 AUTH PLAIN LOGIN\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		case "AUTH":
			fmt.Fprintf(c, "%s\r\n", reply)
		default:
			fmt.Fprint(c, "530 5.7.0 log in first\r\n")
		}
	}
}
