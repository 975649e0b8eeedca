package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/sandbox/workshop"
	"github.com/sapa-crm/sapa/templates"
)

func newInitCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FOLDER]",
		Short: "Write a project with starters: birthday, oil change (by mail and by text), up-sell, calls, an alert",
		Long: `Writes a project that works at once, over small sample files: sapa.yaml, campaigns/,
templates/, data/; in templates/ also the mails of "sapa layouts", for campaigns of your own.
Begin with the commands that it prints, then put your own tables into sapa.yaml and your own
words into the campaigns. A file that is there already is an error, and then nothing is
written.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := a.dir
			if len(args) == 1 {
				dir = args[0]
			}
			return runInit(a, dir)
		},
	}
}

// schemaLine tells editors with the YAML language server where the JSON Schema is.
const schemaLine = "# yaml-language-server: $schema=.schema.json\n"

func runInit(a *app, dir string) error {
	files, err := starterFiles()
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already; nothing was written. Name another folder: sapa init FOLDER", path)
		}
	}
	for _, name := range names {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), files[name]); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stdout, starterText, dir, len(names), enter(dir))
	return nil
}

func starterFiles() (map[string]string, error) {
	files, err := workshop.Starter()
	if err != nil {
		return nil, err
	}
	for name, text := range files {
		if strings.HasPrefix(name, "campaigns/") || strings.HasPrefix(name, "segments/") {
			files[name] = schemaLine + text
		}
	}
	segments, err := campaign.SegmentSchema()
	if err != nil {
		return nil, err
	}
	files["segments/.schema.json"] = string(segments)
	schema, err := campaign.JSONSchema()
	if err != nil {
		return nil, err
	}
	files["campaigns/.schema.json"] = string(schema)
	layouts, err := templates.Layouts()
	if err != nil {
		return nil, err
	}
	for name, text := range layouts {
		files["templates/"+name] = text
	}
	files[".gitignore"] = "/.sapa/\n*.rejects.csv\n"
	return files, nil
}

// enter is the command that goes to the project; nothing when we are there.
func enter(dir string) string {
	if filepath.Clean(dir) == "." {
		return ""
	}
	return "  cd " + dir + "\n"
}

const starterText = `%s: %d files of a car workshop with 60 customers. Begin with:

%s  sapa import data/customers.csv --table customers --key id
  sapa import data/vehicles.csv --table vehicles --key id
  sapa import data/services.csv --table services --key id
  sapa import data/orders.csv --table orders --key id
  sapa validate
  sapa segment list 'birthday(customer.birth_date)' --as-of 2026-11-22
  sapa preview birthday --as-of 2026-11-22
  sapa preview oil-change-sms --as-of 2026-11-22

To send to a mail server and a Twilio that deliver nothing, in another terminal: sapa sandbox; then

  sapa apply
  sapa run birthday --as-of 2026-11-22
  sapa report birthday
`
