package campaign_test

import (
	"errors"
	"slices"
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
	if channels, err := s.library.Channels(t.Context(), "all"); err != nil || !slices.Equal(channels, []string{"email"}) {
		t.Error(channels, err)
	}
	if channels, err := s.library.RunChannels(t.Context(), run.ID); err != nil || !slices.Equal(channels, []string{"sms"}) {
		t.Error(channels, err)
	}
	if _, err := s.library.Channels(t.Context(), "al"); !errors.Is(err, campaign.ErrNotFound) {
		t.Error(err)
	}
	if _, err := s.library.RunChannels(t.Context(), run.ID+1); !errors.Is(err, campaign.ErrNotFound) {
		t.Error(err)
	}
}
