// Package kinds lists the channels that need nothing of the program but what a Kind says: one line makes one known to
// sapa.yaml, to campaign files and their completion, and to the engine. docs/adding-a-channel.md shows how one is made.
package kinds

import "github.com/sapa-crm/sapa/channels"

// All are the channels, in the order in which they are listed.
func All() []channels.Kind {
	return []channels.Kind{
		// chat.Kind(),
	}
}

// Names are the words of the channels in sapa.yaml and in campaign files.
func Names(list []channels.Kind) []string {
	names := make([]string, len(list))
	for i, k := range list {
		names[i] = k.Form.Channel
	}
	return names
}
