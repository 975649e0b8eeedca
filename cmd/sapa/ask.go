package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNoAnswer says that nobody answered: there is no terminal, or it was closed.
var errNoAnswer = errors.New("nobody was asked: this is no terminal")

// interactive tells whether a person can be asked.
func interactive(in io.Reader, out io.Writer) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && terminal(out)
}

// ask puts a question that is answered by y or n; anything else is no. The error is errNoAnswer where nobody can be asked.
func (a *app) ask(format string, args ...any) (yes bool, err error) {
	if !a.interactive(a.stdin, a.stdout) {
		return false, errNoAnswer
	}
	fmt.Fprintf(a.stdout, format+" [y/N] ", args...)
	answer, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(a.stdout)
		return false, errNoAnswer
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "ya":
		return true, nil
	}
	return false, nil
}
