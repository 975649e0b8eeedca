package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newUnknown is a shop whose run has ten messages: four with an answer, three that were accepted without one, and three
// whose connection was cut before the server took them.
func newUnknown(t *testing.T) *world {
	t.Helper()
	w := newShop(t, 10, "")
	w.exec(`update public.customers set email = replace(email, '@', case when id <= 3 then '+silent@' when id <= 6 then '+drop@' else '@' end)`)
	if code, printed := w.sapa("run", "hello"); code != exitPartial {
		t.Fatalf("exit code %d: %s", code, printed)
	}
	if a := w.status(1); a.Unknown != 6 || a.Sent != 4 {
		t.Fatalf("prepared %+v", a)
	}
	return w
}

// states are the run's messages by state, as the ledger and the totals have them.
func (w *world) states() []string {
	w.t.Helper()
	w.ok("check")
	return w.texts(`select state || coalesce(' ' || reason, '') || ' ' || count(*) || ', spent ' || count(*) filter (where o.spent)
		from sapa.messages m join sapa.occasions o on o.message_id = m.id group by state, reason order by 1`)
}

func (w *world) wantStates(want ...string) {
	w.t.Helper()
	if d := cmp.Diff(want, w.states()); d != "" {
		w.t.Error(d)
	}
}

func (w *world) log(name string, packed bool) string {
	w.t.Helper()
	var b bytes.Buffer
	if err := w.mail.WriteLog(&b); err != nil {
		w.t.Fatal(err)
	}
	text := b.Bytes()
	if packed {
		var z bytes.Buffer
		g := gzip.NewWriter(&z)
		_, _ = g.Write(text)
		_ = g.Close()
		text = z.Bytes()
	}
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func TestResolveByTheServersLog(t *testing.T) {
	t.Parallel()
	w := newUnknown(t)
	w.want(exitOK, `run 1 has 6 unknown messages: they were handed over and no answer came back
  who they are                    sapa messages 1 --state unknown
  settle them by the server's log sapa resolve 1 --log FILE
  or decide for all of them       sapa resolve 1 --accepted, --refused or --resend
`, "resolve", "1")
	w.want(exitOK, "run 1: 3 sent, 0 failed, 0 to be sent again, 3 still unknown\n", "resolve", "1", "--log", w.log("mail.log.gz", true))
	w.wantStates("sent 7, spent 7", "unknown 3, spent 3")
	w.want(exitOK, "run 1: 0 sent, 3 failed, 0 to be sent again, 0 still unknown\nsend those that failed again with: sapa retry 1\n",
		"resolve", "1", "--log", w.log("mail.log", false), "--complete")
	w.wantStates("failed not accepted 3, spent 0", "sent 7, spent 7")
	w.want(exitOK, "run 1 has no unknown messages\n", "resolve", "1", "--accepted")
	if d := cmp.Diff([]string{`ani {"by": "the mail server's log", "accepted": 3}`, `ani {"by": "the mail server's log", "not accepted": 3}`},
		w.texts(`select actor || ' ' || detail from sapa.audit_log where action = 'resolve' order by id`)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"accepted by the mail server's log 3", "retry not in the mail server's log 3"}, w.texts(`
		select verdict || ' ' || words || ' ' || count(*) from sapa.attempts where words like '%log' group by verdict, words order by 1`)); d != "" {
		t.Error(d)
	}
	if code, printed := w.sapa("retry", "1"); code != exitPartial { // the connection is cut again
		t.Errorf("exit code %d: %s", code, printed)
	}
	w.wantStates("sent 7, spent 7", "unknown 3, spent 3")
}

func TestResolveByHand(t *testing.T) {
	t.Parallel()
	w := newUnknown(t)
	w.want(exitOK, "run 1: 2 sent, 0 failed, 0 to be sent again, 0 still unknown\n", "resolve", "1", "--accepted", "--customer", "1,2")
	w.want(exitOK, "run 1: 0 sent, 1 failed, 0 to be sent again, 0 still unknown\nsend those that failed again with: sapa retry 1\n",
		"resolve", "1", "--refused", "--customer", "4")
	w.wantStates("failed not accepted 1, spent 0", "sent 6, spent 6", "unknown 3, spent 3")
	before := w.mail.Counts().Accepted
	if code, printed := w.sapa("resolve", "1", "--resend", "--customer", "3"); code != exitPartial {
		t.Errorf("exit code %d: %s", code, printed)
	}
	if n := w.mail.Counts().Accepted - before; n != 1 { // and again no answer comes
		t.Errorf("%d were accepted after --resend", n)
	}
	w.wantStates("failed not accepted 1, spent 0", "sent 6, spent 6", "unknown 3, spent 3")
}

func TestResolveRefusesWhatItCantDo(t *testing.T) {
	t.Parallel()
	w := newUnknown(t)
	w.want(exitUsage, "sapa: --complete says something about logs; name them with --log\n", "resolve", "1", "--complete")
	w.want(exitUsage, "sapa: \"hello\" is not the number of a run; see: sapa status --all\n", "resolve", "hello")
	w.want(exitFailed, "sapa: run 7: not found; see: sapa status --all\n", "resolve", "7")
	w.want(exitUsage, "sapa: --log: open /nosuch: no such file or directory\n", "resolve", "1", "--log", "/nosuch")
	w.exec(`update sapa.messages set channel = 'sms' where customer_key in ('1', '4')`) // a mail server's log says nothing about texts
	w.want(exitOK, "run 1: 2 sent, 2 failed, 0 to be sent again, 2 still unknown\nsend those that failed again with: sapa retry 1\n",
		"resolve", "1", "--log", w.log("mail.log", false), "--complete")
	w.exec(`update sapa.runs set state = 'cancelled'`)
	w.want(exitFailed, "sapa: can't resolve run 1: it is cancelled; start it again: sapa run hello\n", "resolve", "1", "--resend")
	w.want(exitOK, "run 1: 2 sent, 0 failed, 0 to be sent again, 0 still unknown\n", "resolve", "1", "--accepted")
}
