package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
	paper "github.com/sapa-crm/sapa/channels/letter"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/response"
)

type lettersReturnedOptions struct{ file, reason string }

func newLettersReturnedCommand(a *app) *cobra.Command {
	var o lettersReturnedOptions
	c := &cobra.Command{
		Use:   "returned CODE…",
		Short: "Record letters that the post brought back, by the codes on them",
		Long: `Records undeliverable mail: reports show it, and the address gets no letters any more. Codes are
scanned or typed, as arguments or, a line each, from a file or standard input (--file -); a line may
give its own reason after the code. A code that was misread is refused, the others are
recorded (exit code 3). Recording one again changes nothing.`,
		Example: `  sapa letters returned K3F9-2XQ7 --reason moved
  sapa letters returned --file - --reason unknown      # and now scan`,
		RunE: func(c *cobra.Command, args []string) error { return runLettersReturned(c.Context(), a, args, o) },
	}
	c.Flags().StringVar(&o.file, "file", "", "codes, a line each; - is standard input")
	c.Flags().StringVar(&o.reason, "reason", "other", "what the post says: moved, unknown, refused, other")
	return c
}

func runLettersReturned(ctx context.Context, a *app, args []string, o lettersReturnedOptions) error {
	if _, ok := paper.ReasonOf(o.reason); !ok {
		return &exitError{exitUsage, fmt.Errorf("--reason: no reason %q; it is one of moved, unknown, refused, other", o.reason)}
	}
	lines, err := o.lines(a, args)
	if err != nil {
		return err
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	wrong := 0
	for _, line := range lines {
		said, err := a.returned(ctx, s, line, o.reason)
		if err != nil {
			wrong++
			fmt.Fprintf(a.stderr, "%s: %s\n", line, err)
			continue
		}
		fmt.Fprintln(a.stdout, said)
	}
	if wrong > 0 {
		return &exitError{exitPartial, fmt.Errorf("%d of %d codes were not recorded", wrong, len(lines))}
	}
	return nil
}

// lines are the codes with what stands after them.
func (o lettersReturnedOptions) lines(a *app, args []string) ([]string, error) {
	lines := args
	switch o.file {
	case "":
	case "-":
		more, err := readLines(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		lines = append(lines, more...)
	default:
		f, err := os.Open(o.file)
		if err != nil {
			return nil, fmt.Errorf("read codes: %w", err)
		}
		defer func() { _ = f.Close() }()
		more, err := readLines(f)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", o.file, err)
		}
		lines = append(lines, more...)
	}
	if len(lines) == 0 {
		return nil, &exitError{exitUsage, errors.New("say which codes came back, or --file FILE; see: sapa letters returned --help")}
	}
	return lines, nil
}

func readLines(r io.Reader) (lines []string, err error) {
	in := bufio.NewScanner(r)
	for in.Scan() {
		if line := strings.TrimSpace(in.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, in.Err()
}

// returned records one letter in a transaction of its own, and says what was recorded.
func (a *app) returned(ctx context.Context, s *session, line, word string) (said string, err error) {
	if fields := strings.Fields(line); len(fields) > 1 {
		if _, own := paper.ReasonOf(fields[len(fields)-1]); own {
			line, word = strings.Join(fields[:len(fields)-1], " "), fields[len(fields)-1]
		}
	}
	code, err := paper.ReadCode(line)
	if err != nil {
		return "", err
	}
	reason, _ := paper.ReasonOf(word)
	var back paper.Back
	err = pg.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if back, err = paper.Return(ctx, tx, code, reason, a.now()); err != nil || back.Before != nil {
			return err
		}
		err := response.RecordUndelivered(ctx, tx, []response.Undelivered{{
			Message: back.Message, Run: back.Run, Channel: paper.Name, Code: reason.Code, Words: reason.Words, Suppress: "letter came back: " + reason.Word,
		}}, a.now())
		if err != nil {
			return err
		}
		return access.Record(ctx, tx, access.Entry{
			Actor: a.actor(), Action: "letter returned", Subject: fmt.Sprintf("message %d", back.Message), Detail: map[string]any{"reason": reason.Word},
		})
	})
	switch {
	case err != nil:
		return "", err
	case back.Before != nil:
		return fmt.Sprintf("%s was recorded before, %s", code, a.moment(*back.Before)), nil
	}
	return fmt.Sprintf("%s: message %d of run %d came back: %s; its address gets no letters any more", code, back.Message, back.Run, reason.Words), nil
}
