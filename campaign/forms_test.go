package campaign

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/kinds"
	"github.com/sapa-crm/sapa/customer"
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

// The address book reads what the forms say.
func TestFormsHaveTheAddressesOfTheBook(t *testing.T) {
	t.Parallel()
	for _, f := range forms() {
		if slices.Contains(customer.Reachable(), f.Channel) != (f.Address != channels.NoAddress) {
			t.Errorf("the address book and the form of %s differ", f.Channel)
		}
		suppress := f.Address == channels.PhoneAddress || f.Address == channels.MailAddress
		if slices.Contains(customer.Suppressible(), f.Channel) != suppress {
			t.Errorf("what can be suppressed and the form of %s differ", f.Channel)
		}
	}
}
