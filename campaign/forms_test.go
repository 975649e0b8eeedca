package campaign

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels/kinds"
)

// The links of versions that were applied are numbered through the forms in this order: one that changes leads old links elsewhere.
func TestFormsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	var names []string
	for _, f := range forms() {
		names = append(names, f.Channel)
	}
	names = names[:len(names)-len(kinds.All())]
	if diff := cmp.Diff([]string{"alert", "calls", "letter", "voice", "webhook", "whatsapp"}, names); diff != "" {
		t.Errorf("forms (-before +now):\n%s", diff)
	}
}
