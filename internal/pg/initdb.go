package pg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Superuser is the role that owns a cluster made by InitDB.
const Superuser = "sapa"

// InitDB makes a cluster in folder data, which must not exist while its parent must. It is made beside its place and renamed, so
// that data is never half made. Its text is UTF-8, ordered by bytes, with Unicode's upper and lower case where the
// system can; whoever reaches its socket is trusted, so the socket's folder must be closed to others. An error
// carries initdb's words. Extra arguments, such as --no-sync, are passed on.
func InitDB(ctx context.Context, bin Binaries, acct Account, data string, extra ...string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(data), filepath.Base(data)+".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // after the rename there is nothing left
	if err := acct.Own(tmp); err != nil {
		return err
	}
	err = runInitDB(ctx, bin, acct, tmp, append(unicodeLocale(bin.Major), extra...))
	if err != nil && strings.Contains(err.Error(), "locale") {
		err = runInitDB(ctx, bin, acct, tmp, append([]string{"--locale=C"}, extra...))
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp, data)
}

// unicodeLocale orders text by bytes, yet knows that É is the upper case of é.
func unicodeLocale(major int) []string {
	if major >= 17 {
		return []string{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}
	}
	return []string{"--locale=C", "--lc-ctype=C.UTF-8"}
}

func runInitDB(ctx context.Context, bin Binaries, acct Account, dir string, extra []string) error {
	args := append([]string{
		"--pgdata=" + dir, "--username=" + Superuser, "--encoding=UTF8",
		"--auth-local=trust", "--auth-host=reject",
	}, extra...)
	out, err := acct.Command(ctx, "/", bin.Path("initdb"), args...).CombinedOutput()
	if err == nil {
		return nil
	}
	return fmt.Errorf("initdb (PostgreSQL %s): %w\n%s", bin.Version, err, indent(errorLines(string(out))))
}

// errorLines are the lines of a program's output that complain, or all of them.
func errorLines(out string) string {
	var kept []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "error:") || strings.Contains(line, "FATAL") || strings.Contains(line, "DETAIL") ||
			strings.Contains(line, "HINT") || strings.Contains(line, "could not") {
			kept = append(kept, strings.TrimRight(line, "\n"))
		}
	}
	if len(kept) == 0 {
		return strings.TrimSpace(out)
	}
	return strings.Join(kept, "\n")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}
