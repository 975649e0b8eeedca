package customer

import (
	"slices"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/kinds"
)

// builtIn are the channels that Sapa has of its own, and what their addresses are.
func builtIn() []channels.Form {
	return []channels.Form{
		{Channel: "email", Address: channels.MailAddress},
		{Channel: "sms", Address: channels.PhoneAddress},
		{Channel: "whatsapp", Address: channels.PhoneAddress},
		{Channel: "voice", Address: channels.PhoneAddress},
		{Channel: "letter", Address: channels.PostAddress},
		{Channel: "calls", Address: channels.PhoneAddress},
		{Channel: "webhook"},
		{Channel: "alert"},
	}
}

// allChannels are all channels: those of our own, and those that package kinds lists.
func allChannels(further []channels.Kind) []channels.Form {
	list := builtIn()
	for _, k := range further {
		list = append(list, k.Form)
	}
	return list
}

// Channels are the words for channels in sapa.yaml and in campaigns.
func Channels() []string {
	return channelNames(allChannels(kinds.All()), func(channels.AddressKind) bool { return true })
}

// Suppressible are the channels with addresses that can be suppressed: numbers and mailboxes.
func Suppressible() []string {
	return channelNames(allChannels(kinds.All()), canSuppress)
}

func canSuppress(a channels.AddressKind) bool {
	return a == channels.MailAddress || a == channels.PhoneAddress
}

func channelNames(list []channels.Form, wanted func(channels.AddressKind) bool) (names []string) {
	for _, f := range list {
		if wanted(f.Address) {
			names = append(names, f.Channel)
		}
	}
	return names
}

// addressKind is what a channel's addresses are; channels.NoAddress of one that has none, or that nobody knows.
func addressKind(channel string) channels.AddressKind {
	return addressOf(allChannels(kinds.All()), channel)
}

func addressOf(list []channels.Form, channel string) channels.AddressKind {
	i := slices.IndexFunc(list, func(f channels.Form) bool { return f.Channel == channel })
	if i < 0 {
		return channels.NoAddress
	}
	return list[i].Address
}
