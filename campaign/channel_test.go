package campaign_test

import (
	"errors"
	"testing"

	"github.com/sapa-crm/sapa/campaign"
)

// The channel of a campaign is that of its newest version; a run keeps that of its own.
func TestChannelOfCampaignAndRun(t *testing.T) {
	t.Parallel()
	s, _ := phones(t)
	s.apply("all", "campaign: all\naudience: {where: \"true\"}\ncontent: {sms: {text: Halo}}\n", nil)
	run, _ := s.start("all")
	s.apply("all", "campaign: all\naudience: {where: \"true\"}\ncontent: {email: {subject: Halo, text: Halo}}\n", nil)
	if channel, err := s.library.Channel(t.Context(), "all"); err != nil || channel != "email" {
		t.Error(channel, err)
	}
	if channel, err := s.library.RunChannel(t.Context(), run.ID); err != nil || channel != "sms" {
		t.Error(channel, err)
	}
	if _, err := s.library.Channel(t.Context(), "al"); !errors.Is(err, campaign.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.library.RunChannel(t.Context(), run.ID+1); !errors.Is(err, campaign.ErrNotFound) {
		t.Error(err)
	}
}
