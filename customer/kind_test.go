package customer

import (
	"slices"
	"testing"

	"github.com/sapa-crm/sapa/channels"
)

// A channel that package kinds lists has its addresses from the columns that its form asks for.
func TestFurtherChannels(t *testing.T) {
	t.Parallel()
	further := []channels.Kind{
		{Form: channels.Form{Channel: "chat"}},
		{Form: channels.Form{Channel: "line", Address: channels.PhoneAddress}},
		{Form: channels.Form{Channel: "parcel", Address: channels.PostAddress}},
	}
	list := allChannels(further)
	for channel, want := range map[string]channels.AddressKind{
		"email": channels.MailAddress, "calls": channels.PhoneAddress, "letter": channels.PostAddress, "alert": channels.NoAddress,
		"chat": channels.NoAddress, "line": channels.PhoneAddress, "parcel": channels.PostAddress, "nobody": channels.NoAddress,
	} {
		if got := addressOf(list, channel); got != want {
			t.Errorf("%s has addresses of kind %d, want %d", channel, got, want)
		}
	}
	if names := channelNames(list, canSuppress); !slices.Contains(names, "line") || slices.Contains(names, "parcel") || slices.Contains(names, "chat") {
		t.Errorf("addresses can be suppressed of %v", names)
	}
}
