package main

import (
	"slices"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// withoutAccount are warnings of campaigns that go by a channel of which sapa.yaml has no account: it is no mistake in the file,
// but nothing can be sent by it.
func (s *session) withoutAccount(campaigns []*campaign.Campaign) diag.List {
	missing := map[string]string{}
	for _, r := range s.registry() {
		if !r.present {
			missing[r.name] = r.missing
		}
	}
	var list diag.List
	for _, c := range campaigns {
		for i, channel := range c.Channels() {
			example, ok := missing[channel]
			if !ok || slices.Contains(c.Channels()[:i], channel) {
				continue
			}
			at := "$.content." + channel
			if c.File.Has("$.channels") {
				at = strictyaml.Index("$.channels", i)
			}
			list = append(list, c.File.Problem(at, "in sapa.yaml, below channels:, write  "+example, "nothing can go by %s: sapa.yaml has no account for it", channel))
		}
	}
	return list
}
