package response

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// HitKind is the kind of a row of table hits.
type HitKind string

// The kinds of hits. Page is one of our own pages shown by a GET, which changes nothing; those after it are decisions.
const (
	HitOpen        HitKind = "open"
	HitClick       HitKind = "click"
	HitPage        HitKind = "page"
	HitUnsubscribe HitKind = "unsubscribe"
	HitResubscribe HitKind = "resubscribe"
	HitPreferences HitKind = "preferences"
	HitConfirm     HitKind = "confirm"
)

// Hit is one request for a pixel, a link or the unsubscribe page.
type Hit struct {
	At        time.Time
	MessageID int64
	Kind      HitKind
	Part      Part // of a click
	Link      int  // of a click
	IP        netip.Addr
	UserAgent string
	Verdict   Verdict
	Reason    string // of the verdict
}

// maxAgent bounds what a stranger can make us keep of a user agent, in bytes.
const maxAgent = 300

// maxText bounds a customer's message, in bytes: ten segments of UCS-2 are 2,680 at the worst.
const maxText = 4000

// clean makes a stranger's text fit for a text column.
func clean(s string) string { return cleanTo(s, maxAgent) }

// cleanText does so with a message of a customer.
func cleanText(s string) string { return cleanTo(s, maxText) }

func cleanTo(s string, longest int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	if len(s) <= longest {
		return s
	}
	end := longest
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// count is how a hit, or several of the same kind, add to responses and response_totals.
type count struct {
	kind, part string
	link       int
}

// whole is the link number of the message as a whole.
const whole = -1

// counts lists where a hit counts: a person's click at the message and at its link, a machine's at the message only.
func (h *Hit) counts() []count {
	switch {
	case h.Kind == HitOpen && h.Verdict == Human:
		return []count{{"open", "", whole}}
	case h.Kind == HitOpen:
		return []count{{"machine_open", "", whole}}
	case h.Kind == HitClick && h.Verdict == Human:
		return []count{{"click", "", whole}, {"click", h.Part.String(), h.Link}}
	case h.Kind == HitClick:
		return []count{{"machine_click", "", whole}}
	case h.Kind == HitUnsubscribe:
		return []count{{"unsubscribe", "", whole}}
	}
	return nil
}
