package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/channels"
	paper "github.com/sapa-crm/sapa/channels/letter"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
)

// letterAccounts is the registry's line of letters.
func (s *session) letterAccounts() []registered {
	l := s.config.Channels.Letter
	return []registered{{
		"letter", l != nil, s.letterURLs, func() (delivery.Account, error) { return s.letterAccount(l) },
		`letter: {}  and your address:  company: {name: Bengkel Maju, address: Jl. Pemuda 1, 50132 Semarang}`,
	}}
}

// letterURLs stand for the post: what it brings to people must not name this machine, but in the sandbox.
func (s *session) letterURLs() []string {
	if s.sandbox != nil {
		return nil
	}
	return []string{"post"}
}

func (s *session) letterAccount(l *customer.LetterSettings) (delivery.Account, error) {
	channel, err := paper.New(paper.Config{
		Pool: s.pool, Files: os.DirFS(filepath.Join(s.projectDir, "templates")), Print: letterSettings(s.config), Now: s.businessTime,
	})
	if err != nil {
		return delivery.Account{}, err
	}
	return delivery.Account{Channel: channel, From: channels.Address{Name: s.config.Company.Name}}, nil
}

// letterSettings are what all letters of the company have in common.
func letterSettings(cfg *customer.Config) paper.Settings {
	l := cfg.Channels.Letter
	if l == nil {
		l = &customer.LetterSettings{}
	}
	return paper.Settings{
		Sender: cfg.Company.Name, Return: l.Lines(cfg.Company), Country: cfg.HomeCountry(), Bleed: l.Bleed, Permit: l.PermitLines(), Duplex: l.Duplex,
	}
}

type lettersOptions struct{ all, json bool }

func newLettersCommand(a *app) *cobra.Command {
	var o lettersOptions
	c := &cobra.Command{
		Use:   "letters",
		Short: "Print letters and postcards, say that they were posted, and record those that came back",
		Long: `Lists the runs with letters that wait to be printed or to be posted. A letter's way:

  sapa letters print 7 --out letters.pdf     makes one PDF of what run 7 has composed: batch 7-1
  sapa letters confirm 7-1                   after posting: they count as sent
  sapa letters returned K3F9-2XQ7            one came back: its address is not used again`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runLetters(c.Context(), a, o) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "list all runs that had letters")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.AddCommand(newLettersPrintCommand(a), newLettersConfirmCommand(a), newLettersReturnedCommand(a))
	return c
}

func runLetters(ctx context.Context, a *app, o lettersOptions) error {
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := paper.List(ctx, s.pool, o.all)
	if err != nil {
		return err
	}
	if o.json {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"runs": list})
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "no letters wait")
		return nil
	}
	a.lettersTable(list)
	return nil
}

func (a *app) lettersTable(list []paper.Listed) {
	t := a.table("run", "campaign", "to print", "to post", "posted", "came back", "withdrawn", "batches")
	for _, l := range list {
		batches := ""
		for i, b := range l.Batches {
			if i > 0 {
				batches += "\n"
			}
			batches += fmt.Sprintf("%s: %d, printed %s", b.Batch, b.Pieces, a.moment(b.PrintedAt))
			if b.ConfirmedAt != nil {
				batches += ", posted " + a.moment(*b.ConfirmedAt)
			}
		}
		t.AppendRow([]any{l.Run, l.Campaign, l.Waiting, l.Printed, l.Posted, l.Returned, l.Withdrawn, batches})
	}
	t.Render()
}
