package main

import (
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/kinds"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
)

// readSections reads the settings of the channels that package kinds lists, to find what is wrong with them.
func readSections(sections customer.Sections, list []channels.Kind) (problems diag.List) {
	for _, k := range list {
		if section := sections[k.Form.Channel]; section != nil {
			problems = append(problems, section.Decode(k.Settings())...)
		}
	}
	return problems
}

// kindAccounts are the registry's lines of the channels that package kinds lists.
func kindAccounts(sections customer.Sections, list []channels.Kind) (lines []registered) {
	for _, k := range list {
		section := sections[k.Form.Channel]
		open := func() (channels.Opened, error) {
			settings := k.Settings()
			if problems := section.Decode(settings); len(problems) > 0 {
				return channels.Opened{}, problems.Err()
			}
			return k.Open(settings)
		}
		lines = append(lines, registered{
			k.Form.Channel, section != nil,
			func() []string {
				if o, err := open(); err == nil {
					return []string{o.URL}
				}
				return nil // the error is account's
			},
			func() (delivery.Account, error) {
				o, err := open()
				return delivery.Account{Channel: o.Channel, Rate: o.Rate, Connections: o.Connections}, err
			},
			k.Missing,
		})
	}
	return lines
}

// kindsHere are the channels that package kinds lists: from a verb with a sandbox of its own, nothing goes by them.
func (s *session) kindsHere() []registered {
	if s.sandbox != nil {
		return nil
	}
	return kindAccounts(s.config.Channels.Further, kinds.All())
}
