package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/internal/diag"
)

func newValidateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check sapa.yaml and every campaign against the database; show all problems of all files",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return runValidate(c.Context(), a) },
	}
}

func runValidate(ctx context.Context, a *app) error {
	s, project, err := a.openProject(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	a.warn(s, project)
	segments := ""
	if n := len(project.Segments.List); n > 0 {
		segments = " and " + counted(n, "segment")
	}
	are := "are"
	if len(project.Campaigns) == 1 && segments == "" {
		are = "is"
	}
	fmt.Fprintf(a.stdout, "%s%s %s in order.\n", counted(len(project.Campaigns), "campaign"), segments, are)
	return nil
}

// warn shows what authors should know although nothing is wrong.
func (a *app) warn(s *session, project *campaign.Project) {
	var list diag.List
	for _, c := range project.Campaigns {
		list = append(list, c.Warnings...)
	}
	for _, w := range append(list, s.withoutAccount(project.Campaigns)...) {
		fmt.Fprintln(a.stderr, "warning: "+w.String())
	}
}

// openProject opens the session and checks every campaign; any problem is an error that shows all of them.
func (a *app) openProject(ctx context.Context) (*session, *campaign.Project, error) {
	s, err := a.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	project, problems, err := s.library.Project(ctx, os.DirFS(a.dir))
	if err == nil {
		problems = append(problems, campaign.BaseReady(s.config, s.schema, s.library.Base(), a.now())...)
		err = findings(append(problems, project.Ready(a.now())...))
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, project, nil
}

// openCampaign opens the session and finds a campaign that is sound. What is wrong with others is only mentioned: a colleague may be
// writing one of them.
func (a *app) openCampaign(ctx context.Context, name string) (*session, *campaign.Campaign, error) {
	s, err := a.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.findCampaign(ctx, a, name)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, c, nil
}

func (s *session) findCampaign(ctx context.Context, a *app, name string) (*campaign.Campaign, error) {
	project, problems, err := s.library.Project(ctx, os.DirFS(a.dir))
	if err != nil {
		return nil, err
	}
	c, err := project.Find(name)
	if err != nil && len(problems) > 0 {
		return nil, findings(problems)
	}
	if err != nil {
		return nil, err
	}
	if err := findings(append(campaign.BaseReady(s.config, s.schema, s.library.Base(), a.now()), project.Ready(a.now())...)); err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		fmt.Fprintln(a.stderr, "note: in other files there is something wrong: sapa validate")
	}
	return c, nil
}

type applyOptions struct {
	dryRun, json, remove bool
}

func newApplyCommand(a *app) *cobra.Command {
	var o applyOptions
	c := &cobra.Command{
		Use:   "apply",
		Short: "Store the campaigns as immutable versions; what has a schedule is on it from now",
		Long: `Checks everything as "sapa validate" does, then stores each new or changed campaign as a
version that never changes again. A campaign that is as it was is left alone; the schedule
of one whose file is gone ends. Runs that are under way keep their version.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runApply(c.Context(), a, o) },
	}
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only show what would change")
	c.Flags().BoolVar(&o.remove, "remove", false, "go on although none of the applied campaigns is in this folder")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

// otherProject says that the folder's campaigns and the database's have nothing in common: most likely one of them is
// not the one that is meant, and applying would end every schedule.
func otherProject(changes []campaign.Change) bool {
	kept, removed := 0, 0
	for _, c := range changes {
		switch c.Action {
		case "remove":
			removed++
		case "none", "change":
			kept++
		}
	}
	return removed > 0 && kept == 0
}

var errOtherProject = errors.New("none of the campaigns that are applied in this database is in this folder: applying would end all their schedules. " +
	"Is it the right folder and the right database? If so: sapa apply --remove")

func runApply(ctx context.Context, a *app, o applyOptions) error {
	s, project, err := a.openProject(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	a.warn(s, project)
	changes, err := campaign.Diff(ctx, s.pool, project.Campaigns, a.now())
	switch {
	case err != nil || o.dryRun:
	case otherProject(changes) && !o.remove:
		return errOtherProject
	default:
		changes, err = campaign.Apply(ctx, s.pool, project.Campaigns, a.now(), a.actor())
	}
	if list := diag.List(nil); errors.As(err, &list) {
		return findings(list)
	}
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(changes)
	}
	a.printChanges(changes)
	return nil
}

func (a *app) printChanges(changes []campaign.Change) {
	marks := map[string]string{"add": "+", "change": "~", "none": "="}
	count := map[string]int{}
	for _, c := range changes {
		count[c.Action]++
		if c.Action == "remove" {
			fmt.Fprintf(a.stdout, "- %s (file gone): schedule stopped\n", c.Campaign)
			continue
		}
		fmt.Fprintf(a.stdout, "%s %s version %d", marks[c.Action], c.Campaign, c.Number)
		if len(c.Segments) > 0 {
			fmt.Fprintf(a.stdout, " (changed: segment %s)", strings.Join(c.Segments, ", "))
		}
		if c.Withdraw > 0 {
			fmt.Fprintf(a.stdout, " (version %d, which waited for approval, is withdrawn)", c.Withdraw)
		}
		if c.Waits {
			fmt.Fprintf(a.stdout, ", waits for approval by somebody else: sapa approve %s\n", c.Campaign)
			continue
		}
		switch {
		case c.Next != nil:
			fmt.Fprintf(a.stdout, ", next tick %s", c.Tick)
		case c.Event != "":
			fmt.Fprintf(a.stdout, ", at each event %s", c.Event)
		}
		fmt.Fprintln(a.stdout)
	}
	removed := ""
	if count["remove"] > 0 {
		removed = fmt.Sprintf(", %d removed", count["remove"])
	}
	fmt.Fprintf(a.stdout, "%d added, %d changed, %d unchanged%s.\n", count["add"], count["change"], count["none"], removed)
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
