package campaign_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sapa-crm/sapa/campaign"
)

// What only people of the company read waits for no customer's quiet hours, and counts for no customer's cap.
func TestAlertsAreNoMessagesToCustomers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.resolve(strings.ReplaceAll(shopYAML, "SMTP", s.mail.SMTPAddr()) + `rails: {quiet_hours: "20:00-07:00", cap: 1 per 7d}` + "\n")
	const alert, mail = "alert: {to: desk, title: Halo}", "email: {subject: Halo, text: Halo}"
	for name, tt := range map[string]struct {
		more   string
		exempt bool
		quiet  int
		caps   int
	}{
		"alert":                 {"channels: [alert]\ncontent: {" + alert + "}", true, 0, 0},
		"alert with hours":      {"channels: [alert]\nlimits: {quiet_hours: \"12:00-13:00\"}\ncontent: {" + alert + "}", true, 1, 0},
		"alert with a cap":      {"channels: [alert]\nlimits: {cap: 3 per 1d}\ncontent: {" + alert + "}", false, 0, 1},
		"mail":                  {"channels: [email]\ncontent: {" + mail + "}", false, 1, 1},
		"alert, or else a mail": {"channels: [alert, email]\ncontent: {" + alert + ", " + mail + "}", false, 1, 1},
	} {
		c, problems := campaign.Check("x.yaml", "campaign: x\ntopic: news\naudience: {where: \"true\"}\n"+tt.more+"\n", fstest.MapFS{}, s.schema, nil)
		s.must(problems.Err())
		l := c.Limits()
		if l.Exempt != tt.exempt || len(l.Quiet) != tt.quiet || len(l.Caps) != tt.caps {
			t.Errorf("%s: exempt %v with %d quiet hours and %d caps; want %v, %d, %d", name, l.Exempt, len(l.Quiet), len(l.Caps), tt.exempt, tt.quiet, tt.caps)
		}
	}
}
