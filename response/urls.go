package response

import (
	"fmt"
	"net/url"
	"strings"
)

// URLs makes the public addresses that messages carry. It is safe for concurrent use and fast enough to be called several
// times per message.
type URLs struct {
	keys                                   *Keyring
	open, click, short, unsubscribe, hooks string // prefixes of the tokens
	preferences, confirm                   string
}

// NewURLs makes URLs below publicURL, an absolute http or https address without query, such as
// "https://sapa.bengkel.example" or "https://bengkel.example/sapa".
func NewURLs(publicURL string, k *Keyring) (*URLs, error) {
	u, err := url.Parse(publicURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("public_url %q: it must be an http or https address without query, such as https://sapa.bengkel.example", publicURL)
	}
	base := u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/")
	if len(base) > maxBase {
		return nil, fmt.Errorf("public_url is %d bytes long; at most %d leave room for a link's token", len(base), maxBase)
	}
	return &URLs{
		keys: k, open: base + "/o/", click: base + "/c/", short: base + "/s/", unsubscribe: base + "/u/", hooks: base + "/hooks/",
		preferences: base + "/p/", confirm: base + "/k/",
	}, nil
}

// maxBase keeps whole links below the 998 octets of a mail line with room for the markup around them.
const maxBase = 250

// Open is the address of the message's pixel.
func (u *URLs) Open(messageID int64) string {
	return u.must(u.open, Token{Kind: Open, MessageID: messageID})
}

// Click is the tracked address of a link, given by its part and position in the version's links. query is the personal
// part of the target's query, without "?"; it travels inside the token. The error is an ErrQueryTooLong.
func (u *URLs) Click(messageID int64, part Part, link int, query string) (string, error) {
	return u.keys.signURL(u.click, Token{Kind: Click, MessageID: messageID, Part: part, Link: link, Query: query})
}

// Short is the address of a short link.
func (u *URLs) Short(code string) string { return u.short + code }

// Unsubscribe is the address of the message's unsubscribe page, which takes the one-click POST of RFC 8058 too.
func (u *URLs) Unsubscribe(messageID int64) string {
	return u.must(u.unsubscribe, Token{Kind: Unsubscribe, MessageID: messageID})
}

// Preferences is the address of the page on which the message's customer chooses what they get.
func (u *URLs) Preferences(messageID int64) string {
	return u.must(u.preferences, Token{Kind: PreferencesPage, MessageID: messageID})
}

// Confirm is the address of the page on which the message's customer confirms that they want the campaign's topic.
func (u *URLs) Confirm(messageID int64) string {
	return u.must(u.confirm, Token{Kind: ConfirmPage, MessageID: messageID})
}

// MessageToken names the message to the outside: always the same text. Its letters suit the
// local part of a Message-ID (RFC 5322 atext).
func (u *URLs) MessageToken(messageID int64) string {
	return u.must("", Token{Kind: Message, MessageID: messageID})
}

// Report is where the provider of a channel reports on a message: always the same address.
func (u *URLs) Report(channel string, messageID int64) string {
	return u.must(u.hooks+url.PathEscape(channel)+"/report/", Token{Kind: Message, MessageID: messageID})
}

// must signs a token that can't be too long.
func (u *URLs) must(prefix string, t Token) string {
	s, err := u.keys.signURL(prefix, t)
	if err != nil {
		panic(err)
	}
	return s
}
