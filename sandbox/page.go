package sandbox

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var pageFiles embed.FS

// pages is the web page: no script, and nothing that changes anything but the form for a customer's text.
type pages struct {
	server *Server
	views  map[string]*template.Template
}

func newPages(s *Server) *pages {
	p := &pages{server: s, views: map[string]*template.Template{}}
	functions := template.FuncMap{
		"when":   func(t time.Time) string { return t.Local().Format("2 Jan 2006, 15:04:05 MST") },
		"iso":    func(t time.Time) string { return t.Format(time.RFC3339) },
		"octets": octets,
		"number": grouped,
	}
	for _, name := range []string{"list", "message", "text", "call", "letters", "help", "error"} {
		p.views[name] = template.Must(template.New("layout.html").Funcs(functions).
			ParseFS(pageFiles, "page/layout.html", "page/"+name+".html"))
	}
	return p
}

func (p *pages) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.list)
	mux.HandleFunc("GET /help", p.help)
	mux.HandleFunc("GET /style.css", p.style)
	mux.HandleFunc("GET /messages/{id}", p.message)
	mux.HandleFunc("POST /messages/{id}/reply", p.reply)
	mux.HandleFunc("GET /messages/{id}/html", p.html)
	mux.HandleFunc("GET /messages/{id}/raw", p.raw)
	mux.HandleFunc("GET /letters", p.letters)
	mux.HandleFunc("GET /letters/{file}", p.printedLetters)
	mux.HandleFunc("GET /api/counts", p.apiCounts)
	mux.HandleFunc("GET /api/log", p.apiLog)
	mux.HandleFunc("GET /api/messages", p.apiList)
	mux.HandleFunc("GET /api/messages/{id}", p.apiMessage)
	mux.HandleFunc("GET /api/messages/{id}/raw", p.raw)
	(&twilioAPI{p.server}).register(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		p.fail(w, http.StatusNotFound, "There is no such page.")
	})
	return p.guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard refuses names that are not this machine's (DNS rebinding) and sets the headers that all answers share.
func (p *pages) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "+
			"frame-src 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !p.hostAllowed(r.Host) {
			http.Error(w, "This page answers only to the address it listens on, such as http://"+p.server.HTTPAddr()+"/",
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostAllowed accepts this machine's names and, where the sandbox is exposed, any IP address: a rebinding attack needs
// a name.
func (p *pages) hostAllowed(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	return isLoopback(host) || p.server.config.Expose && net.ParseIP(host) != nil
}

// layout is what every page shows.
type layout struct {
	Title    string
	SMTPAddr string
	Counts   Counts
	Content  any
}

func (p *pages) show(w http.ResponseWriter, status int, view, title string, content any) {
	var b bytes.Buffer
	err := p.views[view].Execute(&b, layout{
		Title: title, SMTPAddr: p.server.SMTPAddr(), Counts: p.server.Counts(), Content: content,
	})
	if err != nil {
		p.server.config.Log.Error("show a page of the sandbox", slog.String("view", view), slog.Any("err", err))
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func (p *pages) fail(w http.ResponseWriter, status int, words string) {
	p.show(w, status, "error", http.StatusText(status), words)
}

func (p *pages) style(w http.ResponseWriter, _ *http.Request) {
	css, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		p.fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(css)
}

func (p *pages) help(w http.ResponseWriter, _ *http.Request) {
	p.show(w, http.StatusOK, "help", "Help", struct {
		Magic, Numbers, Words, Rules  []Rule
		HTTPAddr, Account, InboundURL string
	}{Magic(), MagicNumbers(), Words(), p.server.config.Misbehave, p.server.HTTPAddr(), p.server.config.AccountSID, p.server.config.InboundURL})
}

// listing is the list page.
type listing struct {
	Listing
	Query  string
	Which  Which
	Kind   string // the channel, "" for all
	First  int
	Last   int
	Older  string // link, "" on the last page
	Newer  string
	Filter bool
}

func (p *pages) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	filter, page := readQuery(query)
	l := listing{Listing: p.server.Messages(filter, page), Query: filter.Text, Which: filter.Which, Kind: filter.Channel}
	l.Filter = filter.Text != "" || filter.Recipient != "" || filter.Subject != "" || filter.Channel != "" ||
		filter.Which == Refused || filter.Which == Conversation
	if n := len(l.Messages); n > 0 {
		l.First = (l.Page-1)*page.withDefaults().Size + 1
		l.Last = l.First + n - 1
	}
	if l.Page < l.Pages {
		l.Older = pageLink(query, l.Page+1)
	}
	if l.Page > 1 {
		l.Newer = pageLink(query, min(l.Page-1, l.Pages))
	}
	p.show(w, http.StatusOK, "list", "Messages", l)
}

// readQuery reads to=, subject=, q=, which=, channel=, page= and per_page= of the pages and the API.
func readQuery(v url.Values) (Filter, Page) {
	number, _ := strconv.Atoi(v.Get("page"))
	size, _ := strconv.Atoi(v.Get("per_page"))
	which := Which(v.Get("which"))
	if which != Refused && which != All && which != Conversation {
		which = Accepted
	}
	channel := v.Get("channel")
	if !isChannel(channel) {
		channel = ""
	}
	return Filter{
		Which: which, Channel: channel, Recipient: v.Get("to"), Subject: v.Get("subject"), Text: strings.TrimSpace(v.Get("q")),
	}, Page{Number: number, Size: size}
}

func pageLink(query url.Values, number int) string {
	v := url.Values{}
	for key, values := range query {
		v[key] = values
	}
	v.Set("page", strconv.Itoa(number))
	return "/?" + v.Encode()
}

// find loads the message of the path, or answers with an error and returns false.
func (p *pages) find(w http.ResponseWriter, r *http.Request) (Message, []byte, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		p.fail(w, http.StatusNotFound, "There is no such message.")
		return Message{}, nil, false
	}
	m, raw, err := p.server.Message(id)
	switch {
	case errors.Is(err, ErrNotFound):
		p.fail(w, http.StatusNotFound, "There is no such message.")
		return Message{}, nil, false
	case err != nil:
		p.server.config.Log.Error("read a message of the sandbox", slog.Int64("id", id), slog.Any("err", err))
		p.fail(w, http.StatusInternalServerError, "The message could not be read: "+err.Error())
		return Message{}, nil, false
	}
	return m, raw, true
}

func octets(n int) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
	}
}

// grouped writes 12345 as 12,345.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
