package email

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// aheadOf returns a function that says, without waiting, whether the other side has sent something that nobody has read
// yet (nil), or has hung up (io.EOF or the connection's error); errQuiet is neither. It asks the socket itself, since a
// reply that came after the last read is in nobody's buffer.
//
// With TLS it sees the bytes of the record, not what they say; a server that asked for new keys just then would be taken
// for one that spoke. That ends the session and no message.
func aheadOf(conn net.Conn) func() error {
	if under, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = under.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return quiet
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return quiet
	}
	var n int
	var peeked error
	var octet [1]byte
	peek := func(fd uintptr) {
		n, _, peeked = syscall.Recvfrom(int(fd), octet[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	return func() error {
		if err := raw.Control(peek); err != nil {
			return err
		}
		switch {
		case errors.Is(peeked, syscall.EAGAIN), errors.Is(peeked, syscall.EINTR):
			return errQuiet
		case peeked != nil:
			return peeked
		case n == 0:
			return io.EOF
		}
		return nil
	}
}

// errQuiet says that nothing has come from the other side.
var errQuiet = errors.New("nothing was said")

func quiet() error { return errQuiet }
