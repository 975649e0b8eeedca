package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/alert"
	"github.com/sapa-crm/sapa/channels/webhook"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/web"
)

type alertsOptions struct {
	filter        report.AlertFilter
	done          bool
	asJSON, asCSV bool
}

func newAlertsCommand(a *app) *cobra.Command {
	var o alertsOptions
	c := &cobra.Command{
		Use:   "alerts [--desk DESK | --done ID…]",
		Short: "What desks were told and nobody has seen to; --done marks it as seen to",
		Long: `Lists what campaigns on the channel alert have told the desks of the company, and nobody has seen
to yet. Each desk has a page, too, which updates by itself: /alerts on the private listener.`,
		Example: `  sapa alerts
  sapa alerts --desk front-desk --all --csv > alerts.csv
  sapa alerts --done 17 18`,
		RunE: func(c *cobra.Command, args []string) error { return runAlerts(c.Context(), a, args, o) },
	}
	c.Flags().StringVar(&o.filter.Desk, "desk", "", "only this desk's")
	c.Flags().BoolVar(&o.filter.All, "all", false, "also those that somebody has seen to")
	c.Flags().IntVar(&o.filter.Limit, "limit", 50, "at most so many, the latest; 0 = all")
	c.Flags().BoolVar(&o.done, "done", false, "mark these as seen to")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&o.asCSV, "csv", false, "one line per alert, for spreadsheets")
	c.MarkFlagsMutuallyExclusive("json", "csv", "done")
	c.MarkFlagsMutuallyExclusive("all", "done")
	c.MarkFlagsMutuallyExclusive("desk", "done")
	return c
}

func runAlerts(ctx context.Context, a *app, args []string, o alertsOptions) error {
	if err := checkLimit(o.filter.Limit); err != nil {
		return err
	}
	ids, err := alertIDs(args, o.done)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	s, err := a.openProjectDB(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if o.done {
		n, err := response.MarkAlertsDone(ctx, s.pool, ids, a.actor(), a.now())
		if err != nil {
			return err
		}
		return alertMarks().said(a, n, len(ids))
	}
	list, err := report.Alerts(ctx, s.pool, o.filter)
	if err != nil {
		return err
	}
	return a.printAlerts(list, o)
}

func alertMarks() marking {
	return marking{"alerts", "done", "an alert", "seen to", "an alert that nobody has seen to"}
}

// alertIDs are the numbers to be marked as seen to.
func alertIDs(args []string, done bool) ([]int64, error) {
	switch {
	case done:
		return alertMarks().ids(args)
	case len(args) > 0:
		return nil, fmt.Errorf("write: sapa alerts --desk DESK, or: sapa alerts --done ID…")
	}
	return nil, nil
}

func (a *app) printAlerts(list []report.Alert, o alertsOptions) error {
	switch {
	case o.asCSV:
		return report.WriteAlertsCSV(a.stdout, list)
	case o.asJSON:
		return a.printJSON(list)
	case len(list) == 0 && o.filter.All:
		fmt.Fprintln(a.stdout, "no desk was told anything")
		return nil
	case len(list) == 0:
		fmt.Fprintln(a.stdout, "nothing to see to; what was: sapa alerts --all")
		return nil
	}
	columns := []any{"number", "when", "desk", "customer", "campaign", "title"}
	if o.filter.All {
		columns = append(columns, "done by")
	}
	t := a.table(columns...)
	for _, r := range list {
		row := []any{r.ID, a.moment(r.At), r.Desk, value(r.CustomerKey), r.Campaign, oneLine(r.Title)}
		if o.filter.All {
			row = append(row, value(r.DoneBy))
		}
		t.AppendRow(row)
	}
	t.Render()
	a.sayLimit(o.filter.Limit, len(list))
	return nil
}

// alertDeps is what the pages of desks work with.
func (s *session) alertDeps(a *app) web.AlertDeps {
	settings := s.config.Channels.Alert
	if settings == nil {
		return web.AlertDeps{}
	}
	feed := report.NewAlertFeed(s.pool, a.log())
	deps := web.AlertDeps{
		List: func(ctx context.Context, f report.AlertFilter) ([]report.Alert, error) {
			return report.Alerts(ctx, s.pool, f)
		},
		Open: func(ctx context.Context) (map[string]int, error) { return report.OpenAlerts(ctx, s.pool) },
		Done: func(ctx context.Context, ids []int64, actor string) (int, error) {
			return response.MarkAlertsDone(ctx, s.pool, ids, actor, a.now())
		},
		Watch: feed.Watch, Run: feed.Run,
	}
	for _, key := range slices.Sorted(maps.Keys(settings.Desks)) {
		deps.Desks = append(deps.Desks, web.AlertDesk{Key: key, Name: settings.Desks[key].Name})
	}
	return deps
}

// deskConnections is how many alerts are written at once.
const deskConnections = 2

func (s *session) alertAccount(settings *customer.AlertSettings) (delivery.Account, error) {
	desks := map[string]alert.Desk{}
	for name, d := range settings.Desks {
		desk, err := s.desk(d)
		if err != nil {
			return delivery.Account{}, fmt.Errorf("desks.%s: %w", name, err)
		}
		desks[name] = desk
	}
	return delivery.Account{
		Channel: alert.New(alert.Config{Pool: s.pool, Desks: desks, Now: s.businessTime}), Connections: deskConnections,
	}, nil
}

// desk is a desk's other ways; e-mail comes last, for what was mailed is not mailed again.
func (s *session) desk(d *customer.DeskSettings) (alert.Desk, error) {
	var desk alert.Desk
	if d.Webhook != nil && s.mayCall(d.Webhook) {
		channel, err := webhookChannel(d.Webhook)
		if err != nil {
			return alert.Desk{}, fmt.Errorf("webhook: %w", err)
		}
		desk.Ways = append(desk.Ways, alert.Way{Channel: channel})
	}
	if e, _ := s.channelSettings(); d.Email != (customer.Mailbox{}) && e != nil {
		account, err := smtpAccount(e.SMTP, e.From)
		if err != nil {
			return alert.Desk{}, fmt.Errorf("email: %w", err)
		}
		desk.Ways = append(desk.Ways, alert.Way{Channel: account.Channel, From: account.From, To: channels.Address(d.Email)})
	}
	return desk, nil
}

// webhookSettings are the settings of the webhook; nil where there is none.
func (s *session) webhookSettings() *customer.WebhookSettings {
	if w := s.config.Channels.Webhook; w != nil && s.mayCall(w) {
		return w
	}
	return nil
}

// mayCall says whether a webhook may be called: from a verb with a sandbox of its own only on this machine.
func (s *session) mayCall(w *customer.WebhookSettings) bool {
	return s.sandbox == nil || loopbackURL(w.URL.Reveal())
}

// companyAccounts are the registry's lines of what stays within the company.
func (s *session) companyAccounts() []registered {
	desks, hook := s.config.Channels.Alert, s.webhookSettings()
	return []registered{
		{
			"alert", desks != nil, func() []string { return nil }, func() (delivery.Account, error) { return s.alertAccount(desks) },
			`alert: {desks: {front-desk: {name: Front desk}}}`,
		},
		{
			"webhook", hook != nil, func() []string { return []string{hook.URL.Reveal()} }, func() (delivery.Account, error) { return webhookAccount(hook) },
			`webhook: {url: "https://crm.example/hooks/sapa", secret: "${WEBHOOK_SECRET}"}`,
		},
	}
}

// webhookConnections is how many requests are under way at once where sapa.yaml says nothing.
const webhookConnections = 4

func webhookAccount(settings *customer.WebhookSettings) (delivery.Account, error) {
	channel, err := webhookChannel(settings)
	connections := settings.Connections
	if connections == 0 {
		connections = webhookConnections
	}
	return delivery.Account{Channel: channel, Rate: settings.Rate.PerSecond(), Connections: connections}, err
}

// webhookChannel signs by the machine's clock, whatever business time is: receivers compare it with their own.
func webhookChannel(settings *customer.WebhookSettings) (*webhook.Channel, error) {
	cfg := webhook.Config{URL: settings.URL, Secret: settings.Secret, Timeout: time.Duration(settings.Timeout)}
	for _, n := range settings.Networks {
		cfg.Networks = append(cfg.Networks, netip.Prefix(n))
	}
	return webhook.New(cfg)
}
