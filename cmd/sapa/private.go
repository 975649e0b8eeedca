package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/migrations"
	"github.com/sapa-crm/sapa/report"
	"github.com/sapa-crm/sapa/response"
	"github.com/sapa-crm/sapa/web"
)

// privateOptions are the flags of the private listener.
type privateOptions struct {
	listen, cert, key string
	behindProxy       bool
}

// noPrivate is the address of no private listener.
const noPrivate = "none"

func (o *privateOptions) add(c *cobra.Command) {
	c.Flags().StringVar(&o.listen, "private", "127.0.0.1:8081", "address of the private listener (pages and API), or none")
	c.Flags().StringVar(&o.cert, "private-tls-cert", "", "file with its TLS certificate and those between (PEM)")
	c.Flags().StringVar(&o.key, "private-tls-key", "", "file with the certificate's key (PEM)")
	c.Flags().BoolVar(&o.behindProxy, "behind-proxy", false, "browsers reach the private listener by TLS, through a proxy in front of it")
}

// secure says that browsers come by TLS.
func (o *privateOptions) secure() bool { return o.cert != "" || o.behindProxy }

// check refuses what would carry passwords over a network in the clear.
func (o *privateOptions) check() error {
	if o.listen == noPrivate {
		return nil
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("--private %s: write HOST:PORT, such as 127.0.0.1:8081, or none", o.listen)}
	}
	if (o.cert == "") != (o.key == "") {
		return &exitError{exitUsage, errors.New("--private-tls-cert and --private-tls-key belong together; give both")}
	}
	if !o.secure() && !loopbackHost(host) {
		return &exitError{exitUsage, fmt.Errorf("--private %s: passwords would cross the network in the clear\n"+
			"  give --private-tls-cert and --private-tls-key, or --behind-proxy where a proxy in front has TLS, or stay on 127.0.0.1", o.listen)}
	}
	return nil
}

// loopbackHost says whether a listener on the host can be reached from this machine only.
func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// open listens; nil without an error when there is to be no private listener.
func (o *privateOptions) open(ctx context.Context) (net.Listener, error) {
	if o.listen == noPrivate {
		return nil, nil
	}
	var config *tls.Config
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, fmt.Errorf("the private listener's certificate: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	}
	l, err := web.Listen(ctx, o.listen)
	if err != nil {
		return nil, fmt.Errorf("private listener: %w\n  --private names another address, or none", err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return l, nil
}

// address is what to open in a browser.
func (o *privateOptions) address(l net.Listener) string {
	if o.cert != "" {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// privateDeps is what the private listener works with.
func (s *session) privateDeps(ctx context.Context, a *app, planner *campaign.Planner, secure bool) (web.PrivateDeps, error) {
	gate, err := access.NewGate(ctx, s.pool, a.now)
	if err != nil {
		return web.PrivateDeps{}, err
	}
	gate.Log = a.log()
	zone, err := time.LoadLocation(s.schema.Zone)
	if err != nil {
		return web.PrivateDeps{}, fmt.Errorf("the company's zone: %w", err)
	}
	list, err := s.callDeps(ctx, a)
	if err != nil {
		return web.PrivateDeps{}, err
	}
	return web.PrivateDeps{
		Gate: gate, Runs: planner,
		Reports: func(ctx context.Context, f report.Filter) (report.Report, error) {
			return report.Campaigns(ctx, s.pool, f)
		},
		Overview: func(ctx context.Context) ([]report.Applied, error) { return report.Overview(ctx, s.pool) },
		Audit: func(ctx context.Context, f access.LogFilter) ([]access.Logged, error) {
			return access.Log(ctx, s.pool, f)
		},
		Replies: func(ctx context.Context, f report.ReplyFilter) ([]report.Reply, error) {
			return report.Replies(ctx, s.pool, f)
		},
		Seen: func(ctx context.Context, ids []int64, actor string) (int, error) {
			return response.MarkSeen(ctx, s.pool, ids, actor, a.now())
		},
		Alerts:  s.alertDeps(a),
		Calls:   list,
		Users:   func(ctx context.Context) ([]access.User, error) { return access.Users(ctx, s.pool, a.now()) },
		Company: s.companyName(), Secure: secure, Trusted: s.trusted, Zone: zone, Now: a.now, Log: a.log(),
		Ready: s.ready,
	}, nil
}

// servePrivateOn answers the company until the context ends.
func servePrivateOn(ctx context.Context, l net.Listener, deps web.PrivateDeps) error {
	if l == nil {
		<-ctx.Done()
		return nil
	}
	serve := func(ctx context.Context) error { return web.ServeListener(ctx, l, web.Private(deps)) }
	if deps.Alerts.Run == nil {
		return serve(ctx)
	}
	return together(ctx, serve, func(ctx context.Context) error { deps.Alerts.Run(ctx); return nil })
}

// ready says that the database answers and has the tables that this program knows, and that the engine's heart beats.
func (s *session) ready(ctx context.Context) error {
	if s.health != nil {
		if err := beating(s.health()); err != nil {
			return err
		}
	}
	pending, err := migrations.Pending(ctx, s.pool, s.dbSchema)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return errors.New("Sapa's tables are out of date; bring them up with: sapa migrate")
	}
	return nil
}

// beating says that the engine works and may hand over.
func beating(h delivery.Health) error {
	switch {
	case !h.Working:
		return errors.New("the engine has not begun, or is stopping")
	case h.Beat > h.Permit:
		return fmt.Errorf("the engine's last heartbeat was %s ago; it hands nothing over after %s", h.Beat.Round(time.Second), h.Permit)
	}
	return nil
}

// hintUsers tells who starts Sapa for the first time how to log in.
func (s *session) hintUsers(ctx context.Context, a *app) error {
	list, err := access.Users(ctx, s.pool, a.now())
	if err == nil && len(list) == 0 {
		fmt.Fprintln(a.stdout, "nobody can log in yet; make the first user with: sapa user add NAME --role operator")
	}
	return err
}

// parseTrusted reads the proxies whose X-Forwarded-For is believed: addresses or networks.
func parseTrusted(list []string) ([]netip.Prefix, error) {
	var trusted []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if ip, ipErr := netip.ParseAddr(text); ipErr == nil {
			p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return nil, &exitError{exitUsage, fmt.Errorf("--trusted-proxy %s: write an address such as 10.0.0.2, or a network such as 10.0.0.0/24", text)}
		}
		trusted = append(trusted, p.Masked())
	}
	return trusted, nil
}
