package email

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start runs the server below a process of its own, which kills everything of it when this one ends, however it does, and
// waits for its greeting.
func (s *mailServer) start(program string, args ...string) {
	s.t.Helper()
	host := exec.Command(os.Args[0], slices.Concat([]string{"-test.run=^TestHostMailServer$", "--", "/usr/bin/env"}, s.names(), []string{filepath.Join(s.root, program)}, args)...)
	host.Env = []string{hostMark + "=1", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	host.Dir = s.dir
	var said bytes.Buffer
	host.Stdout, host.Stderr = &said, &said
	lifeline, err := host.StdinPipe()
	if err == nil {
		err = host.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = host.Wait(); close(ended) }()
	s.stop = func() { _ = lifeline.Close(); <-ended }
	s.t.Cleanup(s.stop)
	for deadline := time.Now().Add(20 * time.Second); !s.greets(); {
		select {
		case <-ended:
			s.t.Fatalf("the server ended: %s", said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the server does not greet")
		}
	}
}

// hostMark has TestHostMailServer run.
const hostMark = "SAPA_HOST_A_MAIL_SERVER"

// TestHostMailServer is no test but the process between us and a mail server.
func TestHostMailServer(t *testing.T) {
	if os.Getenv(hostMark) == "" {
		t.Skip("a process of other tests")
	}
	os.Exit(hostMailServer(flag.Args()))
}

// hostMailServer runs a command until it ends or standard input does, and takes all its descendants with it: those that
// lose their parent become its own children.
func hostMailServer(args []string) int {
	const setChildSubreaper = 36
	if _, _, no := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); no != 0 {
		fmt.Println("become a reaper of orphans:", no)
		return 1
	}
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	server, err := os.StartProcess(args[0], args, &os.ProcAttr{
		Env: []string{"PATH=" + os.Getenv("PATH")}, Files: []*os.File{nothing, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = syscall.Kill(server.Pid, syscall.SIGKILL)
	}()
	for over := false; ; {
		pid, err := syscall.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			return 0
		case pid == server.Pid:
			over = true
		}
		if over {
			killChildren()
		}
	}
}

func killChildren() {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range lists {
		text, _ := os.ReadFile(name)
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}
