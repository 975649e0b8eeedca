package calls

import "github.com/sapa-crm/sapa/channels"

// Name is the channel's word in campaign files.
const Name = "calls"

// The parts of a call's content.
const (
	Reason = "reason"
	Offer  = "offer"
	Script = "script"
)

// Form is how a call is written in a campaign file.
func Form() channels.Form {
	return channels.Form{
		Channel:    Name,
		About:      "A call that somebody of the company makes; it goes on their list",
		Example:    `calls: {reason: "Bought flowers last Mother's Day", offer: "10 % on roses", script: florist.call.liquid}`,
		Address:    channels.PhoneAddress,
		Repeatable: true,
		Parts: []channels.Part{
			{Key: Reason, About: "Why this customer is called, for the agent", Kind: channels.Line, Required: true},
			{Key: Offer, About: "What the agent may offer", Kind: channels.Line},
			{Key: Script, About: "What the agent says", Kind: channels.Text, Required: true},
		},
	}
}
