package channels

// Kind is a channel as package kinds lists it: everything that the program must know of it.
type Kind struct {
	Form Form
	// Settings is a new pointer to the struct that the channel's section of sapa.yaml is read into, by package strictyaml.
	Settings func() any
	// Missing is what to write below channels: in sapa.yaml where there is no such section: `chat: {url: "https://…"}`.
	Missing string
	// Open makes the channel from what Settings gave. It does not connect. Its error is about the settings, and repeats no
	// secret of theirs.
	Open func(settings any) (Opened, error)
}

// Opened is a channel with what the engine asks about its account.
type Opened struct {
	Channel     Channel
	URL         string  // where it sends to; without public_url only addresses on this machine are used
	Rate        float64 // messages a second; 0 is as fast as it takes them
	Connections int     // sessions at once; 0 leaves it to the engine
}

// KindOf is a Kind whose settings are an S.
func KindOf[S any](form Form, missing string, open func(S) (Opened, error)) Kind {
	return Kind{
		Form: form, Missing: missing,
		Settings: func() any { return new(S) },
		Open:     func(settings any) (Opened, error) { return open(*settings.(*S)) },
	}
}
