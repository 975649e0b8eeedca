package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/templates"
)

// layoutSuffix is how the file of a layout is named.
const layoutSuffix = ".mjml.liquid"

func newLayoutsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "layouts [NAME…]",
		Short: "Write mails to begin with into templates/: greeting, reminder, offer",
		Long: `Lists the mails that Sapa brings along, or writes those that you name into templates/, for you
to put your own words, colors and columns there. They are written in MJML, look right on
phones and computers, in light and in dark, and without images. A campaign names one with
html: greeting.mjml.liquid. A file that is there already is an error, and then nothing is
written. "sapa init" writes all of them.`,
		RunE: func(_ *cobra.Command, args []string) error { return runLayouts(a, args) },
	}
}

func runLayouts(a *app, names []string) error {
	layouts, err := templates.Layouts()
	if err != nil {
		return err
	}
	known := slices.Sorted(maps.Keys(layouts))
	for i, name := range known {
		known[i] = strings.TrimSuffix(name, layoutSuffix)
	}
	if len(names) == 0 {
		for _, name := range known {
			fmt.Fprintf(a.stdout, "%-9s %s\n", name, aboutLayout(layouts[name+layoutSuffix]))
		}
		fmt.Fprintln(a.stdout, "to have them in templates/: sapa layouts NAME…")
		return nil
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no layout %q; %s", name, diag.DidYouMean(name, known))
		}
		switch _, err := os.Lstat(layoutFile(a.dir, name)); {
		case err == nil:
			return fmt.Errorf("%s is there already; nothing was written: name it in a campaign as it is, or move it away first", layoutFile(a.dir, name))
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("write layouts: %w", err)
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		file := layoutFile(a.dir, name)
		if err := writeFile(file, layouts[name+layoutSuffix]); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s: name it in a campaign: html: %s\n", file, path.Base(filepath.ToSlash(file)))
	}
	return nil
}

func layoutFile(dir, name string) string {
	return filepath.Join(dir, "templates", name+layoutSuffix)
}

// aboutLayout is the first line of the note with which a layout begins.
func aboutLayout(text string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(text, "<!-- "), "\n")
	return first
}
