package sandbox

import (
	"net/url"
	"strings"
)

// whatsAppPrefix stands before WhatsApp's numbers at Twilio.
const whatsAppPrefix = "whatsapp:"

// phoneChannel is the channel of a request for a message: of WhatsApp where either number says so.
func phoneChannel(form url.Values) string {
	if strings.HasPrefix(form.Get("To"), whatsAppPrefix) || strings.HasPrefix(form.Get("From"), whatsAppPrefix) {
		return ChannelWhatsApp
	}
	return ChannelSMS
}

// bareNumber is a number without the word before it.
func bareNumber(number string) string { return strings.TrimPrefix(number, whatsAppPrefix) }

// The flags of records that say which channel a message of Twilio's is of; without one it is a text.
func channelFlags(channel string) byte {
	switch channel {
	case ChannelWhatsApp:
		return flagWhatsApp
	case ChannelVoice:
		return flagVoice
	}
	return 0
}

// channelOf is the channel of a record's meta.
func channelOf(version, flags byte) string {
	switch {
	case version == mailVersion:
		return ChannelEmail
	case flags&flagWhatsApp != 0:
		return ChannelWhatsApp
	case flags&flagVoice != 0:
		return ChannelVoice
	}
	return ChannelSMS
}

// isChannel says whether a word is the name of a channel that messages here can be of.
func isChannel(word string) bool {
	switch word {
	case ChannelEmail, ChannelSMS, ChannelWhatsApp, ChannelVoice:
		return true
	}
	return false
}

// inboundURL is where what customers write on a channel goes: Config.InboundURL, with the channel's name in it.
func (s *Server) inboundURL(channel string) string {
	if channel != ChannelWhatsApp {
		return s.config.InboundURL
	}
	return strings.Replace(s.config.InboundURL, "/"+ChannelSMS+"/", "/"+ChannelWhatsApp+"/", 1)
}
