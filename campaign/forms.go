package campaign

import (
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/alert"
	"github.com/sapa-crm/sapa/channels/calls"
	"github.com/sapa-crm/sapa/channels/kinds"
	"github.com/sapa-crm/sapa/channels/letter"
	"github.com/sapa-crm/sapa/channels/twilio"
	"github.com/sapa-crm/sapa/channels/webhook"
)

// forms are the channels whose content is described by a form: a line for each, and those that package kinds lists. Their order
// numbers the links of versions that were applied, so it stays: what is new comes last.
func forms() []channels.Form {
	list := []channels.Form{
		alert.Form(),
		calls.Form(),
		letter.Form(),
		twilio.VoiceForm(),
		webhook.Form(),
		twilio.WhatsAppForm(),
	}
	for _, k := range kinds.All() {
		list = append(list, k.Form)
	}
	return list
}

// FormOf is the form of a channel; nil where it has none.
func FormOf(channel string) *channels.Form {
	for _, f := range forms() {
		if f.Channel == channel {
			return &f
		}
	}
	return nil
}

// available are the channels that campaigns can use.
func available() []string {
	names := []string{"email", "sms"}
	for _, f := range forms() {
		names = append(names, f.Channel)
	}
	return names
}

// addresslessChannels are the channels of which addressless is true.
func addresslessChannels() []string {
	names := []string{}
	for _, name := range available() {
		if addressless(name) {
			names = append(names, name)
		}
	}
	return names
}

// addressless says that messages of a channel go to somebody of the company, or to a program, and need no address of the
// customer.
func addressless(channel string) bool {
	f := FormOf(channel)
	return f != nil && f.Address == channels.NoAddress
}

// internal says that people of the company read a channel's messages, and the customer never: consent is not asked.
func internal(channel string) bool {
	f := FormOf(channel)
	return f != nil && f.Internal
}
