package web

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/response"
)

// publicPages are all pages in all their states.
func publicPages() map[string]page {
	topic := customer.Topic{Name: "news", Title: customer.Words{ID: "Kabar", EN: "News"}, About: customer.Words{ID: "Sekali sebulan.", EN: "Once a month."}}
	choices := func(channels ...string) []response.TopicChoices {
		t := response.TopicChoices{Topic: topic}
		for i, c := range channels {
			t.Choices = append(t.Choices, response.Choice{Channel: c, Topic: "news", On: i == 0, Fixed: i == 1, Pending: i == 2, Despite: i == 0})
		}
		return []response.TopicChoices{t, {Topic: customer.Topic{Name: "service-reminders"}, Choices: []response.Choice{{Channel: channels[0], Topic: "service-reminders", Pending: true}}}}
	}
	pages := map[string]page{
		"unknown": {kind: pageUnknown}, "trouble": {kind: pageTrouble},
		"unsubscribe":  {kind: pageSubscription, subscription: response.Subscription{Topic: topic, Channel: "email", Preferences: "x"}},
		"unsubscribed": {kind: pageSubscription, subscription: response.Subscription{Topic: topic, Channel: "email", Ended: true}},
		"nothing":      {kind: pageSubscription, subscription: response.Subscription{Topic: topic, Channel: "email", All: true}},
		"paused":       {kind: pageSubscription, subscription: response.Subscription{Topic: topic, Channel: "email", Paused: noon}},
		"nobody":       {kind: pagePreferences, preferences: &response.Preferences{Nobody: true}},
		"one channel":  {kind: pagePreferences, preferences: &response.Preferences{Topics: choices("email"), Shown: "a"}},
		"channels":     {kind: pagePreferences, preferences: &response.Preferences{Topics: choices("email", "sms", "whatsapp"), Shown: "a", Done: response.Saved}},
		"blocked": {kind: pagePreferences, preferences: &response.Preferences{
			Topics: choices("email", "sms"), Shown: "a", Paused: noon, Done: response.Stale,
			Blocked: []response.Block{{Channel: "sms", ByStop: true}, {Channel: "email"}},
		}},
		"ended": {kind: pagePreferences, preferences: &response.Preferences{Topics: choices("email"), Shown: "a", EndedAll: true, Done: response.AllEnded}},
	}
	for _, state := range []response.ConfirmState{response.ConfirmOpen, response.ConfirmDone, response.ConfirmExpired, response.ConfirmClosed} {
		pages["confirmation "+string(state)] = page{kind: pageConfirmation, confirmation: response.Confirmation{Topic: topic, Channel: "email", State: state, Preferences: "x"}}
	}
	return pages
}

// Every public page, in every state and both languages, can be used with a keyboard and a screen reader: what a machine can
// tell of that. structureFaults has the rules that all our pages follow; these add those of forms.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	p := newPages("Bengkel & Maju", "id")
	for name, pg := range publicPages() {
		for _, lang := range []string{"id", "en"} {
			t.Run(name+" "+lang, func(t *testing.T) {
				t.Parallel()
				v := p.view(lang, pg)
				v.OtherLang, v.OtherName, v.SwitchTo = "en", "English", "?lang=en"
				var body strings.Builder
				if err := p.template.Execute(&body, v); err != nil {
					t.Fatal(err)
				}
				doc, err := html.Parse(strings.NewReader(body.String()))
				if err != nil {
					t.Fatal(err)
				}
				for _, fault := range append(structureFaults(doc), formFaults(doc, lang, false)...) {
					t.Errorf("%s\n%s", fault, body.String())
				}
			})
		}
	}
}

// formFaults lists what is wrong with forms: boxes without a group, groups without a name, and what no key reaches.
func formFaults(n *html.Node, lang string, grouped bool) (list []string) {
	if n.Type == html.ElementNode {
		switch text := strings.TrimSpace(spoken(n)); {
		case n.Data == "html" && attribute(n, "lang") != lang:
			list = append(list, fmt.Sprintf("the page is said to be in %q", attribute(n, "lang")))
		case n.Data == "a" && attribute(n, "href") == "":
			list = append(list, fmt.Sprintf("the link %q leads nowhere: no key reaches it", text))
		case (n.Data == "p" || n.Data == "legend" || n.Data == "h2") && text == "":
			list = append(list, "an empty "+n.Data)
		case n.Data == "fieldset" && firstElement(n) != "legend":
			list = append(list, "a fieldset does not begin with its legend")
		case n.Data == "input" && attribute(n, "type") == "checkbox" && !grouped:
			list = append(list, fmt.Sprintf("the box %q stands outside of a fieldset", attribute(n, "value")))
		}
		grouped = grouped || n.Data == "fieldset"
	}
	for c := range n.ChildNodes() {
		list = append(list, formFaults(c, lang, grouped)...)
	}
	return list
}

func firstElement(n *html.Node) string {
	for c := range n.ChildNodes() {
		if c.Type == html.ElementNode {
			return c.Data
		}
	}
	return ""
}

// The rules find what they are there for.
func TestFormFaultsAreFound(t *testing.T) {
	t.Parallel()
	for fault, body := range map[string]string{
		`the page is said to be in "de"`:            `<html lang="de"><body>`,
		`the box "v" stands outside of a fieldset`:  `<html lang="en"><body><input type="checkbox" value="v">`,
		`the link "y" leads nowhere`:                `<html lang="en"><body><a>y</a>`,
		"a fieldset does not begin with its legend": `<html lang="en"><body><fieldset><p>y</p><legend>l</legend></fieldset>`,
		"an empty p": `<html lang="en"><body><p> </p>`,
	} {
		doc, err := html.Parse(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Join(formFaults(doc, "en", false), "\n"); !strings.Contains(found, fault) {
			t.Errorf("%q is not found in %s: %q", fault, body, found)
		}
	}
}

// Text has a contrast of at least 4.5 to 1, and the edges of controls 3 to 1 (WCAG 2.2, success criteria 1.4.3 and
// 1.4.11), in light and dark. What has the focus is marked.
func TestColoursHaveContrast(t *testing.T) {
	t.Parallel()
	schemes := strings.SplitN(pageCSS, "@media (prefers-color-scheme: dark)", 2)
	if len(schemes) != 2 {
		t.Fatal("no dark colours")
	}
	for name, css := range map[string]string{"light": schemes[0], "dark": schemes[1]} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{3,6});`).FindAllStringSubmatch(css, -1) {
			colours[m[1]] = m[2]
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "paper", 4.5},
			{"ink", "ground", 4.5},
			{"ink", "note", 4.5},
			{"soft", "paper", 4.5},
			{"soft", "ground", 4.5},
			{"act", "paper", 4.5},
			{"on-act", "act", 4.5},
			{"act", "ground", 3},
			{"act", "note", 3},
		} {
			x, y := brightness(t, colours[pair.front]), brightness(t, colours[pair.back])
			if got := (max(x, y) + 0.05) / (min(x, y) + 0.05); got < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, at least %.1f is needed", name, pair.front, pair.back, got, pair.least)
			}
		}
	}
	if !regexp.MustCompile(`button:focus-visible, a:focus-visible, input:focus-visible \{ outline: 3px solid`).MatchString(pageCSS) || strings.Contains(pageCSS, "outline: none") {
		t.Error("what has the focus is not marked")
	}
}
