package sapa_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sapa-crm/sapa/"

// order is the import order: each folder may import only what stands behind it.
var order = []string{
	"cmd", "sandbox", "web", "metrics", "report", "campaign", "delivery", "response", "segment", "templates", "customer",
	"channels", "access", "migrations", "internal",
}

// Exceptions, each with its reason.
var exceptions = map[[2]string]string{
	{"internal/pgtest", "migrations"}: "only tests import pgtest; it clones migrated databases",
}

// leaves may import nothing of ours but what is named.
var leaves = map[string][]string{
	"channels":  {"channels", "internal"},
	"segment":   {"segment", "customer", "internal"},
	"templates": {"templates", "customer", "internal"},
}

type goFile struct {
	path, folder string // folder: the top-level one
	pkg          string
	doc          bool
	imports      []string
}

func TestImportOrder(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		for _, path := range f.imports {
			if to, ok := strings.CutPrefix(path, module); ok {
				checkImport(t, f, to)
			}
		}
	}
}

func checkImport(t *testing.T, f goFile, to string) {
	t.Helper()
	target := strings.SplitN(to, "/", 2)[0]
	dir := filepath.ToSlash(filepath.Dir(f.path))
	for _, from := range []string{f.folder, dir} {
		if _, ok := exceptions[[2]string{from, target}]; ok {
			return
		}
	}
	if allowed, leaf := leaves[f.folder]; leaf && !slices.Contains(allowed, target) {
		t.Errorf("%s imports %s; %s may import only %s", f.path, to, f.folder, strings.Join(allowed, ", "))
	}
	if slices.Index(order, target) < slices.Index(order, f.folder) {
		t.Errorf("%s imports %s, which stands before %s in the import order", f.path, to, f.folder)
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	t.Parallel()
	docs := map[string]bool{}
	for _, f := range goFiles(t) {
		if !strings.HasSuffix(f.path, "_test.go") {
			dir := filepath.Dir(f.path)
			docs[dir] = docs[dir] || f.doc
		}
	}
	for dir, ok := range docs {
		if !ok {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

func TestFoldersAreInTheOrder(t *testing.T) {
	t.Parallel()
	for _, f := range goFiles(t) {
		if f.folder != "." && !slices.Contains(order, f.folder) && f.folder != "bench" {
			t.Errorf("folder %s is not in the import order", f.folder)
		}
	}
}

func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		f := goFile{path: filepath.ToSlash(path), folder: strings.SplitN(filepath.ToSlash(path), "/", 2)[0], pkg: parsed.Name.Name, doc: parsed.Doc != nil}
		if filepath.Dir(path) == "." {
			f.folder = "."
		}
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, name)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
