package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// child is this program as another process: a JSON value on its standard input tells it what to do.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func spawn(ctx context.Context, role string, what any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self)}
	c.cmd.Env = append(os.Environ(), roleEnv+"="+role)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, c.tell(what)
}

func (c *child) tell(what any) error { return json.NewEncoder(c.in).Encode(what) }

// cpu is the processor time that a process which has ended took.
func cpu(ended *exec.Cmd) time.Duration {
	return ended.ProcessState.UserTime() + ended.ProcessState.SystemTime()
}

// postgresCPU is what the cluster's processes have taken so far, those that have ended among them.
func (b *bench) postgresCPU() (time.Duration, error) {
	pid, err := os.ReadFile(filepath.Join(b.cluster.Dir(), "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return 0, err
	}
	for { // until none has ended between the look at the postmaster and that at its children
		before, err := cpuOf(postmaster)
		if err != nil {
			return 0, err
		}
		children := cpuOfChildren(first)
		after, err := cpuOf(postmaster)
		if err != nil || before == after {
			return after + children, err
		}
	}
}

// cpuOfChildren is the processor time of the children that a process has now.
func cpuOfChildren(parent string) (total time.Duration) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		if fields, err := stat(path); err == nil && fields[1] == parent {
			total += ticks(fields)
		}
	}
	return total
}

// cpuOf is the processor time of a process and of its children that have ended.
func cpuOf(pid int) (time.Duration, error) {
	fields, err := stat(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return ticks(fields), nil
}

// ticks is the time in utime, stime, cutime and cstime.
func ticks(stat []string) time.Duration {
	var sum int64
	for _, field := range stat[11:15] {
		n, _ := strconv.ParseInt(field, 10, 64)
		sum += n
	}
	return time.Duration(sum) * time.Second / 100
}

// stat is the fields of /proc/PID/stat behind the program's name.
func stat(path string) ([]string, error) {
	line, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	if len(fields) < 15 {
		return nil, errors.New("unreadable " + path)
	}
	return fields, nil
}

// peakMemory is the most that this process had resident, in MB (proc(5), VmHWM). What the system tells a parent about a
// child that has ended would count the parent's own memory, too.
func peakMemory() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/self/status")
}
