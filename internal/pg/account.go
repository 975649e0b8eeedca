package pg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Account is the operating-system account that the server programs run under: our own, or another one when we are root,
// because PostgreSQL refuses to run as root.
type Account struct {
	Name     string
	UID, GID int
	switched bool // another account than ours
}

// ServerAccount is our own account, or for root "postgres", else "nobody".
func ServerAccount() (Account, error) {
	if os.Geteuid() != 0 {
		return Account{Name: strconv.Itoa(os.Geteuid()), UID: os.Geteuid(), GID: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil && uid != 0 {
			return Account{Name: name, UID: uid, GID: gid, switched: true}, nil
		}
	}
	return Account{}, errors.New("PostgreSQL does not run as root, and there is neither an account \"postgres\" nor \"nobody\"\n" +
		"  run Sapa as an ordinary user, or add one with: useradd --system postgres")
}

// Command prepares a program that runs under the account, in a session of its own, so that a Ctrl-C in our terminal does
// not reach it, in folder dir, with an environment free of PG* variables.
func (a Account) Command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = serverEnv(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID)}
	}
	return cmd
}

// serverEnv drops the variables that would change what server programs do or say.
func serverEnv(env []string) []string {
	kept := []string{"LC_ALL=C", "LC_MESSAGES=C", "TZ=UTC"}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if name == "PATH" || name == "HOME" || strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "DYLD_") {
			kept = append(kept, kv)
		}
	}
	return kept
}

// Own gives a file or folder to the account.
func (a Account) Own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Lchown(path, a.UID, a.GID)
}

// CanEnter says which folder on the way to path, if any, the account may not pass through. Folders that do not exist
// yet don't count.
func (a Account) CanEnter(path string) error {
	if !a.switched {
		return nil
	}
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !a.mayPass(info) {
			return fmt.Errorf("account %s, which runs PostgreSQL for root, can't enter %s", a.Name, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a Account) mayPass(info os.FileInfo) bool {
	bit := os.FileMode(0o001)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case int(st.Uid) == a.UID:
			bit = 0o100
		case int(st.Gid) == a.GID:
			bit = 0o010
		}
	}
	return info.Mode().Perm()&bit != 0
}
