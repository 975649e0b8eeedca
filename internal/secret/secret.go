// Package secret is a text that is never printed by accident: passwords, and URLs that hold one.
package secret

// Text is a text that never prints itself: not by fmt, slog or a JSON or YAML encoder. Reveal gives it to whom it is for.
type Text string

// Reveal is the secret.
func (t Text) Reveal() string { return string(t) }

// String is a mask.
func (t Text) String() string { return "***" }

// GoString is a mask.
func (t Text) GoString() string { return "***" }

// MarshalText is a mask, for JSON, YAML and slog.
func (t Text) MarshalText() ([]byte, error) { return []byte("***"), nil }
