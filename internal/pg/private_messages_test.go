package pg_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/pg"
)

// privateError is what Private says about a folder, with the folder's name and the install command taken out.
func privateError(t *testing.T, opts pg.PrivateOptions) string {
	t.Helper()
	c, err := pg.Private(t.Context(), opts)
	if err == nil {
		t.Fatal("it started", c.Release())
	}
	text := strings.ReplaceAll(err.Error(), opts.Dir, "DIR")
	for _, major := range []int{9, 0} {
		text = strings.ReplaceAll(text, pg.InstallCommand(major), "INSTALL")
	}
	return text
}

// fakeBinaries is a folder of programs that answer --version and otherwise run a script.
func fakeBinaries(t *testing.T, version, script string) string {
	t.Helper()
	dir := shortTemp(t, os.Geteuid())
	text := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo \"postgres (PostgreSQL) " + version + "\"; exit; fi\n" + script + "\n"
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPrivateWithoutBinaries(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortTemp(t, os.Geteuid()), "cluster")
	got := privateError(t, pg.PrivateOptions{Dir: dir, BinDirs: []string{"/nonexistent"}})
	want := "private PostgreSQL in DIR: no PostgreSQL server programs (postgres, initdb) on this machine\n  install them with: INSTALL"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrivateOfAnotherMajor(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortTemp(t, os.Geteuid()), "cluster")
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.MkdirAll(data, 0o711), os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	bins := []string{fakeBinaries(t, "16.2", ""), fakeBinaries(t, "17beta1 (Fake 17~beta1)", "")}
	got := privateError(t, pg.PrivateOptions{Dir: dir, BinDirs: bins})
	want := "private PostgreSQL in DIR: the data in DIR/data was made by PostgreSQL 9, and this machine has 17beta1, 16.2\n" +
		"  install PostgreSQL 9 with: INSTALL\n  or, to begin with an empty database, rename that folder"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrivateTooOld(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortTemp(t, os.Geteuid()), "cluster")
	got := privateError(t, pg.PrivateOptions{Dir: dir, BinDirs: []string{fakeBinaries(t, "12.4", "")}})
	want := "private PostgreSQL in DIR: PostgreSQL 12.4 is too old; Sapa needs 13 or later\n  install a later one with: INSTALL"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPrivateDiskFull has an initdb that fails as on a full disk; nothing half made may stay.
func TestPrivateDiskFull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortTemp(t, os.Geteuid()), "cluster")
	bin := fakeBinaries(t, "15.3", `echo "creating subdirectories ... ok"; echo "half" >"${1#--pgdata=}/PG_VERSION"
echo "initdb: error: could not write file \"pg_wal/1\": No space left on device" >&2; exit 1`)
	got := privateError(t, pg.PrivateOptions{Dir: dir, BinDirs: []string{bin}})
	want := "private PostgreSQL in DIR: initdb (PostgreSQL 15.3): exit status 1\n" +
		"  initdb: error: could not write file \"pg_wal/1\": No space left on device"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	left, err := filepath.Glob(filepath.Join(dir, "data*"))
	if err != nil || len(left) > 0 {
		t.Errorf("half-made data: %v %v", left, err)
	}
}

// TestPrivateOutOfReach names a folder that the server's account can't enter, which only concerns root.
func TestPrivateOutOfReach(t *testing.T) {
	t.Parallel()
	acct, err := pg.ServerAccount()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user's server runs under the user's own account")
	}
	home := shortTemp(t, 0)
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	got := privateError(t, pg.PrivateOptions{Dir: filepath.Join(home, "shop")})
	want := "private PostgreSQL in DIR: account " + acct.Name + ", which runs PostgreSQL for root, can't enter " + home +
		"\n  name a folder that it can enter with SAPA_PG_DIR, such as /var/lib/sapa/shop"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPrivateForeignFolder meets a socket folder that somebody else could have prepared.
func TestPrivateForeignFolder(t *testing.T) {
	t.Parallel()
	dir := shortTemp(t, os.Geteuid())
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := privateError(t, pg.PrivateOptions{Dir: dir})
	if want := "private PostgreSQL in DIR: DIR/run is not a folder of account "; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
}

// TestPrivateInClosedCheckout runs Sapa in a project that other accounts can't enter, without SAPA_PG_DIR.
func TestPrivateInClosedCheckout(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	for _, who := range people(t) {
		t.Run(who.name, func(t *testing.T) {
			t.Parallel()
			project := filepath.Join(who.home, "closed", "shop")
			if err := os.MkdirAll(project, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{filepath.Dir(project), project} {
				if err := os.Chown(dir, int(who.uid), -1); err != nil {
					t.Fatal(err)
				}
			}
			cmd := who.command(t.Context())
			cmd.Dir = project
			cmd.Env = append(cmd.Env, "SAPA_PG_DIR=", "XDG_DATA_HOME=")
			p := mustPlay(t, cmd)
			t.Cleanup(func() {
				if err := os.RemoveAll(p.Dir); err != nil {
					t.Error(err)
				}
			})
			p.end(t)
			want := filepath.Join(who.home, ".local/share/sapa")
			if who.uid == 0 {
				want = "/var/lib/sapa"
			}
			if filepath.Dir(p.Dir) != want || !strings.HasPrefix(filepath.Base(p.Dir), "shop-") {
				t.Errorf("the cluster is in %s, not in %s/shop-…", p.Dir, want)
			}
		})
	}
}

func TestDefaultDir(t *testing.T) {
	t.Parallel()
	env := func(pairs map[string]string) func(string) string { return func(k string) string { return pairs[k] } }
	set, err := pg.DefaultDir("/p", env(map[string]string{"SAPA_PG_DIR": "/srv/x"}))
	if err != nil || set != "/srv/x" {
		t.Errorf("SAPA_PG_DIR: %s %v", set, err)
	}
	home := env(map[string]string{"HOME": "/home/ayu"})
	a, errA := pg.DefaultDir("/srv/a/Bengkel Maju, Solo: a name far too long for a socket", home)
	b, errB := pg.DefaultDir("/srv/b/Bengkel Maju, Solo: a name far too long for a socket", home)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Errorf("two projects share %s", a)
	}
	if name := filepath.Base(a); !strings.HasPrefix(name, "Bengkel-Maju-Solo-a-") || len(name) > 30 {
		t.Errorf("the folder is called %s", name)
	}
}

// TestPrivateLongPath has a folder whose socket path would be too long.
func TestPrivateLongPath(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	dir := filepath.Join(shortTemp(t, os.Geteuid()), strings.Repeat("long-", 20), "cluster")
	c, err := pg.Private(t.Context(), pg.PrivateOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	run := socketDir(t, c)
	t.Cleanup(func() {
		if err := os.RemoveAll(run); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(c.EnsureDatabase(t.Context(), "Shop's own"), c.EnsureDatabase(t.Context(), "Shop's own")); err != nil {
		t.Error(err)
	}
	pool, err := pg.Connect(t.Context(), c.URL("Shop's own"), pg.Options{})
	if err != nil {
		t.Error(err)
	} else {
		pool.Close()
	}
	if err := errors.Join(c.Release(), c.Release()); err != nil {
		t.Error(err)
	}
	if len(run) > 80 {
		t.Errorf("the socket is in %s", run)
	}
}
