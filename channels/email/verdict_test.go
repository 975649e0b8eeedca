package email

import (
	"bufio"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

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
