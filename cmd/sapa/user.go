package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sapa-crm/sapa/access"
)

func newUserCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Who may use the private listener: people, their passwords and roles, programs and their tokens",
		Long: `Users of the pages and the API of sapa serve. Whoever can run this program on this machine acts as an
operator, without being a user. docs/access.md says what each role may do.`,
	}
	c.AddCommand(newUserAddCommand(a), newUserListCommand(a), newUserSetRoleCommand(a), newUserPasswordCommand(a),
		newUserAbleCommand(a, "disable", "Let a user in no more: their sessions end, their tokens stop working"),
		newUserAbleCommand(a, "enable", "Let a disabled user in again"), newUserTokenCommand(a))
	return c
}

// passwordFlags say where a password comes from.
type passwordFlags struct{ stdin, none bool }

func (f *passwordFlags) add(c *cobra.Command, none string) {
	c.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password from standard input: its first line")
	c.Flags().BoolVar(&f.none, "no-password", false, none)
	c.MarkFlagsMutuallyExclusive("password-stdin", "no-password")
}

// read is the password, "" for none.
func (f *passwordFlags) read(ctx context.Context, a *app, name string) (string, error) {
	switch {
	case f.none:
		return "", nil
	case f.stdin:
		line, err := bufio.NewReader(io.LimitReader(a.stdin, 4<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		password := strings.TrimRight(line, "\r\n")
		if password == "" {
			return "", errors.New("standard input has no password on its first line")
		}
		return password, nil
	}
	return a.askPassword(ctx, name)
}

// askPassword asks for a new password at the terminal, twice, without showing it.
func (a *app) askPassword(ctx context.Context, name string) (string, error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errors.New("there is no terminal to ask for the password; use --password-stdin, or --no-password for a user who has API tokens only")
	}
	first, err := a.askSecret(ctx, in, "new password of "+name+": ")
	if err != nil {
		return "", err
	}
	if err := access.CheckPassword(name, first); err != nil {
		return "", err
	}
	again, err := a.askSecret(ctx, in, "again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two are not the same; nothing was changed")
	}
	return first, nil
}

// askSecret reads a line that is not shown. Ctrl-C ends it and leaves the terminal as it was.
func (a *app) askSecret(ctx context.Context, in *os.File, question string) (string, error) {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("ask for the password: %w", err)
	}
	fmt.Fprint(a.stderr, question)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(int(in.Fd()))
		answered <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(int(in.Fd()), before))
	case got := <-answered:
		fmt.Fprintln(a.stderr)
		if got.err != nil {
			return "", fmt.Errorf("read the password: %w", got.err)
		}
		return string(got.text), nil
	}
}

func newUserAddCommand(a *app) *cobra.Command {
	var role string
	var password passwordFlags
	c := &cobra.Command{
		Use:   "add NAME --role " + roleNames("|"),
		Short: "Add a user; asks for a password, twice",
		Example: `  sapa user add ani --role operator
  sapa user add shop --role marketer --no-password && sapa user token add shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			parsed, err := access.ParseRole(role)
			if err != nil {
				return &exitError{exitUsage, fmt.Errorf("--role: %w", err)}
			}
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				text, err := password.read(ctx, a, name)
				if err != nil {
					return err
				}
				if err := access.AddUser(ctx, s.pool, a.actor(), name, parsed, text, a.now()); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "user %s is added, role %s\n", name, role)
				if password.none {
					fmt.Fprintf(a.stdout, "make a token with: sapa user token add %s\n", name)
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&role, "role", "", roleNames(", "))
	_ = c.MarkFlagRequired("role")
	password.add(c, "no login at the pages, only API tokens")
	return c
}

func roleNames(between string) string {
	var names []string
	for _, r := range access.Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, between)
}

// users opens the database for a verb about users.
func (a *app) users(ctx context.Context, f func(context.Context, *session) error) error {
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return f(ctx, s)
}

func newUserListCommand(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List users with their roles",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				list, err := access.Users(ctx, s.pool, a.now())
				if err != nil {
					return err
				}
				if asJSON {
					return a.printJSON(list)
				}
				if len(list) == 0 {
					fmt.Fprintln(a.stdout, "no users yet; add one with: sapa user add NAME --role operator")
					return nil
				}
				t := a.table("name", "role", "password", "tokens", "sessions", "since", "disabled")
				for _, u := range list {
					t.AppendRow([]any{u.Name, u.Role, yes(u.Password), u.Tokens, u.Sessions, day(&u.CreatedAt), day(u.DisabledAt)})
				}
				t.Render()
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// day prints a date, nothing for none.
func day(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(time.DateOnly)
}

func newUserSetRoleCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "set-role NAME ROLE",
		Short: "Give a user another role: " + roleNames(", "),
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			role, err := access.ParseRole(args[1])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				if err := access.SetRole(ctx, s.pool, a.actor(), args[0], role); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "user %s has the role %s from now on\n", args[0], role)
				return nil
			})
		},
	}
}

func newUserPasswordCommand(a *app) *cobra.Command {
	var password passwordFlags
	c := &cobra.Command{
		Use:   "password NAME",
		Short: "Set a user's password; asks for it twice. Their sessions end, and a block of their login",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				text, err := password.read(ctx, a, args[0])
				if err != nil {
					return err
				}
				if err := access.SetPassword(ctx, s.pool, a.actor(), args[0], text); err != nil {
					return err
				}
				if password.none {
					fmt.Fprintf(a.stdout, "user %s has no password any more; their sessions are ended, their tokens still work\n", args[0])
					return nil
				}
				fmt.Fprintf(a.stdout, "user %s has a new password; their sessions are ended\n", args[0])
				return nil
			})
		},
	}
	password.add(c, "take the password away: only API tokens are left")
	return c
}

func newUserAbleCommand(a *app, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				var err error
				if verb == "disable" {
					err = access.Disable(ctx, s.pool, a.actor(), args[0], a.now())
				} else {
					err = access.Enable(ctx, s.pool, a.actor(), args[0])
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "user %s is %sd\n", args[0], verb)
				return nil
			})
		},
	}
}

func newUserTokenCommand(a *app) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "API tokens, with which programs act as a user"}
	c.AddCommand(newTokenAddCommand(a), newTokenListCommand(a), newTokenRevokeCommand(a))
	return c
}

func newTokenAddCommand(a *app) *cobra.Command {
	var label, expires string
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token and print it: it can't be shown again",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			until, err := parseExpires(expires, a.now())
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				token, id, err := access.AddToken(ctx, s.pool, a.actor(), args[0], label, until, a.now())
				if err != nil {
					return err
				}
				ends := "works until it is revoked"
				if !until.IsZero() {
					ends = "works until " + until.Local().Format("2 Jan 2006")
				}
				fmt.Fprintf(a.stderr, "token %d of %s, which %s; keep it now, it can't be shown again:\n", id, args[0], ends)
				fmt.Fprintln(a.stdout, token)
				return nil
			})
		},
	}
	c.Flags().StringVar(&label, "label", "", "what it is for, to recognise it in the list")
	c.Flags().StringVar(&expires, "expires", "90d", "after so many days, or never")
	return c
}

// parseExpires reads --expires; the zero time is never.
func parseExpires(text string, now time.Time) (time.Time, error) {
	if text == "never" {
		return time.Time{}, nil
	}
	days, ok := strings.CutSuffix(text, "d")
	n, err := strconv.Atoi(days)
	if !ok || err != nil || n < 1 || n > 3650 {
		return time.Time{}, fmt.Errorf("--expires %s: write days such as 90d, at most 3650d, or never", text)
	}
	return now.AddDate(0, 0, n), nil
}

func newTokenListCommand(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List tokens, without their secrets",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				list, err := access.Tokens(ctx, s.pool, strings.Join(args, ""))
				if err != nil {
					return err
				}
				if asJSON {
					return a.printJSON(list)
				}
				t := a.table("token", "user", "label", "made", "expires", "last used", "state")
				for _, k := range list {
					t.AppendRow([]any{k.ID, k.User, k.Label, day(&k.CreatedAt), day(k.ExpiresAt), day(k.UsedAt), tokenState(&k, a.now())})
				}
				t.Render()
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func tokenState(t *access.Token, now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case !t.Works(now):
		return "expired"
	}
	return "works"
}

func newTokenRevokeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke TOKEN",
		Short: "End a token, by its number in the list",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.Atoi(args[0])
			if err != nil {
				return &exitError{exitUsage, errors.New("write the token's number; see: sapa user token list")}
			}
			return a.users(c.Context(), func(ctx context.Context, s *session) error {
				if err := access.RevokeToken(ctx, s.pool, a.actor(), id, a.now()); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "token %d is revoked\n", id)
				return nil
			})
		},
	}
}
