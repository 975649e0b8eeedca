package web

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/report"
)

//go:embed private
var privateFiles embed.FS

// PrivateDeps is what the private listener needs. All from Ready on are optional.
type PrivateDeps struct {
	Gate     *access.Gate
	Runs     *campaign.Planner
	Reports  func(context.Context, report.Filter) (report.Report, error)
	Overview func(context.Context) ([]report.Applied, error)
	Audit    func(context.Context, access.LogFilter) ([]access.Logged, error)
	Users    func(context.Context) ([]access.User, error)
	Replies  func(context.Context, report.ReplyFilter) ([]report.Reply, error)
	Seen     func(ctx context.Context, replies []int64, actor string) (int, error) // notes that they were read
	Alerts   AlertDeps
	Calls    CallDeps

	Company string
	Secure  bool                        // browsers come by TLS, whoever terminates it: cookies never go without
	Ready   func(context.Context) error // whether it may be sent requests; nil: always
	Metrics http.Handler                // for those who may read reports; nil: there are none
	// Requested hears of each request that was answered, with the pattern of its route.
	Requested func(route string, status int, took time.Duration)
	Trusted   []netip.Prefix   // proxies whose X-Forwarded-For is believed, besides those on this machine (loopback)
	Zone      *time.Location   // in which times are shown; nil: UTC
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default()
}

// private is the handler.
type private struct {
	PrivateDeps
	pages    map[string]*privatePage
	css      []byte
	script   []byte // of the pages of desks
	feeding  atomic.Int32
	scrapers metricsGate
}

// Private is the handler of the private listener: pages for people who have logged in, and the API below /v1/ for
// programs with a token; /metrics takes a token, too. Without either it shows the login page, its style, /healthz and
// /readyz, and nothing else.
func Private(deps PrivateDeps) http.Handler {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Zone == nil {
		deps.Zone = time.UTC
	}
	p := &private{PrivateDeps: deps}
	p.loadPages()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", alive)
	mux.Handle("GET /readyz", &probe{ready: deps.Ready, log: deps.Log})
	if deps.Metrics != nil {
		mux.HandleFunc("GET /metrics", p.metrics)
	}
	mux.HandleFunc("GET /private.css", p.style)
	mux.HandleFunc("GET /login", p.showLogin)
	mux.HandleFunc("POST /login", p.login)
	mux.Handle("/v1/", p.api())
	mux.Handle("/", p.loggedIn(p.site()))
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(p.crossOrigin))
	return p.guard(cross.Handler(mux))
}

// pageRoute is a page, or a button of one, with what it takes.
type pageRoute struct {
	pattern string
	needs   access.Permission // "": to be logged in
	handle  func(http.ResponseWriter, *http.Request, *access.Session)
}

func (p *private) pageRoutes() []pageRoute {
	return []pageRoute{
		{"GET /{$}", "", p.home},
		{"POST /logout", "", p.logout},
		{"GET /runs/{run}", access.ReadReports, p.run},
		{"GET /runs/{run}/cancel", access.ControlRuns, p.askCancel},
		{"POST /runs/{run}/{action}", access.ControlRuns, p.act},
		{"GET /replies", access.ReadReplies, p.replies},
		{"POST /replies", access.ReadReplies, p.markRead},
		{"GET /alerts", access.SeeAlerts, p.desks},
		{"GET /alerts.js", access.SeeAlerts, p.alertsScript},
		{"GET /alerts/{desk}", access.SeeAlerts, p.alerts},
		{"POST /alerts/{desk}", access.SeeAlerts, p.seeTo},
		{"GET /alerts/{desk}/feed", access.SeeAlerts, p.alertFeed},
		{"GET /calls", access.MakeCalls, p.callsPage},
		{"POST /calls", access.MakeCalls, p.nextCall},
		{"GET /calls/{call}", access.MakeCalls, p.callPage},
		{"POST /calls/{call}", access.MakeCalls, p.sayCall},
		{"GET /log", access.ReadLog, p.audit},
		{"GET /users", access.ManageUsers, p.users},
	}
}

type handlerFor func(http.ResponseWriter, *http.Request, *access.Session)

// site is everything behind the login.
func (p *private) site() handlerFor {
	mux := http.NewServeMux()
	type key struct{}
	for _, route := range p.pageRoutes() {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			s := r.Context().Value(key{}).(*access.Session)
			if route.needs != "" && !s.User.Can(route.needs) {
				p.forbidden(w, r, s, route.needs)
				return
			}
			route.handle(w, r, s)
		})
	}
	return func(w http.ResponseWriter, r *http.Request, s *access.Session) {
		if _, pattern := mux.Handler(r); pattern == "" {
			p.unknown(w, r, s)
			return
		}
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, s)))
	}
}

func (p *private) style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(p.css)
}
