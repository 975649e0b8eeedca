package alert

import "github.com/sapa-crm/sapa/channels"

// Form says what a campaign writes below content: alert:
func Form() channels.Form {
	return channels.Form{
		Channel:    "alert",
		About:      "A notice to somebody of the company, on the page of a desk",
		Example:    `alert: {to: front-desk, title: "{{ customer.name }} has a birthday today", text: "Congratulate, and offer a drink."}`,
		Address:    channels.NoAddress,
		Repeatable: true,
		Internal:   true,
		Parts: []channels.Part{
			{Key: "to", Kind: channels.Constant, Required: true, About: "The desk, as channels.alert.desks of sapa.yaml names it", Check: checkDesk, Pattern: deskForm, Desk: true},
			{Key: "title", Kind: channels.Line, Required: true, About: "What it is about, in one line"},
			{Key: "text", Kind: channels.Text, About: "What to know and to do"},
		},
	}
}
