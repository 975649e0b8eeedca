package email

import (
	"fmt"
	"strings"

	"github.com/sapa-crm/sapa/channels"
)

// verb is a command of the dialogue, or the message content with its final dot.
type verb int

const (
	verbReset verb = iota
	verbMail
	verbRcpt
	verbData
	verbDot
	verbs
)

func (v verb) String() string {
	return [...]string{"RSET", "MAIL", "RCPT", "DATA", "the message"}[v]
}

// expected says whether the reply can be the answer to the verb at all, given that all before it succeeded. Anything
// else means that client and server are out of step: which reply belongs to which command is no longer known.
func (v verb) expected(r reply) bool {
	switch r.class() {
	case 4:
		return true
	case 5: // 500, 502, 503: it did not understand the command, or not here
		return v == verbDot || r.code > 504 || r.code == 501 || r.code == 504
	case 3:
		return v == verbData && r.code == 354
	default:
		return v != verbData
	}
}

// positive says whether the verb succeeded.
func (v verb) positive(r reply) bool {
	return v.expected(r) && r.class() < 4
}

// refusal is the verdict on a 4xx or 5xx reply, and whether the session must end with it.
//
// The replies are read by RFC 5321 and RFC 3463, in this order:
//   - 421: the server is closing; 530, 534, 535, 538: it wants other credentials. The recipient has nothing to do with
//     it: unavailable, and the session ends.
//   - any refusal of MAIL: the server was told nothing but the sender, so a whole run would be refused alike, and must
//     wait instead of failing person by person: unavailable, and the session ends so that the caller backs off. Only
//     a refusal of this message's size (5.3.4, 552) or of its SMTPUTF8 is permanent for it.
//   - 4xx, and 5xx with a status that RFC 3463 defines as a persistent transient failure (mailbox full, 5.2.2, above
//     all: "the recipient can delete messages to make more space available"): to be tried again. 452, a full disk, is
//     among them.
//   - a dead address: suppress it.
//   - everything else: permanent.
//
// The final dot's 421 is a reply like any other 4xx: the message was refused for now.
func refusal(v verb, r reply, usesUTF8 bool) (err error, ends bool) {
	switch {
	case v != verbDot && r.code == 421:
		return channels.Unavailable(fmt.Errorf("the SMTP server is closing the connection: %s", r.about(v))), true
	case v != verbDot && wantsLogin(r.code):
		return channels.Unavailable(fmt.Errorf("the SMTP server wants other credentials: %s: check SMTP_URL", r)), true
	case v == verbMail && r.class() == 4:
		return channels.Unavailable(fmt.Errorf("the SMTP server takes no mail now: %s", r.about(v))), true
	case v == verbMail && !tooBig(r) && !usesUTF8:
		return channels.Unavailable(fmt.Errorf("the SMTP server refuses the sender: %s: check `from`, and whether this account may send as it",
			r.about(v))), true
	}
	err = fmt.Errorf("%s refused: %s", v, r)
	switch {
	case r.class() == 4, persistentTransient(v, r) && !edgeBlocked(r):
		return channels.RetryAfter(err, 0), r.code == 421
	case deadAddress(r):
		return channels.Suppress(err, "hard bounce"), false
	default:
		return channels.Permanent(err), false
	}
}

// about is the reply for an error that may be logged: with the server's words only where they can't name a recipient.
func (r reply) about(v verb) string {
	if v == verbMail {
		return r.full()
	}
	return r.String()
}

func wantsLogin(code int) bool { return code == 530 || code == 534 || code == 535 || code == 538 }

func tooBig(r reply) bool {
	return r.status() == "3.4" || r.code == 552 && r.enhanced == ""
}

// status is the enhanced code without its class: "1.1" of 5.1.1.
func (r reply) status() string {
	_, rest, _ := strings.Cut(r.enhanced, ".")
	return rest
}

// persistentTransient: statuses of which RFC 3463 says that they are "useful only as a persistent transient error",
// and 552 to a RCPT without a status, which RFC 5321 section 4.5.3.1.10 says to treat as 452.
func persistentTransient(v verb, r reply) bool {
	switch r.status() {
	case "2.2", "3.1", "4.1", "4.2", "4.3", "4.5":
		return true
	case "":
		return v == verbRcpt && r.code == 552
	}
	return false
}

// deadAddress says whether a 5xx reply means that the address itself will never take mail, by RFC 3463 and IANA's registry of
// enhanced status codes. Of those about addresses, 1.4 (ambiguous) may be mended by its server, 1.7 and 1.8 are about the
// sender's address, and 1.9 about a server that does not comply; 2.1 (disabled) is of mailboxes that exist and may come back, and
// 7.x (policy) about more than the address.
func deadAddress(r reply) bool {
	switch r.status() {
	case "1.1", "1.2", "1.3", "1.6", "1.10": // no mailbox, no domain, bad syntax, moved away, null MX (RFC 7505)
		return true
	case "4.1":
		return edgeBlocked(r)
	case "", "0.0", "1.0", "5.0": // nothing said: the words must
		return saysNoSuchUser(r.words)
	}
	return false
}

// edgeBlocked says whether Exchange Online knows no such recipient: "550 5.4.1 Recipient address rejected: Access denied", by
// Microsoft's article on this code the answer of its directory-based edge blocking to an address that is invalid. By RFC
// 3463, 4.1 would be a host that did not answer.
func edgeBlocked(r reply) bool {
	return r.status() == "4.1" && strings.Contains(strings.ToLower(r.words), "recipient address rejected")
}

// saysNoSuchUser knows the phrases of common servers. A text about the sender is never about this recipient.
func saysNoSuchUser(words string) bool {
	words = strings.ToLower(words)
	if strings.Contains(words, "sender") {
		return false
	}
	for _, phrase := range []string{
		"no such user", "no such mailbox", "no such recipient", "no such address", "no mailbox here", "no mailbox by that name",
		"user unknown", "unknown user", "user not found", "user does not exist", "user doesn't exist", "unknown local part",
		"recipient unknown", "unknown recipient", "recipient not found", "recipient does not exist",
		"mailbox unknown", "unknown mailbox", "mailbox not found", "mailbox does not exist", "invalid mailbox",
		"account does not exist", "address does not exist", "unrouteable address", "unroutable address",
	} {
		if strings.Contains(words, phrase) {
			return true
		}
	}
	return false
}
