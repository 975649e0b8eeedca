package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Binaries are the server programs of one PostgreSQL installation.
type Binaries struct {
	Dir     string // the folder that holds postgres and initdb
	Major   int    // as in 15
	Version string // as in 15.18
}

// Path is the full path of a program, such as "postgres".
func (b Binaries) Path(program string) string { return filepath.Join(b.Dir, program) }

// ErrNoBinaries says that PostgreSQL is not installed, and how to install it.
var ErrNoBinaries = errors.New("no PostgreSQL server programs (postgres, initdb) on this machine")

// MinMajor is the oldest PostgreSQL that Sapa works with.
const MinMajor = 13

// installDirs are where the packages of Debian, Red Hat, Alpine, Arch, Homebrew, MacPorts, Postgres.app and the BSDs put
// the server programs.
var installDirs = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/libexec/postgresql*",
	"/usr/lib64/postgresql*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
	"/opt/local/lib/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/usr/local/pgsql/bin",
	"/usr/local/bin",
}

// Installed lists the PostgreSQL installations of this machine, the newest first: on PATH, where pg_config points, and in
// the usual folders.
func Installed(ctx context.Context) []Binaries {
	var dirs []string
	for _, program := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(program); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range installDirs {
		found, _ := filepath.Glob(pattern) // the only error is a bad pattern
		dirs = append(dirs, found...)
	}
	return inspect(ctx, dirs)
}

// inspect keeps the folders that hold a server we can use, the newest major first, each folder once.
func inspect(ctx context.Context, dirs []string) []Binaries {
	var list []Binaries
	seen := map[string]bool{}
	for _, dir := range dirs {
		dir = home(dir)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if b, err := inspectDir(ctx, dir); err == nil {
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b Binaries) int { return b.Major - a.Major })
	return list
}

// home is the folder where the programs really are, for a folder of links to them.
func home(dir string) string {
	real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return dir
	}
	if _, err := exec.LookPath(filepath.Join(filepath.Dir(real), "initdb")); err != nil {
		return dir
	}
	return filepath.Dir(real)
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

func inspectDir(ctx context.Context, dir string) (Binaries, error) {
	if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
		return Binaries{}, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Binaries{}, err
	}
	m := versionPattern.FindStringSubmatch(string(out))
	if m == nil {
		return Binaries{}, fmt.Errorf("%s: unreadable version %q", dir, out)
	}
	major, err := strconv.Atoi(m[2])
	return Binaries{Dir: dir, Major: major, Version: m[1]}, err
}

// choose takes the newest installation, or the newest of the wanted major where that is not 0.
func choose(list []Binaries, major int) (Binaries, error) {
	if len(list) == 0 {
		return Binaries{}, fmt.Errorf("%w\n  install them with: %s", ErrNoBinaries, InstallCommand(0))
	}
	i := slices.IndexFunc(list, func(b Binaries) bool { return major == 0 || b.Major == major })
	if i >= 0 {
		return list[i], nil
	}
	var have []string
	for _, b := range list {
		have = append(have, b.Version)
	}
	return Binaries{}, &MajorError{Want: major, Have: strings.Join(have, ", ")}
}

// MajorError says that data of one major version of PostgreSQL can't be opened by the versions installed here.
type MajorError struct {
	Want int    // the data's major version
	Have string // the versions installed
	Dir  string // the data's folder
}

// Error says what to do: install the version, or begin anew.
func (e *MajorError) Error() string {
	return fmt.Sprintf("the data in %s was made by PostgreSQL %d, and this machine has %s\n"+
		"  install PostgreSQL %d with: %s\n  or, to begin with an empty database, rename that folder",
		e.Dir, e.Want, e.Have, e.Want, InstallCommand(e.Want))
}

// InstallCommand is the command that installs PostgreSQL on this system; major 0 means any version.
func InstallCommand(major int) string {
	suffix := func(format string) string {
		if major == 0 {
			return ""
		}
		return fmt.Sprintf(format, major)
	}
	for _, m := range []struct{ program, command string }{
		{"brew", "brew install postgresql" + cmpOr(suffix("@%d"), "@17")},
		{"apt-get", "apt-get install postgresql" + suffix("-%d")},
		{"dnf", "dnf install postgresql" + suffix("%d") + "-server"},
		{"yum", "yum install postgresql" + suffix("%d") + "-server"},
		{"zypper", "zypper install postgresql" + suffix("%d") + "-server"},
		{"apk", "apk add postgresql" + suffix("%d")},
		{"pacman", "pacman -S postgresql"},
	} {
		if _, err := exec.LookPath(m.program); err == nil {
			return sudo(m.program) + m.command
		}
	}
	return "see https://www.postgresql.org/download/"
}

func sudo(program string) string {
	if os.Geteuid() == 0 || program == "brew" || runtime.GOOS == "darwin" {
		return ""
	}
	return "sudo "
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// FindBinaries is the newest installation on this machine, or the newest of the wanted major version where that is not
// 0. The errors are ErrNoBinaries and *MajorError.
func FindBinaries(ctx context.Context, major int) (Binaries, error) {
	return choose(Installed(ctx), major)
}
