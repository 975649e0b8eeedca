package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/segment"
)

// Library finds applied versions and keeps them checked, since a version never changes. It is safe for concurrent use.
type Library struct {
	db     pg.DBTX
	schema *customer.Schema
	base   *segment.Rule

	mu       sync.Mutex
	versions map[int]*Campaign
}

// Base is customers.where, checked; nil for every row. Its problems point into sapa.yaml.
func Base(cfg *customer.Config, schema *customer.Schema) (*segment.Rule, diag.List) {
	base, problems := segment.Base(schema, segment.Text(schema.Where))
	return base, inYAML(cfg.File, "$.customers.where", schema.Where, problems)
}

// NewLibrary reads versions from db and checks them against the schema as it is today. base is Base's.
func NewLibrary(db pg.DBTX, schema *customer.Schema, base *segment.Rule) *Library {
	return &Library{db: db, schema: schema, base: base, versions: map[int]*Campaign{}}
}

// Base is customers.where; nil for every row.
func (l *Library) Base() *segment.Rule { return l.base }

// Content is what a version sends.
func (l *Library) Content(ctx context.Context, version int) (*delivery.Content, error) {
	c, err := l.version(ctx, version)
	if err != nil {
		return nil, err
	}
	return c.Content, nil
}

func (l *Library) version(ctx context.Context, id int) (*Campaign, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.versions[id]; ok {
		return c, nil
	}
	c, err := l.load(ctx, id)
	if err != nil {
		return nil, err
	}
	l.versions[id] = c
	return c, nil
}

func (l *Library) load(ctx context.Context, id int) (*Campaign, error) {
	var name, source string
	var number int
	var files map[string]string
	err := l.db.QueryRow(ctx, `
		select c.name, v.number, v.source, v.files from versions v join campaigns c on c.id = v.campaign_id where v.id = $1`, id).
		Scan(&name, &number, &source, &files)
	if err != nil {
		return nil, fmt.Errorf("read version %d: %w", id, err)
	}
	version := fmt.Sprintf("%s version %d", name, number)
	c, problems := check(version, source, versionFiles(files), l.schema, l.base, versionNames(version, files))
	if err := problems.Err(); err != nil {
		return nil, fmt.Errorf("version %d of %s does not fit sapa.yaml and the company's tables as they were when this process started:\n%w", number, name, err)
	}
	return c, l.checkLinks(ctx, id, c)
}

// checkLinks compares the links that the content has now with those of the version: a token names a link by its place.
func (l *Library) checkLinks(ctx context.Context, id int, c *Campaign) error {
	rows, _ := l.db.Query(ctx, `select part, position, url from links where version_id = $1 order by part, position`, id)
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByName[Link])
	if err != nil {
		return fmt.Errorf("read links of version %d: %w", id, err)
	}
	links := slices.Clone(c.Links)
	slices.SortFunc(links, func(a, b Link) int { return cmp.Or(strings.Compare(a.Part, b.Part), a.Position-b.Position) })
	if !slices.Equal(stored, links) {
		return fmt.Errorf("version %d of %s was applied by another release of Sapa, which numbered its links differently; apply it again: sapa apply", id, c.Name())
	}
	return nil
}

// versionFiles are the template files of a version: name → text.
type versionFiles map[string]string

// Open says that there is no such file: they are read whole.
func (versionFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadFile is the text of a file.
func (f versionFiles) ReadFile(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

// current is a campaign's newest version, and a run of it without time.
func (l *Library) current(ctx context.Context, name string) (*Campaign, *Run, error) {
	r := &Run{Campaign: name}
	err := l.db.QueryRow(ctx, `select id, version_id from campaigns where name = $1 and version_id is not null`, name).Scan(&r.CampaignID, &r.VersionID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, l.noVersion(ctx, name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read campaign %s: %w", name, err)
	}
	c, err := l.version(ctx, r.VersionID)
	return c, r, err
}

// noVersion is the error for a campaign that can't run: nobody has applied it, or nobody approved it.
func (l *Library) noVersion(ctx context.Context, name string) error {
	w, err := readWaiting(ctx, l.db, name, 0)
	if err == nil {
		return &unapprovedError{*w}
	}
	return fmt.Errorf("campaign %q: %w%s", name, ErrNotFound, l.hint(ctx, name))
}

func (l *Library) hint(ctx context.Context, name string) string {
	rows, _ := l.db.Query(ctx, `select name from campaigns where version_id is not null order by 1`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) == 0 {
		return "; no campaign has been applied yet: sapa apply"
	}
	hint := diag.DidYouMean(name, names)
	if hint == "" {
		hint = "the campaigns are listed by: sapa status --all"
	}
	return "; " + hint
}
