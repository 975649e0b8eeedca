package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/segment/holidays"
)

type holidaysOptions struct {
	country string
	json    bool
}

func newHolidaysCommand(a *app) *cobra.Command {
	var o holidaysOptions
	c := &cobra.Command{
		Use:   "holidays [YEAR]",
		Short: `Print the holidays that rules know, as in holiday("idul_fitri", days(7))`,
		Long: `Prints the holidays of a year (this one, if none is named): those of the company's country
that come with Sapa, and the company's own of sapa.yaml. A date is official when the
authorities have announced it, and expected when it is only calculated.`,
		Example: `  sapa holidays
  sapa holidays 2027 --country SG`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			year := a.now().Year()
			if len(args) == 1 {
				var err error
				if year, err = strconv.Atoi(args[0]); err != nil || year < 1900 || year > 2200 {
					return &exitError{exitUsage, fmt.Errorf("%q is no year from 1900 to 2200", args[0])}
				}
			}
			return runHolidays(a, year, o)
		},
	}
	c.Flags().StringVar(&o.country, "country", "", "print those of another country, two letters such as US")
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func runHolidays(a *app, year int, o holidaysOptions) error {
	table, err := a.holidays(o.country)
	if err != nil {
		return err
	}
	held, unknown := holidaysOf(table, year)
	if o.json {
		return a.printJSON(map[string]any{"country": table.Country, "year": year, "holidays": held, "unknown": unknown})
	}
	t := a.table("date", "weekday", "holiday", "title", "other names", "status")
	for _, h := range held {
		t.AppendRow([]any{h.Date, h.Weekday, h.Name, h.Title, strings.Join(h.Also, ", "), h.Status})
	}
	t.Render()
	if len(unknown) > 0 {
		fmt.Fprintf(a.stdout, "%s: not known in %d. Rules that ask for them then are refused until sapa.yaml says when they are, as in\nholidays: {%s: %d-…}\n",
			strings.Join(unknown, ", "), year, unknown[0], year)
	}
	return nil
}

// holidays is the company's table, or another country's, for which no project is needed.
func (a *app) holidays(country string) (*holidays.Table, error) {
	if country != "" && !slices.Contains(holidays.Countries(), country) {
		return nil, &exitError{exitUsage, fmt.Errorf("no table of holidays for %q; there are those of %s", country, strings.Join(holidays.Countries(), ", "))}
	}
	if _, err := os.Stat(filepath.Join(a.dir, "sapa.yaml")); country != "" && errors.Is(err, fs.ErrNotExist) {
		return holidays.For(country, nil), nil
	}
	config, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	if home := config.HomeCountry(); country == "" || country == home {
		return holidays.For(home, config.Holidays), nil
	}
	return holidays.For(country, nil), nil
}

type heldDay struct {
	Date    string          `json:"date"`
	Weekday string          `json:"weekday"`
	Name    string          `json:"holiday"`
	Title   string          `json:"title,omitempty"`
	Also    []string        `json:"also,omitempty"`
	Status  holidays.Status `json:"status"`
}

// holidaysOf are the days of a year in order, and the holidays that have none.
func holidaysOf(table *holidays.Table, year int) (held []heldDay, unknown []string) {
	for _, h := range table.All() {
		days := h.In(year)
		if len(days) == 0 {
			unknown = append(unknown, h.Name)
		}
		for _, d := range days {
			held = append(held, heldDay{d.Date.Format(time.DateOnly), d.Date.Weekday().String(), h.Name, h.Title, h.Also, d.Status})
		}
	}
	slices.SortStableFunc(held, func(a, b heldDay) int { return cmp.Compare(a.Date, b.Date) })
	return held, unknown
}
