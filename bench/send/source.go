package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// source is Postfix's smtp-source, and the folder of libraries that it needs besides the system's.
type source struct {
	program   string
	libraries string
}

// findSource looks for smtp-source on the system; where there is none it takes Debian's package apart in a folder.
func findSource(ctx context.Context, dir string) (*source, error) {
	for _, name := range []string{"smtp-source", "/usr/sbin/smtp-source"} {
		if path, err := exec.LookPath(name); err == nil {
			return &source{program: path}, nil
		}
	}
	if err := unpack(ctx, dir, "postfix"); err != nil {
		return nil, err
	}
	s := &source{program: filepath.Join(dir, "usr/sbin/smtp-source"), libraries: filepath.Join(dir, "usr/lib/postfix")}
	if out, err := s.command(ctx).CombinedOutput(); !strings.Contains(string(out), "usage:") { // it wants arguments
		return nil, fmt.Errorf("run smtp-source: %w %s", err, out)
	}
	return s, nil
}

// unpack fetches a package of Debian or Ubuntu, without installing it, and takes it apart in a folder.
func unpack(ctx context.Context, dir, name string) error {
	archives := filepath.Join(dir, "packages")
	if err := os.MkdirAll(archives, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(archives, 0o777); err != nil { // apt-get downloads as an account of its own
		return err
	}
	fetch := exec.CommandContext(ctx, "apt-get", "download", "-qq", name)
	fetch.Dir = archives
	if out, err := fetch.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch the package %s: %w %s", name, err, out)
	}
	found, _ := filepath.Glob(filepath.Join(archives, "*.deb"))
	for _, archive := range found {
		if out, err := exec.CommandContext(ctx, "dpkg", "-x", archive, dir).CombinedOutput(); err != nil {
			return fmt.Errorf("take the package %s apart: %w %s", name, err, out)
		}
	}
	return nil
}

func (s *source) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program, args...)
	if s.libraries != "" {
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+s.libraries)
	}
	return cmd
}

// sourceHeader is how many octets smtp-source itself puts before what -l asks for: From, To, Date, Message-ID and an empty line.
const sourceHeader = 149

// send is the command that sends messages of so many octets over kept connections.
func (s *source) send(ctx context.Context, addr string, messages, connections, octets int) *exec.Cmd {
	return s.command(ctx, "-d", "-s", strconv.Itoa(connections), "-m", strconv.Itoa(messages), "-l", strconv.Itoa(octets-sourceHeader),
		"-M", "bench.example", "-f", "bench@sender.example", "-t", "person@mail.example", addr)
}
