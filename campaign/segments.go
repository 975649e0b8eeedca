package campaign

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/strictyaml"
	"github.com/sapa-crm/sapa/segment"
)

// SegmentDefinition is a file of segments/ as written.
type SegmentDefinition struct {
	Segment     string `yaml:"segment,required" jsonschema:"required" jsonschema_description:"The segment's name; the file has the same: regulars is regulars.yaml"`
	Description string `yaml:"description" jsonschema_description:"Who that is, in words for colleagues"`
	Owner       string `yaml:"owner" jsonschema_description:"Who answers for the rule: a person or a team"`
	Where       string `yaml:"where,required" jsonschema:"required" jsonschema_description:"The rule that says who belongs to it"`
}

// Segment is a named rule, checked.
type Segment struct {
	Definition SegmentDefinition
	File       *strictyaml.File
	Rule       *segment.Rule // nil where it has problems
}

// Segments are the named segments of a project, and with them all that its rules may name.
type Segments struct {
	List  []*Segment // by name
	Names *segment.Names
}

// Ledger is what the ledger knows that rules may name, besides what is in the project.
type Ledger struct {
	Campaigns []string
	Topics    []string
}

// ReadLedger reads the names of all campaigns that were ever applied, and their topics. There are none before the database
// was migrated.
func ReadLedger(ctx context.Context, db pg.DBTX) (l Ledger, err error) {
	var migrated bool
	if err = db.QueryRow(ctx, `select to_regclass('campaigns') is not null and to_regclass('versions') is not null`).Scan(&migrated); err != nil || !migrated {
		return l, err
	}
	rows, _ := db.Query(ctx, `select name from campaigns order by 1`)
	if l.Campaigns, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return l, fmt.Errorf("read the names of campaigns: %w", err)
	}
	rows, _ = db.Query(ctx, `select distinct topic from versions order by 1`)
	if l.Topics, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return l, fmt.Errorf("read the topics of campaigns: %w", err)
	}
	return l, nil
}

// LoadSegments reads and checks segments/*.yaml of a project; that there are none is no mistake. All problems of all files
// are reported at once. Segments with problems stay in the list, so that what uses them says the same and no more.
func LoadSegments(dir fs.FS, schema *customer.Schema, ledger Ledger) (*Segments, diag.List, error) {
	names, err := projectNames(dir, schema, ledger)
	if err != nil {
		return nil, nil, err
	}
	files, err := yamlFiles(dir, "segments")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read segments: %w", err)
	}
	s, problems := &Segments{Names: names}, diag.List(nil)
	for _, name := range files {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, nil, fmt.Errorf("read segments: %w", err)
		}
		one, list := readSegment(name, string(text))
		if _, twice := names.Segments[one.Name()]; twice {
			list = append(list, one.File.Problem("$.segment", "give one of them another name", "segment %q is in another file, too", one.Name()))
			one.Definition.Segment = ""
		}
		problems = append(problems, list...)
		if one.usable() {
			names.Segments[one.Name()] = segment.NamedRule{Text: one.Definition.Where, Place: one.place}
			s.List = append(s.List, one)
		}
	}
	for _, one := range s.List {
		var list diag.List
		one.Rule, list = segment.ParseSegment(one.Name(), schema, names)
		problems = append(problems, list...)
	}
	slices.SortFunc(s.List, func(a, b *Segment) int { return strings.Compare(a.Name(), b.Name()) })
	return s, withoutRepeats(problems), nil
}

// Name is the segment's name.
func (s *Segment) Name() string { return s.Definition.Segment }

// usable says whether there is a name and a rule, right or wrong.
func (s *Segment) usable() bool {
	return s.Name() != "" && strings.TrimSpace(s.Definition.Where) != ""
}

// Find is the segment of that name.
func (s *Segments) Find(name string) (*Segment, error) {
	var names []string
	for _, one := range s.List {
		if one.Name() == name {
			return one, nil
		}
		names = append(names, one.Name())
	}
	hint := diag.DidYouMean(name, names)
	if len(names) == 0 {
		hint = "there are none yet: make one as segments/" + name + ".yaml"
	}
	return nil, fmt.Errorf("segment %q: %w; %s", name, ErrNotFound, hint)
}

// IsSegmentName tells the name of a segment from a rule: true, false and nil are rules, or want to be.
func IsSegmentName(text string) bool {
	return nameForm.MatchString(text) && !slices.Contains([]string{"true", "false", "nil"}, text)
}

// readSegment reads one file, without its rule.
func readSegment(name, text string) (*Segment, diag.List) {
	f, problems := strictyaml.Parse(name, text)
	s := &Segment{File: f}
	if len(problems) > 0 {
		return s, problems
	}
	k := &checker{f: f}
	k.add(f.Decode(&s.Definition)...)
	if root, ok := f.Root(); ok {
		k.checkEmpty("", root)
	}
	k.checkStem("$.segment", "segment", s.Name())
	return s, k.problems
}

// place moves problems of the rule to where it stands.
func (s *Segment) place(problems diag.List) diag.List {
	const where = "$.where"
	k := &checker{f: s.File}
	for i := range problems {
		if k.cutShort(where, s.Definition.Where) && problems[i].Span.Line > 0 {
			problems[i].Hint = cutHint
		}
	}
	return inYAML(s.File, where, s.Definition.Where, problems)
}

// projectNames are the campaigns and topics that rules may name.
func projectNames(dir fs.FS, schema *customer.Schema, ledger Ledger) (*segment.Names, error) {
	n := &segment.Names{Segments: map[string]segment.NamedRule{}, Campaigns: []string{}, Topics: []string{}}
	n.Campaigns, n.Topics = append(n.Campaigns, ledger.Campaigns...), append(n.Topics, ledger.Topics...)
	for _, t := range schema.Topics {
		n.Topics = append(n.Topics, t.Name)
	}
	files, err := yamlFiles(dir, "campaigns")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read campaigns: %w", err)
	}
	for _, name := range files {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("read campaigns: %w", err)
		}
		stem := strings.TrimSuffix(path.Base(name), path.Ext(name))
		topic := stem
		f, _ := strictyaml.Parse(name, string(text))
		for _, at := range []string{"$.confirms", "$.topic"} {
			if given, _, ok := f.Scalar(at); ok && given != "" {
				topic = given
			}
		}
		n.Campaigns, n.Topics = append(n.Campaigns, stem), append(n.Topics, topic)
	}
	slices.Sort(n.Campaigns)
	slices.Sort(n.Topics)
	n.Campaigns, n.Topics = slices.Compact(n.Campaigns), slices.Compact(n.Topics)
	return n, nil
}

// segmentFiles is the folder of segments among a version's files: a version keeps the rules of the segments that it uses,
// by their names below it.
const segmentFiles = "segments/"

// keepSegments keeps the rules of the segments that a rule of the campaign uses.
func (k *checker) keepSegments(used []string) {
	for _, name := range used {
		k.c.Files[segmentFiles+name] = k.names.Segments[name].Text
	}
}

// Segments are the names of the segments that the campaign's rules use, sorted.
func (c *Campaign) Segments() []string { return segmentsOf(c.Files) }

// isSegmentFile tells a segment's rule from a template, whose name ends in .liquid.
func isSegmentFile(name string) bool {
	return strings.HasPrefix(name, segmentFiles) && !strings.HasSuffix(name, ".liquid")
}

func segmentsOf(files map[string]string) []string {
	var names []string
	for name := range files {
		if isSegmentFile(name) {
			names = append(names, strings.TrimPrefix(name, segmentFiles))
		}
	}
	slices.Sort(names)
	return names
}

// versionNames are the segments that a version was applied with. Its campaigns and topics were checked then.
func versionNames(version string, files map[string]string) *segment.Names {
	n := &segment.Names{Segments: map[string]segment.NamedRule{}}
	for _, name := range segmentsOf(files) {
		source := &diag.Source{Name: version + ", segment " + name, Text: files[segmentFiles+name]}
		n.Segments[name] = segment.NamedRule{Text: source.Text, Place: func(problems diag.List) diag.List {
			for i := range problems {
				problems[i].Source = source
			}
			return problems
		}}
	}
	return n
}

// changedSegments are the segments that both versions have, with different rules.
func changedSegments(before, after map[string]string) []string {
	var changed []string
	for _, name := range append(segmentsOf(before), segmentsOf(after)...) {
		was, had := before[segmentFiles+name]
		is, has := after[segmentFiles+name]
		if had && has && was != is && !slices.Contains(changed, name) {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}
