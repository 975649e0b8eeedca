package email

import (
	"bufio"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

// Which enhanced status codes suppress the address, of RFC 3463 section 3.2 to 3.8, RFC 7505 and what else is in IANA's registry
// "SMTP Enhanced Status Codes": those that mean that the address itself is dead, and no other.
func TestDeadAddressesByStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]channels.Verdict{
		"5.1.0":  channels.VerdictPermanent, // other address status
		"5.1.1":  channels.VerdictSuppress,  // bad destination mailbox address
		"5.1.2":  channels.VerdictSuppress,  // bad destination system address
		"5.1.3":  channels.VerdictSuppress,  // bad destination mailbox address syntax
		"5.1.4":  channels.VerdictPermanent, // destination mailbox address ambiguous
		"5.1.6":  channels.VerdictSuppress,  // destination mailbox has moved, no forwarding address
		"5.1.7":  channels.VerdictPermanent, // bad sender's mailbox address syntax
		"5.1.8":  channels.VerdictPermanent, // bad sender's system address
		"5.1.9":  channels.VerdictPermanent, // message relayed to non-compliant mailer (RFC 3886)
		"5.1.10": channels.VerdictSuppress,  // recipient address has null MX (RFC 7505); Exchange: recipient not found
		"5.2.0":  channels.VerdictPermanent, // other mailbox status
		"5.2.1":  channels.VerdictPermanent, // mailbox disabled: it exists
		"5.2.2":  channels.VerdictRetry,     // mailbox full
		"5.2.3":  channels.VerdictPermanent, // message length exceeds administrative limit
		"5.2.4":  channels.VerdictPermanent, // mailing list expansion problem
		"5.3.0":  channels.VerdictPermanent, // other mail system status
		"5.3.1":  channels.VerdictRetry,     // mail system full
		"5.3.2":  channels.VerdictPermanent, // system not accepting network messages
		"5.3.3":  channels.VerdictPermanent, // system not capable of selected features
		"5.3.4":  channels.VerdictPermanent, // message too big for system
		"5.3.5":  channels.VerdictPermanent, // system incorrectly configured
		"5.4.1":  channels.VerdictRetry,     // no answer from host
		"5.4.2":  channels.VerdictRetry,     // bad connection
		"5.4.3":  channels.VerdictRetry,     // directory server failure
		"5.4.4":  channels.VerdictPermanent, // unable to route
		"5.4.5":  channels.VerdictRetry,     // mail system congestion
		"5.4.6":  channels.VerdictPermanent, // routing loop detected
		"5.4.7":  channels.VerdictPermanent, // delivery time expired
		"5.5.1":  channels.VerdictPermanent, // invalid command
		"5.5.3":  channels.VerdictPermanent, // too many recipients
		"5.6.0":  channels.VerdictPermanent, // other or undefined media error
		"5.7.1":  channels.VerdictPermanent, // delivery not authorized, message refused
		"5.7.13": channels.VerdictPermanent, // user account disabled (RFC 5248)
		"5.7.17": channels.VerdictPermanent, // mailbox owner has changed (RFC 7293)
		"5.7.26": channels.VerdictPermanent, // multiple authentication checks failed (RFC 7372)
		"5.7.27": channels.VerdictPermanent, // sender address has null MX (RFC 7505)
	} {
		for _, v := range []verb{verbRcpt, verbDot} {
			r, err := readReply(bufio.NewReader(strings.NewReader("550 " + status + " the server says so\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			refused, ends := refusal(v, r, false)
			if got := channels.VerdictOf(refused); got != want || ends {
				t.Errorf("%v answered with 550 %s is %v, ends %t; want %v", v, status, got, ends, want)
			}
			if reason := channels.SuppressReason(refused); (reason == "hard bounce") != (want == channels.VerdictSuppress) {
				t.Errorf("550 %s suppresses as %q", status, reason)
			}
		}
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		verb  verb
		reply string
		want  channels.Verdict
		ends  bool
	}{
		// The address is dead.
		{verbRcpt, "550 5.1.1 <x@example.org>: Recipient address rejected: User unknown", channels.VerdictSuppress, false},
		{verbRcpt, "550-5.1.1 The email account that you tried to reach does not exist.", channels.VerdictSuppress, false},
		{verbRcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", channels.VerdictSuppress, false},
		{verbRcpt, "550 5.1.2 Host not found", channels.VerdictSuppress, false},
		{verbRcpt, "556 5.1.10 Recipient address has null MX", channels.VerdictSuppress, false},
		{verbRcpt, "550 No such user here", channels.VerdictSuppress, false},
		{verbRcpt, "550 Unrouteable address", channels.VerdictSuppress, false},
		{verbRcpt, "554 5.0.0 delivery error: user unknown", channels.VerdictSuppress, false},
		{verbDot, "550 5.1.1 no mailbox here by that name", channels.VerdictSuppress, false},
		{verbRcpt, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", channels.VerdictSuppress, false}, // Exchange Online
		// Refused for good, but not because of the address.
		{verbRcpt, "550 5.7.1 Relaying denied", channels.VerdictPermanent, false},
		{verbRcpt, "554 5.7.1 <x>: user unknown to our policy", channels.VerdictPermanent, false},
		{verbRcpt, "550 5.1.8 Sender's domain does not exist", channels.VerdictPermanent, false},
		{verbRcpt, "550-Verification failed; no such user; Sender verify failed", channels.VerdictPermanent, false},
		{verbRcpt, "550 5.2.1 The mailbox is disabled", channels.VerdictPermanent, false},
		{verbRcpt, "550 mailbox unavailable", channels.VerdictPermanent, false},
		{verbRcpt, "501 bad syntax", channels.VerdictPermanent, false},
		{verbDot, "554 5.7.1 spam", channels.VerdictPermanent, false},
		{verbDot, "552 5.3.4 too big", channels.VerdictPermanent, false},
		{verbMail, "552 5.3.4 too big", channels.VerdictPermanent, false},
		{verbMail, "552 too big", channels.VerdictPermanent, false},
		{verbDot, "503 5.5.1 bad sequence", channels.VerdictPermanent, false},
		// For now.
		{verbRcpt, "552 5.2.2 Mailbox full", channels.VerdictRetry, false},
		{verbRcpt, "550 5.2.2 over quota", channels.VerdictRetry, false},
		{verbDot, "552 5.2.2 over quota", channels.VerdictRetry, false},
		{verbRcpt, "552 storage allocation exceeded", channels.VerdictRetry, false},
		{verbRcpt, "550 5.4.1 no answer from host", channels.VerdictRetry, false},
		{verbRcpt, "452 4.2.2 mailbox full", channels.VerdictRetry, false},
		{verbRcpt, "450 4.1.1 user unknown", channels.VerdictRetry, false},
		{verbDot, "452 4.3.1 insufficient system storage", channels.VerdictRetry, false},
		{verbDot, "421 4.3.2 shutting down", channels.VerdictRetry, true},
		// Nothing about this message.
		{verbRcpt, "421 4.7.0 <x@example.org>: too many connections", channels.VerdictUnavailable, true},
		{verbData, "421 bye", channels.VerdictUnavailable, true},
		{verbMail, "550 5.7.1 not yours", channels.VerdictUnavailable, true},
		{verbMail, "553 5.1.8 sender domain does not exist", channels.VerdictUnavailable, true},
		{verbMail, "452 4.3.1 insufficient system storage", channels.VerdictUnavailable, true},
		{verbMail, "530 5.7.0 must issue a STARTTLS command first", channels.VerdictUnavailable, true},
		{verbRcpt, "530 5.7.0 authentication required", channels.VerdictUnavailable, true},
	} {
		r, err := readReply(bufio.NewReader(strings.NewReader(strings.Replace(test.reply, "550-", "550 ", 1) + "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		got, ends := refusal(test.verb, r, false)
		if channels.VerdictOf(got) != test.want || ends != test.ends {
			t.Errorf("%v answered with %q is %v, ends %t; want %v, ends %t", test.verb, test.reply, channels.VerdictOf(got), ends, test.want, test.ends)
		}
		if test.verb != verbMail && strings.Contains(got.Error(), "x@example.org") {
			t.Errorf("the error names the recipient: %v", got)
		}
	}
	if err, ends := refusal(verbMail, reply{code: 555}, true); channels.VerdictOf(err) != channels.VerdictPermanent || ends {
		t.Errorf("SMTPUTF8 refused: %v, ends %t", err, ends)
	}
}
