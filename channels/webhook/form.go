package webhook

import "github.com/sapa-crm/sapa/channels"

// Form says what a campaign writes below content: webhook:
func Form() channels.Form {
	return channels.Form{
		Channel:    "webhook",
		About:      "A signed request to a program of the company's (Standard Webhooks)",
		Example:    `webhook: {data: {plate: "{{ vehicle.plate }}", due: "{{ vehicle.next_service_on }}"}}`,
		Address:    channels.NoAddress,
		Repeatable: true,
		Parts: []channels.Part{
			{Key: "data", Kind: channels.Values, About: "Names and their texts, which become strings of the request's JSON"},
			{Key: "text", Kind: channels.Text, About: "A text for people, if the receiver shows one"},
		},
	}
}
