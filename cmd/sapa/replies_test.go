package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// moments are times in what a verb prints.
var moments = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\dZ)?`)

// What customers text back is kept, answered where it is a keyword, listed, and marked as read.
func TestReplies(t *testing.T) {
	t.Parallel()
	w := texting(t, 3, "")
	w.servePublic()
	w.want(exitOK, "nothing that was not read; what was: sapa replies --all\n", "replies")
	w.want(exitOK, "nobody has texted back\n", "replies", "--all")
	w.ok("run", "reminder", "--yes")
	for _, c := range []struct{ from, text, want string }{
		{"+6281120000007", "Besok jam 9 ya\x1b[2J", ""},
		{"+6281120000014", "Berhenti.", "Bengkel Maju: Anda tidak akan menerima SMS dari kami lagi. Balas MULAI untuk menerimanya lagi."},
		{"+6281120000021", "=HYPERLINK(\"https://x.example\")", ""},
		{"+6281129999999", "siapa ini?", ""},
	} {
		if answer, err := w.mail.Reply(t.Context(), c.from, "+6281100000001", c.text); err != nil || answer != c.want {
			t.Errorf("%q is answered %q, %v", c.text, answer, err)
		}
	}
	printed := func(args ...string) string { return moments.ReplaceAllString(w.ok(args...), "TIME") }
	for want, args := range map[string][]string{
		`id,at,channel,kind,customer_key,campaign,run,text,media,answer,seen_at
1,TIME,sms,reply,1,reminder,1,Besok jam 9 ya` + "\x1b" + `[2J,0,,
3,TIME,sms,reply,3,reminder,1,"'=HYPERLINK(""https://x.example"")",0,,
`: {"replies", "reminder", "--csv"},
		`id,at,channel,kind,customer_key,campaign,run,text,media,answer,seen_at
2,TIME,sms,stop,2,reminder,1,Berhenti.,0,Bengkel Maju: Anda tidak akan menerima SMS dari kami lagi. Balas MULAI untuk menerimanya lagi.,
3,TIME,sms,reply,3,reminder,1,"'=HYPERLINK(""https://x.example"")",0,,
4,TIME,sms,reply,,,,siapa ini?,0,,
`: {"replies", "--all", "--csv", "--limit", "3"},
	} {
		if diff := cmp.Diff(want, printed(args...)); diff != "" {
			t.Errorf("sapa %s (-want +got):\n%s", strings.Join(args, " "), diff)
		}
	}
	text := printed("replies")
	if strings.Contains(text, "\x1b") || !strings.Contains(text, "Besok jam 9 ya[2J") || strings.Contains(text, "Berhenti") || !strings.Contains(text, "siapa ini?") {
		t.Errorf("sapa replies printed:\n%s", text)
	}
	w.want(exitOK, "3 of 3 marked as read\n", "replies", "--seen", "1", "3", "4")
	w.want(exitFailed, "0 of 1 marked as read\nsapa: none of these is a text that nobody has read; see: sapa replies --all\n", "replies", "--seen", "4")
	w.want(exitOK, "nothing that was not read; what was: sapa replies --all\n", "replies")
	if report := w.ok("report", "reminder"); !strings.Contains(report, "2  replied       66.7% of sent; read them: sapa replies") {
		t.Errorf("sapa report printed:\n%s", report)
	}
	w.want(exitUsage, "sapa: --seen: which ones? write their numbers, such as: sapa replies --seen 17 18\n", "replies", "--seen")
	w.want(exitUsage, "sapa: --seen: \"x\" is not the number of a text; see: sapa replies\n", "replies", "--seen", "x")
	w.want(exitUsage, "sapa: --limit -1: write a number from 1, or 0 for all\n", "replies", "--limit", "-1")
	w.want(exitUsage, "sapa: write: sapa replies [CAMPAIGN], or: sapa replies --seen ID…\n", "replies", "a", "b")
	w.want(exitFailed, "sapa: there is no campaign \"remindr\"\n  did you mean \"reminder\"?\n", "replies", "remindr")
}
