package email

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startExim runs Debian's Exim with a configuration in the manner of the one that it comes with, and a domain of its own,
// which it discards.
func startExim(t *testing.T) *mailServer {
	t.Helper()
	s := newMailServer(t, "usr/sbin/exim4")
	const exim = 64122
	s.folder("spool", exim, exim, 0o750)
	_, port, _ := strings.Cut(s.addr, ":")
	s.write("exim.conf", fmt.Sprintf(`
spool_directory = %[1]s/spool
log_file_path = %[1]s/%%slog
pid_file_path = %[1]s/exim.pid
primary_hostname = mx.example.org
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[2]s
tls_advertise_hosts =
rfc1413_hosts =
host_lookup =
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
queue_only_load = 0
queue_only = true
message_size_limit = %[3]d
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept

begin acl
check_rcpt:
  defer   local_parts = ^later
          message = Greylisted, come back later
  require verify = recipient
  accept

begin routers
ours:
  driver = redirect
  domains = example.org
  local_parts = ^ani : ^big : ^later
  data = :blackhole:
`, s.dir, port, mailServerSize))
	if err := os.Chown(filepath.Join(s.dir, "exim.conf"), 0, 0); err != nil {
		t.Fatal(err)
	}
	s.folder(".", exim, exim, 0o755) // it writes its log there
	s.log = s.dir + "/mainlog"
	s.want = map[string]string{"ani": "accepted 250", "gone": "suppress 550", "later": "retry 451", "big": "permanent 552"}
	s.refusedData, s.refusedChunk = 503, 503
	s.start("usr/sbin/exim4", "-C", filepath.Join(s.dir, "exim.conf"), "-bdf")
	return s
}

func TestMailServersExim(t *testing.T) {
	t.Parallel()
	s := startExim(t)
	driveMailServer(t, s)
	nextBehindDot(t, s)
	inOneWrite(t, s)
}

func TestMailServersEximKilled(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]manner{"in chunks": chunked, "one trip": oneTrip} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killMailServer(t, startExim(t), most)
		})
	}
}
