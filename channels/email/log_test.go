package email

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadLog(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log  string
		want []LogEntry
	}{
		"postfix": {
			log: `Nov 22 08:00:01 mx postfix/smtpd[811]: 4F1A2: client=app[10.0.0.2]
Nov 22 08:00:01 mx postfix/cleanup[812]: 4F1A2: message-id=<tokA@bengkel.example>
Nov 22 08:00:01 mx postfix/cleanup[812]: 4F1A3: message-id=<other@elsewhere.example>
Nov 22 08:00:01 mx postfix/qmgr[700]: 4F1A2: from=<halo@bengkel.example>, size=4211, nrcpt=1 (queue active)
2026-11-22T08:00:02.123456+07:00 mx postfix/submission/cleanup[813]: 3yX9kL0000z4: message-id=<tokB@bengkel.example>
2026-11-22T08:00:02.223456+07:00 mx postfix/submission/cleanup[813]: 3yX9kL0000z4: milter-reject: END-OF-MESSAGE from app[10.0.0.2]: 5.7.1 Spam; from=<halo@bengkel.example>
Nov 22 08:00:03 mx postfix/cleanup[812]: 4F1A4: message-id=<tokC@bengkel.example>
Nov 22 08:00:03 mx postfix/smtpd[811]: lost connection after DATA (1024 bytes) from app[10.0.0.2]
Nov 22 08:00:04 mx postfix/qmgr[700]: 4F1A2: from=<halo@bengkel.example>, size=4211, nrcpt=1 (queue active)
Nov 22 08:00:04 mx postfix/qmgr[700]: 4F1A2: removed
`,
			want: []LogEntry{{"tokA@bengkel.example", true, "4F1A2"}, {"tokB@bengkel.example", false, "3yX9kL0000z4"}},
		},
		"exim": {
			log: `2026-11-22 08:00:01 1tEabc-000000001Ab-2xyz <= halo@bengkel.example H=app [10.0.0.2] P=esmtp S=4211 id=tokA@bengkel.example
2026-11-22 08:00:01 1tEabc-0001Ab-2x <= halo@bengkel.example H=app P=esmtp S=4211 id=other@elsewhere.example
2026-11-22 08:00:01 1tEabc-000000001Ab-2xyz => budi@mail.example R=dnslookup T=remote_smtp
2026-11-22 08:00:02 1tEabd-0001Ab-2x <= halo@bengkel.example H=app P=esmtp S=9 id=tokB@bengkel.example T="<= x id=tokC@bengkel.example"
`,
			want: []LogEntry{{"tokA@bengkel.example", true, "1tEabc-000000001Ab-2xyz"}, {"tokB@bengkel.example", true, "1tEabd-0001Ab-2x"}},
		},
		"plain": {
			log: "<tokA@bengkel.example> accepted\r\ntokB@bengkel.example,refused,550\ntokC@bengkel.example acceptable\n" +
				strings.Repeat("x", 100_000) + "\nother@elsewhere.example accepted\n  tokD@bengkel.example\taccepted",
			want: []LogEntry{
				{MessageID: "tokA@bengkel.example", Accepted: true},
				{MessageID: "tokB@bengkel.example"},
				{MessageID: "tokD@bengkel.example", Accepted: true},
			},
		},
		"empty": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []LogEntry
			ours := func(id string) bool { return strings.HasSuffix(id, "@bengkel.example") }
			err := ReadLog(strings.NewReader(test.log), ours, func(e LogEntry) error { got = append(got, e); return nil })
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadLogStopsAtAnError(t *testing.T) {
	t.Parallel()
	stop, n := errors.New("stop"), 0
	err := ReadLog(strings.NewReader("a@b.example accepted\nb@b.example accepted\n"), func(string) bool { return true },
		func(LogEntry) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("got %v after %d entries", err, n)
	}
}
