package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/response"
)

// maxQuery is how long the personal part of a short link may be, in bytes: an index holds it.
const maxQuery = 1000

// shortURLs draws codes for the links of one text message. They lead somewhere once they are kept.
type shortURLs struct {
	urls  *response.URLs
	id    int64
	drawn []response.ShortLink
}

func (s *shortURLs) Open() string { return "" } // a text has no pixel

func (s *shortURLs) Unsubscribe() string {
	return s.code(response.ShortLink{Page: response.Unsubscribe})
}

func (s *shortURLs) Preferences() string {
	return s.code(response.ShortLink{Page: response.PreferencesPage})
}

func (s *shortURLs) Confirm() string { return s.code(response.ShortLink{Page: response.ConfirmPage}) }

func (s *shortURLs) Click(part response.Part, link int, query string) (string, error) {
	if len(query) > maxQuery {
		return "", fmt.Errorf("%w: %d bytes, and %d fit", response.ErrQueryTooLong, len(query), maxQuery)
	}
	return s.code(response.ShortLink{Part: part, Link: link, Query: query}), nil
}

// code is the address of a link. Where the same link is twice in a message, keeping them gives both one code.
func (s *shortURLs) code(l response.ShortLink) string {
	l.MessageID, l.Code = s.id, response.NewCode()
	s.drawn = append(s.drawn, l)
	return s.urls.Short(l.Code)
}

// composeShort makes a message whose links are short ones.
func (f *filler) composeShort(m *message, who Person) (filled, error) {
	urls := &shortURLs{urls: f.engine.URLs, id: m.ID}
	text, err := f.composer.Compose(who, urls)
	if err != nil {
		return filled{}, err
	}
	f.address(m, text)
	text.CallbackURL = f.engine.URLs.Report(f.lease.channel, m.ID)
	if m.NotAfter != nil {
		text.ValidUntil = *m.NotAfter
	}
	return filled{message: m, mail: text, short: urls.drawn}, nil
}

func idsOf(ready []filled) []int64 {
	list := make([]int64, len(ready))
	for i, r := range ready {
		list[i] = r.ID
	}
	return list
}

// replaceIn writes another address in the place of one.
func replaceIn(m *channels.Message, before, after string) {
	m.Text = strings.ReplaceAll(m.Text, before, after)
	for key, text := range m.Parts {
		m.Parts[key] = strings.ReplaceAll(text, before, after)
	}
}

// keepShortLinks makes the links of a claim's texts lead somewhere, before any of them is handed over. A text that was
// tried before says what it said then. The error is our own database's.
func (f *filler) keepShortLinks(ctx context.Context, ready []filled) error {
	var links []response.ShortLink
	for _, r := range ready {
		links = append(links, r.short...)
	}
	if len(links) == 0 {
		return nil
	}
	drawn := make([]string, len(links))
	for i, l := range links {
		drawn[i] = l.Code
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kept, err := response.KeepShortLinks(ctx, f.engine.books, links, f.engine.Now())
	if err != nil {
		return err
	}
	next := 0
	for _, r := range ready {
		for range r.short {
			if kept[next] != drawn[next] {
				replaceIn(r.mail, f.engine.URLs.Short(drawn[next]), f.engine.URLs.Short(kept[next]))
			}
			next++
		}
	}
	return nil
}
