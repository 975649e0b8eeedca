package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/report"
)

// AlertDeps is what the pages of desks need.
type AlertDeps struct {
	Desks []AlertDesk // in the order of the page; none: there are no such pages
	List  func(context.Context, report.AlertFilter) ([]report.Alert, error)
	Open  func(context.Context) (map[string]int, error) // how many nobody has seen to, by desk
	Done  func(ctx context.Context, ids []int64, actor string) (int, error)
	// Watch gives a value when a desk's alerts may have changed, and is closed when the process stops.
	Watch func(desk string) (changed <-chan struct{}, stop func())
	Run   func(context.Context) // what Watch needs to run beside the listener; nil: nothing
}

// AlertDesk is a place where somebody looks at alerts.
type AlertDesk struct{ Key, Name string }

// deskView is a desk's page.
type deskView struct {
	AlertDesk
	List  []report.Alert
	All   bool
	More  bool
	Count int // of desks: how many are open
}

// alertsPage is how many alerts a page has.
const alertsPage = 100

func (p *private) desk(key string) (AlertDesk, bool) {
	i := slices.IndexFunc(p.Alerts.Desks, func(d AlertDesk) bool { return d.Key == key })
	if i < 0 {
		return AlertDesk{}, false
	}
	return p.Alerts.Desks[i], true
}

// desks lists the desks; where there is one, it is shown.
func (p *private) desks(w http.ResponseWriter, r *http.Request, s *access.Session) {
	switch len(p.Alerts.Desks) {
	case 0:
		p.unknown(w, r, s)
		return
	case 1:
		http.Redirect(w, r, "/alerts/"+p.Alerts.Desks[0].Key, http.StatusSeeOther)
		return
	}
	open, err := p.Alerts.Open(r.Context())
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	v := &privateView{Title: "Alerts", User: &s.User}
	for _, d := range p.Alerts.Desks {
		v.Desks = append(v.Desks, deskView{AlertDesk: d, Count: open[d.Key]})
	}
	p.show(w, r, http.StatusOK, "desks", v)
}

func (p *private) alerts(w http.ResponseWriter, r *http.Request, s *access.Session) {
	desk, ok := p.desk(r.PathValue("desk"))
	if !ok {
		p.unknown(w, r, s)
		return
	}
	v, err := p.deskView(r.Context(), desk, r.URL.Query().Get("all") == "true")
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	if !v.All {
		w.Header().Set("Content-Security-Policy", alertsPolicy)
	}
	p.show(w, r, http.StatusOK, "alerts", &privateView{Title: desk.Name, User: &s.User, Desk: v})
}

// alertsPolicy is privatePolicy, with our own script and what it fetches.
const alertsPolicy = privatePolicy + "; script-src 'self'; connect-src 'self'"

func (p *private) deskView(ctx context.Context, desk AlertDesk, all bool) (*deskView, error) {
	list, err := p.Alerts.List(ctx, report.AlertFilter{Desk: desk.Key, All: all, Limit: alertsPage + 1})
	if err != nil {
		return nil, err
	}
	return &deskView{AlertDesk: desk, List: list[:min(len(list), alertsPage)], All: all, More: len(list) > alertsPage}, nil
}

// seeTo notes that somebody has seen to an alert.
func (p *private) seeTo(w http.ResponseWriter, r *http.Request, s *access.Session) {
	desk, ok := p.desk(r.PathValue("desk"))
	if !ok {
		p.unknown(w, r, s)
		return
	}
	id, err := strconv.ParseInt(r.PostFormValue("id"), 10, 64)
	if err != nil {
		p.say(w, r, s, http.StatusBadRequest, "This form can’t be read", "Go back and try again.")
		return
	}
	if _, err := p.Alerts.Done(r.Context(), []int64{id}, s.User.Name); err != nil { // that somebody was faster is fine
		p.trouble(w, r, s, err)
		return
	}
	http.Redirect(w, r, "/alerts/"+desk.Key, http.StatusSeeOther)
}

func (p *private) alertsScript(w http.ResponseWriter, _ *http.Request, _ *access.Session) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write(p.script)
}

// What bounds a feed: how long one lasts before the browser connects again, which asks for the login anew; how often it
// looks by itself; how long a write may take; and how many a process serves.
const (
	feedLife  = 5 * time.Minute
	feedLook  = 10 * time.Second
	feedWrite = 10 * time.Second
	maxFeeds  = 200
)

// feeds says whether a request is for a feed, which takes its time.
func feeds(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/alerts/") && strings.HasSuffix(r.URL.Path, "/feed")
}

// alertFeed sends the desk's list as server-sent events (WHATWG HTML, section 9.2) whenever it has changed. An event's id
// is the list's checksum, so that a browser which connects again is sent nothing that it has.
func (p *private) alertFeed(w http.ResponseWriter, r *http.Request, s *access.Session) {
	desk, ok := p.desk(r.PathValue("desk"))
	if !ok {
		p.unknown(w, r, s)
		return
	}
	if p.feeding.Add(1) > maxFeeds {
		p.feeding.Add(-1)
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer p.feeding.Add(-1)
	f := &feed{private: p, desk: desk, w: w, control: http.NewResponseController(w), last: r.Header.Get("Last-Event-ID")}
	if err := f.run(r.Context()); err != nil && r.Context().Err() == nil {
		p.Log.Warn("the feed of a desk ended", slog.Any("error", err))
	}
}

// feed is one browser's.
type feed struct {
	*private
	desk    AlertDesk
	w       http.ResponseWriter
	control *http.ResponseController
	last    string // the id of the list that the browser has
}

func (f *feed) run(ctx context.Context) error {
	if err := f.control.SetReadDeadline(time.Time{}); err != nil { // the server's is for requests
		return err
	}
	f.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	f.w.Header().Set("X-Accel-Buffering", "no") // for nginx
	changed, stop := f.Alerts.Watch(f.desk.Key)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, feedLife)
	defer cancel()
	look := time.NewTicker(feedLook)
	defer look.Stop()
	if err := f.write("retry: 2000\n\n"); err != nil {
		return err
	}
	for {
		if err := f.send(ctx); err != nil {
			return err
		}
		select {
		case _, ok := <-changed:
			if !ok {
				return nil
			}
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// send sends the list when it is another one, else something that shows whether the browser is still there.
func (f *feed) send(ctx context.Context) error {
	v, err := f.deskView(ctx, f.desk, false)
	if err != nil {
		return err
	}
	var list bytes.Buffer
	if err := f.pages["alerts"].ExecuteTemplate(&list, "items", v); err != nil {
		panic(err) // a mistake in the page
	}
	sum := sha256.Sum256(list.Bytes())
	id := hex.EncodeToString(sum[:8])
	if id == f.last {
		return f.write(":\n\n")
	}
	f.last = id
	var event strings.Builder
	fmt.Fprintf(&event, "id: %s\nevent: list\ndata: <!-- the list -->\n", id) // browsers drop an event without data
	for line := range strings.Lines(list.String()) {
		fmt.Fprintf(&event, "data: %s\n", strings.NewReplacer("\r", "", "\n", "").Replace(line))
	}
	return f.write(event.String() + "\n")
}

func (f *feed) write(text string) error {
	err := f.control.SetWriteDeadline(time.Now().Add(feedWrite))
	if err == nil {
		_, err = f.w.Write([]byte(text))
	}
	return errors.Join(err, f.control.Flush())
}
