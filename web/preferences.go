package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/sapa-crm/sapa/response"
)

// maxPreferences bounds the body of a POST of the page of preferences, which names each box that is ticked.
const maxPreferences = 64 << 10

// preferences shows the page of preferences, or does what its forms say and answers after the commit.
func (p *public) preferences(w http.ResponseWriter, r *http.Request) {
	var shown *response.Preferences
	var err error
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxPreferences)
		if err := r.ParseMultipartForm(maxPreferences); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			http.Error(w, "this form can't be read", http.StatusBadRequest)
			return
		}
		form := response.PreferenceForm{
			Do: response.Done(r.PostForm.Get("do")), Shown: r.PostForm.Get("shown"), Ticked: r.PostForm["on"],
		}
		shown, err = p.Tracker.ChangePreferences(r.Context(), r.PathValue("token"), form, p.visit(r))
	} else {
		shown, err = p.Tracker.Preferences(r.Context(), r.PathValue("token"), p.visit(r))
	}
	switch {
	case errors.Is(err, response.ErrForm):
		http.Error(w, "this form says nothing that we know; open the page and use its buttons", http.StatusBadRequest)
	case err != nil:
		p.fail(w, r, err)
	default:
		p.pages.write(w, r, http.StatusOK, page{kind: pagePreferences, preferences: shown})
	}
}

// confirm shows the page that ends a double opt-in, or confirms and answers after the commit.
func (p *public) confirm(w http.ResponseWriter, r *http.Request) {
	do := p.Tracker.Confirmation
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) || r.PostForm.Get("scope") != "confirm" {
			http.Error(w, "this form says nothing that we know; open the page and use its button", http.StatusBadRequest)
			return
		}
		do = p.Tracker.Confirm
	}
	c, err := do(r.Context(), r.PathValue("token"), p.visit(r))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.pages.write(w, r, http.StatusOK, page{kind: pageConfirmation, confirmation: c})
}

// preferencesView is the form of the page of preferences.
type preferencesView struct {
	Shown    string
	Blocks   []string // what holds whatever is chosen
	Groups   []group
	Save     string
	Sections []section
}

// group is a fieldset.
type group struct {
	Legend, About, AboutID string
	Boxes                  []box
}

// box is a checkbox with its label and what there is to say about it.
type box struct {
	ID, Value, Label, DescribedBy string
	On, Fixed                     bool
	Notes                         []note
}

type note struct{ ID, Text string }

// section is a heading with one thing to do.
type section struct {
	Title, Text string
	Button      *button
}

func preferencesPage(lang, company string, p *response.Preferences) view {
	words := preferenceWords(lang, company)
	if p.Nobody {
		return view{Title: words.nobodyTitle, Paragraphs: []string{words.nobody}}
	}
	v := view{Title: words.title, Status: words.done[p.Done], Paragraphs: []string{words.intro}}
	form := &preferencesView{Shown: p.Shown, Save: words.save, Groups: words.groups(lang, p.Topics)}
	for _, b := range p.Blocked {
		form.Blocks = append(form.Blocks, words.blocked(b))
	}
	switch {
	case p.EndedAll:
		v.Paragraphs = []string{words.ended}
	case p.Paused.IsZero():
		form.Sections = append(form.Sections, section{words.pauseTitle, words.pause, &button{Scope: string(response.PauseBegun), Label: words.pauseLabel}})
	default:
		form.Blocks = append([]string{strings.ReplaceAll(words.paused, "DATE", day(lang, p.Paused))}, form.Blocks...)
		form.Sections = append(form.Sections, section{words.pauseTitle, words.resume, &button{Scope: string(response.PauseOver), Label: words.resumeLabel}})
	}
	if !p.EndedAll {
		form.Sections = append(form.Sections, section{words.endTitle, words.end, &button{Scope: string(response.AllEnded), Label: words.endLabel}})
	}
	v.Preferences = form
	return v
}

// groups are the boxes: of one channel a list of topics, of several a list of channels for each topic.
func (w *preferenceText) groups(lang string, topics []response.TopicChoices) []group {
	if one, ok := onlyChannel(topics); ok {
		g := group{Legend: w.topicsBy(one)}
		for i, t := range topics {
			b := w.box(i, 0, t.Choices[0], t.Called(lang))
			b.explain(t.About.In(lang), "about")
			g.Boxes = append(g.Boxes, b)
		}
		return []group{g}
	}
	var list []group
	for i, t := range topics {
		g := group{Legend: t.Called(lang), About: t.About.In(lang)}
		if g.About != "" {
			g.AboutID = "t" + strconv.Itoa(i) + "-about"
		}
		for j, c := range t.Choices {
			g.Boxes = append(g.Boxes, w.box(i, j, c, w.channel(c.Channel)))
		}
		list = append(list, g)
	}
	return list
}

// onlyChannel is the channel that all choices are about; false where they differ.
func onlyChannel(topics []response.TopicChoices) (channel string, one bool) {
	for _, t := range topics {
		for _, c := range t.Choices {
			if channel != "" && c.Channel != channel {
				return "", false
			}
			channel = c.Channel
		}
	}
	return channel, channel != ""
}

func (w *preferenceText) box(topic, place int, c response.Choice, label string) box {
	b := box{ID: "t" + strconv.Itoa(topic) + "-" + strconv.Itoa(place), Value: c.Name(), Label: label, On: c.On, Fixed: c.Fixed}
	switch {
	case c.Fixed:
		b.explain(w.fixed, "fixed")
	case c.Pending:
		b.explain(w.pending, "pending")
	case c.Despite:
		b.explain(w.despite, "despite")
	}
	return b
}

// explain adds a note that belongs to the box.
func (b *box) explain(text, what string) {
	if text == "" {
		return
	}
	n := note{ID: b.ID + "-" + what, Text: text}
	b.Notes = append(b.Notes, n)
	b.DescribedBy = strings.TrimSpace(b.DescribedBy + " " + n.ID)
}
