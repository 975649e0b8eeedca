package campaign

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/segment"
)

// Project is the checked campaigns of a folder with campaigns/ and templates/.
type Project struct {
	Campaigns []*Campaign // by name
	Segments  *Segments

	schema *customer.Schema
}

// LoadProject reads and checks every campaign and every segment of a project. All problems of all files are reported at
// once; the campaigns without problems are returned beside them. Rules may name the campaigns and topics of the project.
func LoadProject(dir fs.FS, schema *customer.Schema, base *segment.Rule) (*Project, diag.List, error) {
	return loadProject(dir, schema, base, Ledger{})
}

// Project is LoadProject for a project over the library's database: rules may also name what its ledger has.
func (l *Library) Project(ctx context.Context, dir fs.FS) (*Project, diag.List, error) {
	ledger, err := ReadLedger(ctx, l.db)
	if err != nil {
		return nil, nil, err
	}
	return loadProject(dir, l.schema, l.base, ledger)
}

func loadProject(dir fs.FS, schema *customer.Schema, base *segment.Rule, ledger Ledger) (*Project, diag.List, error) {
	names, err := campaignFiles(dir)
	if err != nil {
		return nil, nil, err
	}
	files, err := fs.Sub(dir, "templates")
	if err != nil {
		return nil, nil, fmt.Errorf("read templates: %w", err)
	}
	segments, problems, err := LoadSegments(dir, schema, ledger)
	if err != nil {
		return nil, nil, err
	}
	p := &Project{Segments: segments, schema: schema}
	seen := map[string]string{}
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, nil, fmt.Errorf("read campaigns: %w", err)
		}
		c, list := check(name, string(text), files, schema, base, segments.Names)
		problems = append(problems, list...)
		if c == nil {
			continue
		}
		if other, twice := seen[c.Name()]; twice {
			problems = append(problems, c.File.Problem("$.campaign", "give one of them another name", "campaign %q is in %s, too", c.Name(), other))
			continue
		}
		seen[c.Name()] = name
		p.Campaigns = append(p.Campaigns, c)
	}
	return p, withoutRepeats(problems), nil
}

// withoutRepeats says once what is wrong with a template that several campaigns use.
func withoutRepeats(problems diag.List) diag.List {
	seen := map[string]bool{}
	return slices.DeleteFunc(problems, func(p diag.Problem) bool {
		text := p.String()
		twice := seen[text]
		seen[text] = true
		return twice
	})
}

// campaignFiles lists campaigns/*.yaml. That there is no such folder is an error: it is the wrong place.
func campaignFiles(dir fs.FS) ([]string, error) {
	names, err := yamlFiles(dir, "campaigns")
	if err != nil {
		return nil, fmt.Errorf("no folder campaigns/ here: go to your project's folder, name it with --project, or make one with sapa init: %w", err)
	}
	return names, nil
}

// yamlFiles lists the YAML files of a folder of the project.
func yamlFiles(dir fs.FS, folder string) ([]string, error) {
	entries, err := fs.ReadDir(dir, folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ext := path.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, path.Join(folder, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Find is the campaign of that name.
func (p *Project) Find(name string) (*Campaign, error) {
	var names []string
	for _, c := range p.Campaigns {
		if c.Name() == name {
			return c, nil
		}
		names = append(names, c.Name())
	}
	return nil, fmt.Errorf("campaign %q: %w; %s", name, ErrNotFound, diag.DidYouMean(name, names))
}
