package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resource is Twilio's message as JSON; the order of fields is theirs.
type resource struct {
	Body                string            `json:"body"`
	NumSegments         string            `json:"num_segments"`
	Direction           Direction         `json:"direction"`
	From                *string           `json:"from"`
	DateUpdated         string            `json:"date_updated"`
	Price               *string           `json:"price"`
	ErrorMessage        *string           `json:"error_message"`
	URI                 string            `json:"uri"`
	AccountSID          string            `json:"account_sid"`
	NumMedia            string            `json:"num_media"`
	To                  string            `json:"to"`
	DateCreated         string            `json:"date_created"`
	Status              string            `json:"status"`
	SID                 string            `json:"sid"`
	DateSent            *string           `json:"date_sent"`
	MessagingServiceSID *string           `json:"messaging_service_sid"`
	ErrorCode           *int              `json:"error_code"`
	PriceUnit           string            `json:"price_unit"`
	APIVersion          string            `json:"api_version"`
	SubresourceURIs     map[string]string `json:"subresource_uris"`
}

// resource is a text as Twilio's API shows it. A Messaging Service has chosen neither sender nor segments while the text
// is only accepted, and a price is known once the text is on its way.
func (a *twilioAPI) resource(m Message, form url.Values) resource {
	uri := a.messagesPath() + "/" + m.MessageID
	r := resource{
		Body: bodyOf(form), NumSegments: strconv.Itoa(m.SMS.Segments), Direction: m.SMS.Direction, From: &m.From,
		DateUpdated: m.SMS.UpdatedAt.UTC().Format(time.RFC1123Z), URI: uri + ".json", AccountSID: a.server.config.AccountSID,
		NumMedia: strconv.Itoa(len(form["MediaUrl"])), To: m.To[0], DateCreated: m.ReceivedAt.UTC().Format(time.RFC1123Z),
		Status: m.SMS.Status, SID: m.MessageID, PriceUnit: "USD", APIVersion: apiVersion,
		SubresourceURIs: map[string]string{"media": uri + "/Media.json"},
	}
	if m.SMS.Status == "accepted" {
		r.From, r.NumSegments = nil, "0"
	}
	if m.SMS.Service != "" {
		r.MessagingServiceSID = &m.SMS.Service
	}
	if !m.SMS.SentAt.IsZero() {
		sent, price := m.SMS.SentAt.UTC().Format(time.RFC1123Z), priceOf(m.SMS)
		r.DateSent, r.Price = &sent, &price
	}
	if code := m.SMS.Error; code != 0 {
		words := carrierError(code)
		r.ErrorCode, r.ErrorMessage = &code, &words
	}
	return r
}

// priceOf is 0.0075 dollars for each segment, as Twilio writes it.
func priceOf(t *SMS) string {
	units := 75 * max(t.Segments, 1) // of a hundredth of a cent
	return fmt.Sprintf("-%d.%04d0", units/10000, units%10000)
}

func (a *twilioAPI) messagesPath() string {
	return "/" + apiVersion + "/Accounts/" + a.server.config.AccountSID + "/Messages"
}

// paging is what Twilio's answer to a listing has beside the entries.
type paging struct {
	FirstPageURI    string  `json:"first_page_uri"`
	NextPageURI     *string `json:"next_page_uri"`
	PreviousPageURI *string `json:"previous_page_uri"`
	URI             string  `json:"uri"`
	Page            int     `json:"page"`
	PageSize        int     `json:"page_size"`
	Start           int     `json:"start"`
	End             int     `json:"end"`
}

// listPage is Twilio's answer to a listing of messages.
type listPage struct {
	Messages []resource `json:"messages"`
	paging
}

func (a *twilioAPI) list(w http.ResponseWriter, r *http.Request) {
	p := listPage{Messages: []resource{}}
	a.listing(w, r, "DateSent", a.messagesPath(), &p.paging, func(m Message, form url.Values) {
		p.Messages = append(p.Messages, a.resource(m, form))
	}, func() any { return p })
}

// listing answers with messages or calls, newest first. A page's token names the entry behind which it begins (PA and its
// SID) or before which it ends (PB), so that what arrives meanwhile moves nothing. date is the parameter that bounds the
// time; add takes one entry, and whole is the answer then.
func (a *twilioAPI) listing(w http.ResponseWriter, r *http.Request, date, path string, p *paging, add func(Message, url.Values), whole func() any) {
	query := r.URL.Query()
	f, reply := readTextFilter(query, date)
	if reply.Code != 0 {
		a.fail(w, reply)
		return
	}
	f.calls = date == "StartTime"
	found, more, err := a.find(f)
	if err != nil {
		a.fail(w, notFound(r)) // the token's text
		return
	}
	*p = paging{Page: f.page, PageSize: f.size, Start: f.page * f.size, URI: path + ".json"}
	if r.URL.RawQuery != "" {
		p.URI += "?" + r.URL.RawQuery
	}
	for _, m := range found {
		_, form, err := a.server.store.form(m.ID)
		if err != nil {
			a.fail(w, cannotRead(err))
			return
		}
		add(m, form)
	}
	p.End = max(p.Start, p.Start+len(found)-1)
	p.FirstPageURI = pageURI(path, query, f.size, 0, "")
	if more {
		p.NextPageURI = new(pageURI(path, query, f.size, f.page+1, "PA"+found[len(found)-1].MessageID))
	}
	if f.page > 0 && len(found) > 0 {
		p.PreviousPageURI = new(pageURI(path, query, f.size, f.page-1, "PB"+found[0].MessageID))
	}
	a.answer(w, http.StatusOK, whole())
}

func pageURI(path string, query url.Values, size, page int, token string) string {
	v := url.Values{}
	for key, values := range query {
		v[key] = values
	}
	v.Set("PageSize", strconv.Itoa(size))
	v.Set("Page", strconv.Itoa(page))
	v.Del("PageToken")
	if token != "" {
		v.Set("PageToken", token)
	}
	return path + ".json?" + v.Encode()
}

// textFilter is a listing's parameters.
type textFilter struct {
	to, from      string
	after, before time.Time // bounds of the time of sending: not before after, and before before; zero is none
	page, size    int
	token         string
	calls         bool // instead of texts and WhatsApp messages
}

func readTextFilter(query url.Values, date string) (textFilter, Reply) {
	f := textFilter{to: query.Get("To"), from: query.Get("From"), size: 50, token: query.Get("PageToken")}
	for name, into := range map[string]*int{"PageSize": &f.size, "Page": &f.page} {
		if text := query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || name == "PageSize" && n == 0 {
				return f, bad(20001, name+" is not a number of a page: "+text)
			}
			*into = n
		}
	}
	f.size = min(f.size, MaxPageSize)
	for name, values := range query {
		sign, found := strings.CutPrefix(name, date)
		if !found {
			continue
		}
		for _, value := range values {
			if !f.bound(sign, value) {
				return f, bad(20001, name+" is not a date such as 2026-11-22, or a time: "+value)
			}
		}
	}
	return f, Reply{}
}

// bound reads DateSent=, DateSent<= and DateSent>=. A date without a time is that whole day in GMT.
func (f *textFilter) bound(sign, value string) bool {
	if sign == "" && value != "" && (value[0] == '<' || value[0] == '>') { // DateSent=>=2026-11-22
		sign, value = value[:1], value[1:]
	}
	value = strings.TrimPrefix(value, "=")
	from, err := time.Parse(time.DateOnly, value)
	until := from.AddDate(0, 0, 1)
	if err != nil {
		if from, err = time.Parse(time.RFC3339, value); err != nil {
			return false
		}
		until = from.Add(time.Second) // Twilio's times have no fractions
		if sign == "" {
			from = from.UTC().Truncate(24 * time.Hour)
			until = from.AddDate(0, 0, 1)
		}
	}
	if sign != "<" {
		f.after = from
	}
	if sign != ">" {
		f.before = until
	}
	return sign == "" || sign == "<" || sign == ">"
}

// sentIn reports whether a text was sent within the bounds. One that was not yet sent counts as sent when it came.
func (f *textFilter) sentIn(m Message) bool {
	at := m.SMS.SentAt
	if at.IsZero() {
		at = m.ReceivedAt
	}
	return (f.after.IsZero() || !at.Before(f.after)) && (f.before.IsZero() || at.Before(f.before))
}

// find returns a page of texts, newest first, and whether older ones match, too.
func (a *twilioAPI) find(f textFilter) (page []Message, more bool, err error) {
	store := a.server.store
	newest, step, skip := store.count(), int64(-1), 0
	switch kind, sid := f.token[:min(2, len(f.token))], f.token[min(2, len(f.token)):]; kind {
	case "PA", "PB":
		m, err := store.bySID(sid)
		if err != nil {
			return nil, false, err
		}
		if kind == "PB" {
			step = 1
		}
		newest = m.ID + step
	default:
		skip = f.page * f.size
	}
	for id := newest; id >= 1 && id <= store.count(); id += step {
		m, ok := store.matchingText(id, f)
		switch {
		case !ok:
		case skip > 0:
			skip--
		case len(page) == f.size && step < 0:
			return page, true, nil
		case len(page) == f.size:
			slices.Reverse(page)
			return page, true, nil
		default:
			page = append(page, m)
		}
	}
	if step > 0 {
		slices.Reverse(page)
		return page, true, nil // the text of the token is older than all of them
	}
	return page, false, nil
}

// matchingText is the text with that number, if there is one and the filter chooses it.
func (s *store) matchingText(id int64, f textFilter) (Message, bool) {
	s.mu.RLock()
	meta := s.metas.get(s.entries[id-1].meta)
	s.mu.RUnlock()
	if meta[0] != textVersion || meta[1]&flagAccepted == 0 || f.calls != (meta[1]&flagVoice != 0) {
		return Message{}, false
	}
	if v := viewMeta(meta); f.to != "" && string(v.to) != f.to || f.from != "" && string(v.from) != f.from {
		return Message{}, false
	}
	m, err := s.known(id, meta)
	return m, err == nil && f.sentIn(m)
}
