package email

import (
	"fmt"
	"strings"
	"testing"
)

// startPostfix runs Debian's Postfix as it comes, but for a domain of its own, which it discards.
func startPostfix(t *testing.T, settings ...string) *mailServer {
	t.Helper()
	s := newMailServer(t, "usr/lib/postfix/sbin/master")
	const postfix, postdrop = 64121, 64123
	for _, name := range strings.Fields("active bounce corrupt defer deferred flush hold incoming private saved trace") {
		s.folder("queue/"+name, postfix, 0, 0o700)
	}
	s.folder("queue/pid", 0, 0, 0o755)
	s.folder("queue/public", postfix, postdrop, 0o710)
	s.folder("queue/maildrop", postfix, postdrop, 0o1730)
	s.folder("data", postfix, postfix, 0o700)
	var imported []string
	for _, name := range s.names() {
		imported = append(imported, "{ "+name+" }")
	}
	s.write("main.cf", strings.Join(append([]string{
		"compatibility_level = 3.6", "maillog_file = " + s.dir + "/maillog", "maillog_file_prefixes = " + s.dir,
		"import_environment = MAIL_CONFIG " + strings.Join(imported, " "),
		"queue_directory = " + s.dir + "/queue", "data_directory = " + s.dir + "/data",
		"daemon_directory = " + s.root + "/usr/lib/postfix/sbin", "command_directory = " + s.root + "/usr/sbin",
		"meta_directory = " + s.dir, "shlib_directory = no",
		"mail_owner = postfix", "setgid_group = postdrop", "myhostname = mx.example.org", "mydestination =",
		"inet_interfaces = loopback-only", "inet_protocols = ipv4", "mynetworks = 127.0.0.0/8", "smtpd_tls_security_level = none",
		"alias_maps =", "alias_database =", "local_recipient_maps =", "default_transport = error:nothing leaves this machine", "relay_transport = error",
		"virtual_mailbox_domains = example.org", "virtual_mailbox_maps = regexp:" + s.dir + "/mailboxes", "virtual_transport = discard",
		"smtpd_recipient_restrictions = check_recipient_access regexp:" + s.dir + "/recipients, permit_mynetworks, reject",
		"smtpd_peername_lookup = no", "smtpd_client_connection_count_limit = 0",
		fmt.Sprintf("message_size_limit = %d", mailServerSize),
	}, settings...), "\n")+"\n")
	s.write("mailboxes", "/^(ani|later|big)[0-9]+@/ mailbox\n")
	s.write("recipients", "/^later/ 450 4.2.0 Greylisted, come back later\n")
	s.write("dynamicmaps.cf", "")
	_, port, _ := strings.Cut(s.addr, ":")
	s.write("master.cf", "127.0.0.1:"+port+` inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
retry unix - - n - - error
error unix - - n - - error
discard unix - - n - - discard
`)
	s.log = s.dir + "/maillog"
	s.want = map[string]string{
		"ani": "accepted 250 2.0.0", "gone": "suppress 550 5.1.1", "later": "retry 450 4.2.0", "big": "permanent 552 5.3.4",
	}
	s.refusedData, s.refusedChunk = 554, 554
	s.start("usr/lib/postfix/sbin/master", "-c", s.dir, "-d")
	return s
}

func TestMailServersPostfix(t *testing.T) {
	t.Parallel()
	s := startPostfix(t)
	driveMailServer(t, s)
	nextBehindDot(t, s)
	inOneWrite(t, s)
}

// Newer versions hang up on clients that pipeline without leave.
func TestMailServersPostfixForbidsPipelining(t *testing.T) {
	t.Parallel()
	s := startPostfix(t, "smtpd_forbid_unauth_pipelining = yes")
	driveMailServer(t, s)
	nextBehindDot(t, s)
	inOneWrite(t, s)
}
