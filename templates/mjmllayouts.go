package templates

import (
	"embed"
	"fmt"
	"path"
)

//go:embed layouts/*.mjml.liquid
var layoutFiles embed.FS

// Layouts are mails to begin with, in MJML, by the names that they have in templates/ of a project:
// greeting.mjml.liquid, reminder.mjml.liquid (of one vehicle), offer.mjml.liquid.
func Layouts() (map[string]string, error) {
	entries, err := layoutFiles.ReadDir("layouts")
	if err != nil {
		return nil, fmt.Errorf("read layouts: %w", err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := layoutFiles.ReadFile(path.Join("layouts", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read layouts: %w", err)
		}
		files[e.Name()] = string(text)
	}
	return files, nil
}
